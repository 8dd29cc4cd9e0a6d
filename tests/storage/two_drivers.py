"""Two drivers of one run, as processes on machines of their own: one sleeps while the other takes over.

Their store is an address on an S3 server, or a folder that both machines share and that has no locks. `python -m
tests.storage.two_drivers 20` plays that many random schedules on each and prints them.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STALE_SECONDS = 0.8


def drive(machine: str, store: str, path: str) -> None:
    """Runs the experiment, or resumes the run in `path` as soon as its lease is stale."""
    from tests.experiments import Quadratic, searching
    from tunedsl.base.errors import JournalTaken
    from tunedsl.driver.driver import Listener
    from tunedsl.journal import lease

    class Slow(Listener):
        def on_event(self, event: Any, commands: Any, state: Any) -> None:
            time.sleep(0.01)

        def on_wait(self, state: Any) -> None:
            print("driving", flush=True)

        def close(self, state: Any) -> None: ...

    if "://" not in store:
        fcntl.flock = no_locks
    lease.STALE_SECONDS, lease.RENEW_SECONDS = STALE_SECONDS, 0.2  # type: ignore[misc]
    lease.machine_id = lambda: machine  # type: ignore[assignment]
    experiment = searching(store, Quadratic)
    while True:
        try:
            if path:
                results = experiment.resume(path, engine="inline", quiet=True, listeners=[Slow()])
            else:
                results = experiment.run(engine="inline", quiet=True, listeners=[Slow()])
        except JournalTaken as error:
            if path and "is running" in str(error):
                time.sleep(0.1)
                continue
            print(f"taken: {error}", flush=True)
            raise SystemExit(3) from None
        print("digest", results.journal.digest, flush=True)
        return


def no_locks(descriptor: int, flags: int) -> None:
    """Fails as `flock` does on a file system without locks."""
    raise OSError(errno.ENOTSUP, "no locks here")


class Folder:
    """A folder that all machines share, as a store."""

    protocol = "file"
    conf: dict[str, Any] = {}

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "shared")


class Machine:
    """A driver's process."""

    def __init__(self, name: str, store: str, path: str, folder: Path, server: Any) -> None:
        folder.mkdir(exist_ok=True)
        protocol = {f"FSSPEC_{server.protocol.upper()}": json.dumps(server.conf)}
        environment = {**os.environ, **protocol, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        command = [sys.executable, "-m", "tests.storage.two_drivers", "drive", name, store, path]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, stderr=subprocess.STDOUT
        )

    def wait_for(self, word: str) -> str:
        """The first line that begins with a word, or nothing if it ends without one."""
        assert self._process.stdout is not None
        return next((line for line in self._process.stdout if line.startswith(word)), "")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def finished(self) -> tuple[int, str]:
        """Its exit code and the rest of its output."""
        output, _ = self._process.communicate(timeout=120)
        return self._process.returncode, output


def play(seed: int, server: Any, folder: Path, digest: str) -> str:
    """One schedule; returns how it went.

    Raises:
        AssertionError: when the journal is not whole, or the stopped driver continued.
    """
    from tunedsl import replay
    from tunedsl.journal import file_system

    draws = random.Random(seed)
    store = f"{server.address}/{seed}"
    first = Machine("first", store, "", folder, server)
    for _ in range(draws.randrange(1, 12)):
        first.wait_for("driving")
    time.sleep(draws.random() * 0.05)
    first.send(signal.SIGSTOP)
    files, root = file_system(store)
    files.invalidate_cache()
    (found,) = files.ls(root, detail=False)
    path = f"s3://{found}" if server.protocol == "s3" else found
    second = Machine("second", store, path, folder, server)
    for _ in range(draws.randrange(1, 4)):
        second.wait_for("driving")
    first.send(signal.SIGCONT)
    is_killed = draws.random() < 0.7
    if is_killed:
        time.sleep(draws.random() * 0.3)
        second.send(signal.SIGKILL)
    code, output = first.finished()
    assert code == 3 and "taken" in output, (code, output)
    second.finished()
    replay(path)
    code, output = Machine("third", store, path, folder, server).finished()
    assert f"digest {digest}" in output, output
    assert replay(path).digest == digest
    return (
        f"{seed}: the first driver was refused, the second {'was killed' if is_killed else 'ended'}, digests are equal"
    )


def main(count: int) -> None:
    import fsspec.config

    from tests.experiments import Quadratic, searching
    from tests.storage.servers import S3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        digest = searching(folder / "calm", Quadratic).run(engine="inline", quiet=True).journal.digest
        for seed in range(count):
            print("folder", play(seed, Folder(folder), folder, digest), flush=True)
        server = S3(folder)
        fsspec.config.conf["s3"] = server.conf
        server.start()
        server.prepare()
        for seed in range(count):
            print("address", play(seed, server, folder, digest), flush=True)
        server.stop()


if __name__ == "__main__":
    if sys.argv[1] == "drive":
        drive(*sys.argv[2:])
    else:
        main(int(sys.argv[1]))

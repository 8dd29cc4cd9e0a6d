"""A small file system that is full for a while, under the journal and the checkpoints of workers on Ray."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.said import once_said
from tests.victim import CALM, Walk, walking
from tunedsl import replay, report, space, uniform
from tunedsl.driver.driver import Listener
from tunedsl.kernel import Failed, Reported, Started

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]

WAITS = ("No space left on device): the run is paused", "its trial waits until there is room")
"""The journal's last page or a checkpoint: whichever is full first."""


class Heavy(Walk):
    """A walk whose checkpoints and output need disk space."""

    def log(self) -> None:
        print(f"step {self.done}".ljust(1500), flush=True)

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "weights").write_bytes(os.urandom(100_000))


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield folder
    finally:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while subprocess.run(["umount", str(folder)], check=False, capture_output=True).returncode:
            assert time.monotonic() < deadline, "somebody still uses it"
            time.sleep(0.2)


class Fills(Listener):
    """Takes all the room that is left once trials have reported so often."""

    def __init__(self, filler: Path, reports: int) -> None:
        self.filler, self.left = filler, reports

    def on_event(self, event, commands, state):
        if isinstance(event, Reported):
            self.left -= 1
            if self.left == 0:
                with self.filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * 4096)

    def on_wait(self, state): ...
    def close(self, state): ...


def heavy(store):
    return (
        walking(store).trainable(Heavy).samples(6).stop(training_iteration=9).checkpoint(every=2, keep=2).log_to_file()
    )


def test_a_run_waits_for_room_and_goes_on(tmp_path, capsys, monkeypatch):
    with small_disk(tmp_path / "disk") as disk:
        filler = disk / "filler"
        once_said(monkeypatch, *WAITS, act=filler.unlink)
        results = heavy(disk).run(listeners=[Fills(filler, 12)])
        said = capsys.readouterr().err
        whole = heavy(tmp_path / CALM).run(engine="inline", quiet=True)
        proof = replay(results.path)
        assert not [event for event in results.journal.events() if isinstance(event, Failed)]
        assert (proof.digest, proof.torn) == (whole.journal.digest, 0)
        kept = {t.id: sorted(folder.name for folder in t.path.glob("checkpoints/*")) for t in results.trials}
        assert kept == {t.id: sorted(f.name for f in t.path.glob("checkpoints/*")) for t in whole.trials}
    assert any(text in said for text in WAITS)


FLAT_BYTES = 2**20
GROWTH_BYTES = 64 * 2**20
"""Above what a worker had before: it collects 8 MiB of reports, which take more as objects."""


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Workers(Fills):
    """Notes the memory of the workers at each event."""

    def __init__(self, filler: Path, reports: int) -> None:
        super().__init__(filler, reports)
        self.memory: dict[int, int] = {}

    def on_event(self, event, commands, state):
        if isinstance(event, Started):
            self.memory[int(event.worker.rpartition("/")[2])] = 0
        for pid in self.memory:
            self.memory[pid] = resident_bytes(pid)
        super().on_event(event, commands, state)


def test_the_memory_of_workers_is_flat_while_the_disk_is_full(tmp_path, monkeypatch, capsys):
    """Two trials report as fast as they can."""
    ends = str(tmp_path / "ends")

    def train(config):
        step = 0
        while not os.path.exists(ends):
            step += 1
            report(loss=config["x"] / step, text="x" * 50)

    with small_disk(tmp_path / "disk") as disk:
        workers, paused, grown = Workers(disk / "filler", 20), threading.Event(), []

        def watch() -> None:
            paused.wait(PATIENCE_SECONDS)
            before, last, flat = dict(workers.memory), dict(workers.memory), 0
            deadline = time.monotonic() + PATIENCE_SECONDS
            while flat < 6 and time.monotonic() < deadline:
                time.sleep(0.5)
                now = {pid: resident_bytes(pid) for pid in before}
                flat = flat + 1 if all(now[pid] - last[pid] < FLAT_BYTES for pid in now) else 0
                last = now
            grown.extend([(last[pid] - before[pid]) if flat == 6 else 2**40 for pid in before])
            Path(ends).touch()
            workers.filler.unlink()

        watcher = threading.Thread(target=watch)
        watcher.start()
        once_said(monkeypatch, WAITS[0], act=paused.set)
        made = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).parallel(2).store(disk)
        results = made.run(listeners=[workers])
        watcher.join()
        print("grown by", [f"{size / 2**20:.1f} MiB" for size in grown])
        assert len(grown) == 2 and max(grown) < GROWTH_BYTES
        assert results.finished and not results.errors and replay(results.path).torn == 0

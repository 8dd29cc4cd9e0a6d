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
from tests.memory import report_and_measure
from tests.said import once_said
from tests.victim import CALM, Walk, walking
from tunedsl import replay, space, uniform
from tunedsl.driver.driver import Listener
from tunedsl.kernel import Failed, Reported

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
def small_disk(folder: Path, megabytes: int = 8) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
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
        if isinstance(event, Reported) and self.left > 0:
            self.left -= len(event.rows)
            if self.left <= 0:
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


REPORTS = 30_000


def quick(config):
    report_and_measure(config, REPORTS)


def test_a_worker_waits_with_a_bounded_memory(tmp_path, monkeypatch):
    made = space(x=uniform(0, 1)).trainable(quick).minimize("loss").samples(2).parallel(2).seed(0)
    with small_disk(tmp_path / "disk", megabytes=1500) as disk:
        filler = disk / "filler"
        freed = threading.Timer(3, filler.unlink)  # in 3 s, a trial that does not wait has made all its reports
        once_said(monkeypatch, WAITS[0], act=freed.start)
        results = made.store(disk).run(listeners=[Fills(filler, 500)])
        assert freed.finished.is_set(), "the disk was never full"
        assert [t.metrics["training_iteration"] for t in results.trials] == [REPORTS + 1] * 2
        grown = [t.metrics["grown"] for t in results.trials]
        assert max(grown) < 80
        assert replay(results.path).torn == 0

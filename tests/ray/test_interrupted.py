"""A driver on Ray that is interrupted once, twice and three times leaves a valid journal."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.replay.killing import acknowledged, check, folder_of, is_worker, wait_for_progress
from tests.victim import VICTIMS
from tunedsl import resume
from tunedsl.base.errors import JournalError
from tunedsl.journal import has_driver
from tunedsl.kernel import Failed, Started

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]

NAME = "pbt"


@pytest.fixture
def drivers(tmp_path) -> Iterator[list[subprocess.Popen[str]]]:
    begun: list[subprocess.Popen[str]] = []
    yield begun
    for process in begun:
        process.kill()
        process.wait()


def begin(store: Path, drivers: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """A driver of a victim, on the shared cluster, once it has journaled something new."""
    import ray

    before = len(acknowledged(folder_of(store))) if list(store.glob("*")) else 0
    words = ["-m", "tests.victim", NAME, str(store), "ray", ray.get_runtime_context().gcs_address]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    drivers.append(process)
    if wait_for_progress(store, before + 12, process) > before + 12:
        return process
    raise AssertionError(process.communicate())


def left_behind(folder: Path) -> set[int]:
    """Processes of current and earlier trials, from the journal."""
    pids = {int(event.worker.rpartition("/")[2]) for event in acknowledged(folder) if isinstance(event, Started)}
    return {pid for pid in pids if is_worker(pid)}


@pytest.mark.parametrize(("once", "twice"), [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGHUP)])
def test_interrupted_once_and_twice_and_resumed(once, twice, tmp_path, drivers):
    first = begin(tmp_path, drivers)
    folder = folder_of(tmp_path)
    assert left_behind(folder)
    with pytest.raises(JournalError, match=f"Another driver is running this experiment: process {first.pid} on "):
        resume(folder, quiet=True)
    first.send_signal(once)
    _, said = first.communicate(timeout=120)
    assert first.returncode == 128 + once and said.splitlines()[-1].endswith(f"tunedsl resume {folder}"), said
    assert gone(folder) and not has_driver(folder / "journal.jsonl")
    known = acknowledged(folder)

    again = begin(tmp_path, drivers)
    again.send_signal(twice)
    time.sleep(0.05)
    again.send_signal(twice)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 128 + twice and "Traceback" not in said and "tunedsl resume" in said, said
    assert gone(folder) and not has_driver(folder / "journal.jsonl")
    assert acknowledged(folder)[: len(known)] == known

    VICTIMS[NAME](tmp_path).resume(engine="inline", quiet=True)
    assert not any(isinstance(event, Failed) for event in acknowledged(folder))
    check(folder, NAME, tmp_path)


def gone(folder: Path) -> bool:
    """Whether all workers are gone, after a while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left_behind(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not left_behind(folder)

"""Kills a driver again and again at random moments, and checks what must hold after each."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from tests.victim import victim
from tunedsl import load, replay
from tunedsl.journal import Journal
from tunedsl.kernel import Ended, Event, Reported, Started, Stop


def acknowledged(folder: Path) -> list[Event]:
    return list(Journal(folder).events())


def kill_until_done(store: Path, engine: str, kills: int, seed: int, *address: str) -> None:
    """`kills` times: start or resume the driver, SIGKILL it at a random moment; then let it end."""
    moments = random.Random(seed)
    before: list[Event] = []
    killed = 0
    while True:
        process = subprocess.Popen([sys.executable, "-m", "tests.victim", str(store), engine, *address])
        try:
            if killed < kills:
                wait_for_progress(store, len(before), process)
                time.sleep(moments.random() * 0.06)
                process.kill()
            process.wait(timeout=120)
        finally:
            process.kill()
        (folder,) = [file.parent for file in store.glob("*/journal.jsonl")]
        events = acknowledged(folder)
        assert events[: len(before)] == before, "an acknowledged event was lost"
        before = events
        if process.returncode == 0:
            break
        killed += 1
    check(folder, whole_digest(store))
    print(f"{killed} kills, {len(before)} events, digest {Journal(folder).digest}")


def wait_for_progress(store: Path, events: int, process: subprocess.Popen[bytes]) -> None:
    """Until the driver has journaled something new, so that each kill hits a run under way."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        files = list(store.glob("*/journal.jsonl"))
        if files and files[0].read_bytes().count(b'"e":[') > events:
            return
        time.sleep(0.02)


def whole_digest(store: Path) -> str:
    """The digest of the same run, never killed; timing does not change it."""
    return victim(store / "whole").run(engine="inline", quiet=True).journal.digest


def check(folder: Path, digest: str) -> None:
    results = load(folder)
    assert results.finished
    assert replay(folder).digest == digest, "the end is not that of the run that was never killed"
    over: set[int] = set()
    for line in Journal(folder).records():
        event = line.e
        if isinstance(event, Started):
            assert event.trial not in over, f"trial {event.trial} had finished and was run again"
        if isinstance(event, Ended) or (isinstance(event, Reported) and event.ends):
            over.add(event.trial)
        over.update(command.trial for command in line.c if isinstance(command, Stop))

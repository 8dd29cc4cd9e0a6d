"""Kills drivers and workers again and again at random moments, and checks what must hold after each.

`python -m tests.replay.killing --kills 60` does so to every experiment of `tests.victim` on a Ray cluster of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.victim import CALM, VICTIMS
from tunedsl import load, replay
from tunedsl.journal import Journal
from tunedsl.kernel import CopyCheckpoint, Ended, Event, Failed, Launch, Pause, Reported, Started, Stop
from tunedsl.kernel.events import without_timings
from tunedsl.testing.final_invariants import told

MOMENT_SECONDS: Final = 0.06
PATIENCE_SECONDS: Final = 240.0


def acknowledged(folder: Path) -> list[Event]:
    return list(Journal(folder).events())


def kill_until_done(
    store: Path,
    engine: str,
    kills: int,
    seed: int,
    address: str | None = None,
    name: str = "asha",
    whom: Sequence[str] = ("driver",),
) -> dict[str, int]:
    """Starts or resumes the driver, and sends SIGKILL to it or to a worker at a random moment, `kills` times in all.

    Returns:
        How often what was killed, and how many `events` the journal has.
    """
    moments = random.Random(seed)
    before: list[Event] = []
    killed = dict.fromkeys(whom, 0)
    words = [sys.executable, "-m", "tests.victim", name, str(store), engine, *([address] if address else [])]
    while True:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            seen = len(before)
            while sum(killed.values()) < kills:
                seen = wait_for_progress(store, seen, process)
                time.sleep(moments.random() * MOMENT_SECONDS)
                chosen = moments.choice(whom)
                if chosen == "driver":
                    process.kill()
                if process.poll() is not None and chosen == "worker":
                    break
                if chosen == "driver" or kill_a_worker(folder_of(store), moments):
                    killed[chosen] += 1
                if chosen == "driver":
                    break
            process.wait(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
            process.wait()
        folder = folder_of(store)
        events = acknowledged(folder)
        assert events[: len(before)] == before, "an acknowledged event was lost"
        before = events
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, f"the driver ended by itself with {process.returncode}"
    check(folder, name, store)
    return {**killed, "events": len(before)}


def folder_of(store: Path) -> Path:
    (folder,) = [file.parent for file in store.glob("*/journal.jsonl")]
    return folder


def wait_for_progress(store: Path, events: int, process: subprocess.Popen[Any]) -> int:
    """Waits for more events than `count`, so that each kill hits a run in progress; returns their number."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        files = list(store.glob("*/journal.jsonl"))
        found = files[0].read_bytes().count(b'"e":[') if files else 0
        if found > events:
            return found
        time.sleep(0.02)
    return events


def kill_a_worker(folder: Path, moments: random.Random) -> bool:
    """Kills one of the processes that run a trial according to the journal; returns whether it found one."""
    at: dict[int, int] = {}
    for event in Journal(folder).events():
        if isinstance(event, Started):
            at[event.trial] = int(event.worker.rpartition("/")[2])
    running = sorted(pid for pid in set(at.values()) if is_worker(pid))
    if not running:
        return False
    try:
        os.kill(moments.choice(running), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def is_worker(pid: int) -> bool:
    """Whether the process is one of this package's workers: numbers of processes are given again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"RayWorker" in command or b"tunedsl.backends.local" in command


def check(folder: Path, name: str, store: Path) -> None:
    """The result equals that of the same run without kills, which does not depend on timing."""
    whole = VICTIMS[name](store / CALM).run(engine="inline", quiet=True)
    results = load(folder)
    proof, calm = replay(folder), replay(whole.path)
    assert results.finished
    losses = [event for event in Journal(folder).events() if isinstance(event, Failed)]
    assert {event.kind for event in losses} <= {"lost"}, losses
    for number, trial in calm.state.trials.items():
        assert told(proof.state.trials[number]) == told(trial)
    assert len(proof.state.trials) == len(calm.state.trials)
    for found, expected in zip(story(folder), story(whole.path), strict=True):
        assert found == expected, "what was decided is not what it is in the run that was never killed"
    if not losses:
        assert proof.digest == calm.digest, "the end is not that of the run that was never killed"
    nothing_finished_ran_again(folder)


def nothing_finished_ran_again(folder: Path) -> None:
    over: set[int] = set()
    for line in Journal(folder).records():
        event = line.e
        if isinstance(event, Started):
            assert event.trial not in over, f"trial {event.trial} had finished and was run again"
        if isinstance(event, Ended) or (isinstance(event, Reported) and event.ends):
            over.add(event.trial)
        over.update(command.trial for command in line.c if isinstance(command, Stop))


def story(folder: Path) -> Iterator[Any]:
    """Events and decisions without losses, their retries, and the numbers of attempts, which losses add to."""
    begun: set[int] = set()
    for line in Journal(folder).records():
        event = line.e
        if event is None or isinstance(event, Failed):
            continue
        left = {command.trial for command in line.c if isinstance(command, (Pause, CopyCheckpoint, Stop))}
        if isinstance(event, Started):
            if event.trial in begun:
                continue
            begun.add(event.trial)
            event = msgspec.structs.replace(event, attempt=0)
        begun -= left
        yield (
            without_timings(event),
            [
                msgspec.structs.replace(command, attempt=0) if isinstance(command, (Launch, Pause, Stop)) else command
                for command in line.c
            ],
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60, help="in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--victims", nargs="+", choices=[*VICTIMS], default=[*VICTIMS])
    parser.add_argument("--whom", nargs="+", choices=["driver", "worker", "both"], default=["driver", "worker", "both"])
    asked = parser.parse_args()
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    address = ray.get_runtime_context().gcs_address
    runs = [(name, whom) for name in asked.victims for whom in asked.whom]
    for number, (name, whom) in enumerate(runs):
        kills = asked.kills * (number + 1) // len(runs) - asked.kills * number // len(runs)
        chosen = ("driver", "worker") if whom == "both" else (whom,)
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            counts = kill_until_done(Path(folder), "ray", kills, asked.seed + number, address, name, chosen)
        print(f"{name:10} {whom:7} {counts}, {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()

"""Replay of a journal of a million events: time, and memory beside that of a tenth of it with as many trials."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.measure import show
from tests.plans import make_plan
from tunedsl.base import codec
from tunedsl.journal import FORMAT, FileWriter, Header, journal_file, replay
from tunedsl.kernel import CapacityChanged, Event, Proposed, Reported, Started, initial, step

TRIALS = 100


def write(folder: Path, events: int) -> None:
    """A journal of `TRIALS` trials that report one by one."""
    plan = make_plan(trials=TRIALS, parallel=TRIALS)
    writer = FileWriter(journal_file(folder))
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
    state = initial(plan)

    def add(event: Event) -> None:
        nonlocal state
        state, commands = step(plan, state, event)
        writer.event(event, commands)

    add(CapacityChanged(0.0, TRIALS))
    for trial in range(TRIALS):
        add(Proposed(0.0, trial, {"x": 0.5}, f"{trial:05d}"))
        add(Started(0.0, trial, 0))
    iterations = events // TRIALS
    for iteration in range(1, iterations + 1):
        for trial in range(TRIALS):
            ends = "rule" if iteration == iterations else ""
            row = ((1.0 / iteration,),)
            add(Reported(float(iteration), trial, iteration, ("loss",), row, (float(iteration),), False, ends))
        writer.flush()
    writer.close()


def main() -> None:
    for events in (100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), events)
            child = subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.replaying", folder], capture_output=True, text=True, check=True
            )
            show(f"replay of {events:,} events", child.stdout.strip())


def measure(folder: str) -> None:
    began = time.perf_counter()
    replay(folder)
    taken = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{taken:.1f} s, at most {memory:.0f} MiB")


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()

"""Opening an experiment of 100,000 trials: loading results and plan, verifying and resuming.

python -m tests.benchmarks.opening
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import show
from tunedsl import asha, load, loguniform, replay, space, uniform
from tunedsl.backends.simulated import SimulatedEngine
from tunedsl.experiment import Experiment
from tunedsl.journal import Journal, read_status

TRIALS = 100_000


def train(config: dict[str, Any]) -> None:
    raise AssertionError("trials are simulated")


def experiment(store: str) -> Experiment:
    base = space(lr=loguniform(1e-4, 1e-1), x=uniform(0, 1)).trainable(train).minimize("loss")
    return base.scheduler(asha(max_t=9, reduction_factor=3)).samples(TRIALS).parallel(64).seed(1).store(store)


def timed(what: str, work: Any) -> Any:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    show(what, f"{time.perf_counter() - wall:.2f} s, {time.process_time() - cpu:.2f} s of CPU")
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as store:
        engine = SimulatedEngine(curve=lambda config, iteration: (config["x"] - 0.3) ** 2 + 1 / iteration)
        path = timed("run on a virtual clock", lambda: experiment(store).run(engine=engine, quiet=True).path)
        assert isinstance(path, Path)
        size = sum(file.stat().st_size for file in path.rglob("*.jsonl*"))
        raw = sum(len(line) for line, _ in Journal(path).raw())
        show("size", f"{size / 2**20:.1f} MiB for {raw / 2**20:.1f} MiB of records")
        results = timed("load", lambda: load(path))
        timed("plan", lambda: Journal(path).plan)
        timed("best (all that show needs)", lambda: results.best)
        timed("standing (before a resume)", lambda: read_status(Journal(path)))
        timed("records", lambda: sum(1 for _ in Journal(path).records()))
        print(timed("replay", lambda: replay(path)))


if __name__ == "__main__":
    main()

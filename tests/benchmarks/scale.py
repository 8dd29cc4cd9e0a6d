"""Simulated runs of many trials: seconds, events, microseconds of processor time for an event and memory, by scheduler.

    python -m tests.benchmarks.scale [TRIALS ...] [SCHEDULER ...] [workers=10000]

Each run is a process of its own. Its records are encoded as in a journal, and counted instead of kept, so that the
memory is that of the decisions. Trials take different times, so that they reach a milestone in any order.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import show
from tunedsl import Trainable, asha, fifo, hyperband, space, uniform
from tunedsl.backends import SimulatedEngine
from tunedsl.base import codec
from tunedsl.base.references import referenced_objects
from tunedsl.driver.driver import Driver
from tunedsl.journal import FORMAT, Header, MemoryWriter
from tunedsl.runs.compiling import compile_plan
from tunedsl.schedulers import asha_promote, median_stopping, pasha, pbt
from tunedsl.searchers import bohb
from tunedsl.worker import Shipment

WORKERS = 10_000
ITERATIONS = 9
SIZES = (20_000, 200_000, 1_000_000)
SCHEDULERS: dict[str, Any] = {
    "fifo": fifo(),
    "asha": asha(max_t=ITERATIONS, reduction_factor=3),
    "asha_promote": asha_promote(max_t=ITERATIONS, reduction_factor=3),
    "pasha": pasha(max_t=ITERATIONS, reduction_factor=3),
    "hyperband": hyperband(max_t=ITERATIONS, reduction_factor=3),
    "hyperband, bohb": hyperband(max_t=ITERATIONS, reduction_factor=3, bohb=True),
    "median_stopping, iterations": median_stopping(time_attr="training_iteration", grace_period=3),
    "median_stopping, seconds": median_stopping(grace_period=3),
    "pbt": pbt(perturbation_interval=3, hyperparam_mutations={"x": uniform(0, 1)}),
}


class Simulated(Trainable):
    """Never run; it only declares that trials can be paused."""

    def setup(self, config: dict[str, Any], **data: Any) -> None: ...

    def step(self) -> dict[str, float]:
        return {"loss": 0.0}

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


class CountedRecords(MemoryWriter):
    """Encodes records and keeps none of them."""

    size = 0

    def flush(self) -> bool:
        self.size += sum(map(len, self.lines))
        self.lines.clear()
        return False


def curve(config: dict[str, Any], iteration: int) -> float:
    return float(config["x"] + 1 / iteration)


def cost(config: dict[str, Any], iteration: int) -> float:
    return float(1 + config["pace"])


def driver_of(
    scheduler: Any, trials: int, workers: int = WORKERS, searcher: Any = None
) -> tuple[Driver, CountedRecords]:
    """A driver of a simulated run, and the writer that counts its records."""
    definition = (
        space(x=uniform(0, 1), pace=uniform(0, 1))
        .trainable(Simulated)
        .minimize("loss")
        .scheduler(scheduler)
        .stop(training_iteration=ITERATIONS)
        .samples(trials)
        .parallel(workers)
        .seed(0)
    )
    if getattr(scheduler, "bohb", False):
        searcher = bohb()
    if searcher is not None:
        definition = definition.searcher(searcher)
    plan, writer = compile_plan(definition, "simulated"), CountedRecords()
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
    objects = referenced_objects(plan)
    shipment = Shipment.of(plan, {}, objects, ".")
    return Driver(plan, SimulatedEngine(curve, cost), writer, shipment, objects.__getitem__), writer


def measured(name: str, trials: int, workers: int) -> None:
    """Run one size of one scheduler, and show its figures."""
    driver, writer = driver_of(SCHEDULERS[name], trials, workers)
    began, cpu = time.perf_counter(), time.process_time()
    driver.run()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    show(
        f"{name}, {trials:,} trials, {workers:,} workers",
        f"{took:7.1f} s, {cpu:7.1f} s of processor time, {writer.count:10,} events, "
        f"{cpu / writer.count * 1e6:5.1f} us each, peak {memory:,.0f} MiB, journal {writer.size / 2**20:,.0f} MiB",
    )


def main(arguments: Sequence[str]) -> None:
    option = "workers="
    workers = next((int(each[len(option) :]) for each in arguments if each.startswith(option)), WORKERS)
    sizes = [int(each) for each in arguments if each.isdigit()] or SIZES
    names = [each for each in arguments if each in SCHEDULERS] or list(SCHEDULERS)
    if len(sizes) == len(names) == 1:
        measured(names[0], sizes[0], workers)
        return
    for name in names:
        for trials in sizes:
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.scale", name, str(trials), f"{option}{workers}"], check=True
            )


if __name__ == "__main__":
    main(sys.argv[1:])

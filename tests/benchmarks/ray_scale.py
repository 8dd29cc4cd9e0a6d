"""Many workers, trials and reports on Ray, and the memory of the driver meanwhile.

python -m tests.benchmarks.ray_scale [WORKERS TRIALS REPORTERS REPORTS]; a cluster of real size: 300 50000 100 1000000
"""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import ray

from tests.benchmarks.measure import show
from tunedsl import report, space, uniform

RATE, RATE_SECONDS = 100, 10
SAMPLE_SECONDS = 0.5
PAGE = 4096


def once(config: dict[str, Any]) -> None:
    report(loss=config["x"])


def steadily(config: dict[str, Any]) -> None:
    began = time.monotonic()
    for step in range(RATE * RATE_SECONDS):
        time.sleep(max(0.0, began + step / RATE - time.monotonic()))
        report(loss=config["x"] + step)


def many(config: dict[str, Any]) -> None:
    for step in range(config["reports"]):
        report(loss=config["x"] + step)


class Memory:
    """The driver's memory: samples of its resident size in MiB."""

    def __enter__(self) -> Memory:
        self.samples: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.samples.append(pages * PAGE / 2**20)
            if self._over.wait(SAMPLE_SECONDS):
                return

    def __str__(self) -> str:
        quarter = self.samples[len(self.samples) // 4]
        return f"{quarter:.0f} MiB after a quarter of the time, {self.samples[-1]:.0f} MiB at the end"


def measured(what: str, trainable: Any, samples: int, workers: int, reports: int) -> None:
    """Run trials on workers with fractional cores; show the rate of reports and the driver's memory."""
    with tempfile.TemporaryDirectory() as store, Memory() as memory:
        made = space(x=uniform(0, 1), reports=reports).trainable(trainable).minimize("loss").samples(samples)
        began = time.perf_counter()
        results = made.parallel(workers).resources(cpu=0.01).seed(0).store(store).run(quiet=True)
        took = time.perf_counter() - began
        stats = results.stats
    show(what, f"{took:.1f} s, {stats.iterations / took:,.0f} reports a second, {len(results.errors)} failed")
    show(f"{what}: memory of the driver", str(memory))


def main() -> None:
    workers, trials, reporters, reports = map(int, sys.argv[1:] or (30, 5_000, 10, 1_000_000))
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    measured(f"{trials:,} trials on {workers} workers", once, trials, workers, 1)
    measured(f"{reporters} trials with {RATE} reports a second each", steadily, reporters, reporters, 1)
    measured(f"one trial with {reports:,} reports", many, 1, 1, reports)


if __name__ == "__main__":
    main()

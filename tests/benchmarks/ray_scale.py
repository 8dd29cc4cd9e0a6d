"""Many workers, trials and reports, and large ones: rates, the driver's memory, open files, threads, size of journals.

    python -m tests.benchmarks.ray_scale [ENGINE WORKERS TRIALS REPORTERS REPORTS]

The default is `ray 30 5000 10 1000000`; a cluster of real size: `ray 300 50000 100 1000000`. On Ray, the same number
of short trials as workers also runs in Ray Tune.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import show
from tunedsl import report, space, uniform

RATE, RATE_SECONDS = 100, 10
SAMPLE_SECONDS = 0.5
PAGE = 4096
METRICS, WIDE_TRIALS, WIDE_REPORTS = 200, 100, 50
TEXT_BYTES, TEXT_REPORTS = 1_000_000, 50


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


def wide(config: dict[str, Any]) -> None:
    for step in range(WIDE_REPORTS):
        report(loss=config["x"] + step, **{f"metric_{number}": step / number for number in range(1, METRICS)})


def long_text(config: dict[str, Any]) -> None:
    for step in range(TEXT_REPORTS):
        report(loss=config["x"] + step, note=chr(97 + step % 26) * TEXT_BYTES)


def handles() -> str:
    """The open files and threads of this process."""
    gc.collect()
    return f"{len(os.listdir('/proc/self/fd'))} open files, {threading.active_count()} threads"


def measured(
    what: str, trainable: Any, samples: int, workers: int, reports: int, engine: str, parameters: int = 0
) -> None:
    """Run trials on workers with fractional cores; show the rates, the memory, and what is open before and after."""
    more = {f"p{number}": uniform(0, 1) for number in range(parameters)}
    before = handles()
    with tempfile.TemporaryDirectory() as store, Memory() as memory:
        made = space(x=uniform(0, 1), reports=reports, **more).trainable(trainable).minimize("loss").samples(samples)
        began = time.perf_counter()
        results = made.parallel(workers).resources(cpu=0.01).seed(0).store(store).run(engine=engine, quiet=True)
        took = time.perf_counter() - began
        stats, errors = results.stats, len(results.errors)
        size = sum(file.stat().st_size for file in Path(results.path).iterdir() if file.is_file())
        del results
    show(
        what,
        f"{took:.1f} s, {samples / took:,.1f} trials and {stats.iterations / took:,.0f} reports a second, "
        f"{errors} failed, journal {size / 2**20:.1f} MiB",
    )
    show("  memory of the driver", str(memory))
    show("  before and after", f"{before}; {handles()}")


def with_tune(samples: int) -> None:
    """The same short trials in Ray Tune, on the same cluster."""
    from ray import tune

    def once(config: dict[str, Any]) -> None:
        tune.report({"loss": config["x"]})

    before = handles()
    with tempfile.TemporaryDirectory() as store, Memory() as memory:
        tuner = tune.Tuner(
            tune.with_resources(once, {"cpu": 0.01}),
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=samples, metric="loss", mode="min", reuse_actors=True),
            run_config=tune.RunConfig(storage_path=store, verbose=0),
        )
        began = time.perf_counter()
        found = tuner.fit()
        took = time.perf_counter() - began
    show(
        f"Ray Tune, {samples} trials", f"{took:.1f} s, {samples / took:,.1f} trials a second, {found.num_errors} failed"
    )
    show("  memory of the driver", str(memory))
    show("  before and after", f"{before}; {handles()}")


def main() -> None:
    engine, *numbers = sys.argv[1:] or ("ray", "30", "5000", "10", "1000000")
    workers, trials, reporters, reports = map(int, numbers)
    if engine == "ray":
        import ray

        warnings.simplefilter("ignore")
        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        measured(f"{workers} trials on {workers} new workers", once, workers, workers, 1, engine)
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(workers)
        with_tune(workers)
    measured(f"{trials:,} trials on {workers} workers", once, trials, workers, 1, engine)
    measured(f"{reporters} trials with {RATE} reports a second each", steadily, reporters, reporters, 1, engine)
    measured(f"one trial with {reports:,} reports", many, 1, 1, reports, engine)
    measured(f"500 parameters, {METRICS} metrics", wide, WIDE_TRIALS, 2, 1, engine, parameters=498)
    measured("reports with 1 MB of text", long_text, 2, 2, 1, engine)


if __name__ == "__main__":
    main()

"""Checkpoints on Ray beside plain `shutil.copytree` to the same disk: 16 of 10 MB, and one of 1 GB.

A trainable writes its checkpoint straight into its place, so what is compared is what comes on top of that.
"""

from __future__ import annotations

import logging
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import ray

from tests.benchmarks.measure import show
from tunedsl import Trainable, space

MB = 1_000_000


class Heavy(Trainable):
    """Saves `config["size"]` bytes of noise at every step, and reports how long its own code took since the last."""

    def setup(self, config: dict[str, Any], **data: Any) -> None:
        self.noise, self.own = os.urandom(config["size"]), 0.0

    def step(self) -> dict[str, float]:
        began, own = time.perf_counter(), self.own
        self.noise = os.urandom(8) + self.noise[8:]  # as training does: nothing stays the same
        self.own = time.perf_counter() - began
        return {"loss": 0.0, "own": own + self.own, "ended": time.perf_counter()}

    def save(self, folder: Path) -> None:
        began = time.perf_counter()
        (folder / "weights").write_bytes(self.noise)
        self.own = time.perf_counter() - began

    def load(self, folder: Path) -> None:
        self.noise = (folder / "weights").read_bytes()


def ours(size: int, count: int) -> float:
    """Seconds that a checkpoint adds to an iteration, beside the user's own writing of it."""
    with tempfile.TemporaryDirectory() as store:
        e = space(size=size).trainable(Heavy).minimize("loss").stop(training_iteration=count + 1)
        results = e.checkpoint(every=1, keep=1).samples(1).seed(0).store(store).run(quiet=True)
        curve = results.trials[0].curve
        ended = list(curve["ended"])
        return (ended[-1] - ended[0] - sum(list(curve["own"])[1:])) / count


def copytree(size: int, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        (source / "weights").write_bytes(os.urandom(size))
        began = time.perf_counter()
        for index in range(count):
            shutil.copytree(source, Path(folder) / str(index))
        return (time.perf_counter() - began) / count


def main() -> None:
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    for size, count in ((10 * MB, 16), (1000 * MB, 1)):
        pairs = [(ours(size, count), copytree(size, count)) for _ in range(3)]
        mine, plain = (statistics.median(values) for values in zip(*pairs, strict=True))
        what = f"{count} checkpoints of {size // MB:,} MB"
        show(what, f"{mine:.3f} s each, copytree {plain:.3f} s: {mine / plain:.2f} x")


if __name__ == "__main__":
    main()

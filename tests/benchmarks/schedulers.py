"""Epochs that each scheduler spends until a trial reaches the top 1 % of configurations, over recorded curves.

    python -m tests.benchmarks.schedulers FOLDER

64 virtual workers, 20 seeds, random search. Those that change configurations on the way (PBT, PB2) cannot be looked
up in a table of curves, and are not here. Beside Syne Tune: `tests.benchmarks.syne`.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measure import show
from tests.benchmarks.taskset import WORKERS, experiment, losses_in_order
from tunedsl import Trainable, asha, fifo, hyperband
from tunedsl.runs import dry_run
from tunedsl.schedulers import asha_promote, median_stopping, pasha

SEEDS = 20


class Looked(Trainable):
    """Never run; it only declares that trials can be paused."""

    def setup(self, config: dict[str, Any], **data: Any) -> None:
        self.row = config["row"]

    def step(self) -> dict[str, float]:
        return {"loss": float(self.row)}

    def save(self, folder: Path) -> None:
        (folder / "row").write_text(str(self.row))

    def load(self, folder: Path) -> None:
        self.row = int((folder / "row").read_text())


def spent(scheduler: Any, valid: np.ndarray[Any, Any], seed: int, target: float) -> tuple[int, int, float]:
    """Epochs until the target, epochs in all, and the best loss found."""
    trials, epochs = valid.shape
    order = np.random.RandomState(seed).permutation(trials)
    e = experiment(order, seed, scheduler, epochs).trainable(Looked)
    forecast = dry_run(e, curve=lambda config, epoch: float(valid[config["row"], epoch - 1]))
    losses = losses_in_order(forecast.journal)
    reached = next((index for index, loss in enumerate(losses, 1) if loss <= target), len(losses))
    return reached, len(losses), float(np.nanmin(losses))


def main(folder: str) -> None:
    files = sorted(Path(folder).glob("*.npz"))
    if not files:
        sys.exit(f"skipped: no .npz files in {folder}")
    for file in files:
        valid = np.load(file)["valid"].astype(float)
        epochs = valid.shape[1]
        target = float(np.nanquantile(valid[:, -1], 0.01))
        print(f"{file.stem}: {len(valid)} configurations, {epochs} epochs, {WORKERS} workers, top 1 % is {target:.5f}")
        schedulers = {
            "random search, FIFO": fifo(),
            "median stopping": median_stopping(time_attr="training_iteration", grace_period=5),
            "ASHA, stopping": asha(max_t=epochs, reduction_factor=3),
            "ASHA, promotion": asha_promote(max_t=epochs, reduction_factor=3),
            "PASHA": pasha(max_t=epochs, reduction_factor=3),
            "HyperBand": hyperband(max_t=epochs, reduction_factor=3),
        }
        for name, scheduler in schedulers.items():
            runs = [spent(scheduler, valid, seed, target) for seed in range(SEEDS)]
            reached, total, best = (statistics.median(values) for values in zip(*runs, strict=True))
            show(f"  {name}", f"{reached:7,.0f} epochs to the top 1 %, {total:7,.0f} in all, best {best:.5f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""BOHB beside random HyperBand over recorded curves: epochs until a trial reaches the top 1 % of configurations.

    python -m tests.benchmarks.model_based FOLDER

What is proposed between the recorded configurations gets the curve of the nearest one, by the scaled (mostly log)
hyperparameters. 8 virtual workers, 20 seeds, 300 trials.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measure import show
from tests.benchmarks.schedulers import Looked
from tests.benchmarks.taskset import losses_in_order
from tunedsl import hyperband, loguniform, space, tpe, uniform
from tunedsl.runs import dry_run
from tunedsl.searchers import bohb, random_search

SEEDS, TRIALS, WORKERS = 20, 300, 8


def nearest_curve(
    names: list[str], plain: list[bool], scaled: np.ndarray[Any, Any], valid: np.ndarray[Any, Any]
) -> Callable[[dict[str, Any], int], float]:
    """The curve of the recorded configuration that is nearest in scaled hyperparameters."""
    low, high = scaled.min(axis=0), scaled.max(axis=0)
    points = (scaled - low) / (high - low)

    def curve(config: dict[str, Any], epoch: int) -> float:
        at = np.array([config[name] for name in names])
        near = (np.where(plain, at, np.log(at)) - low) / (high - low)
        return float(valid[np.argmin(((points - near) ** 2).sum(axis=1)), epoch - 1])

    return curve


def main(folder: str) -> None:
    files = sorted(Path(folder).glob("*.npz"))
    if not files:
        sys.exit(f"skipped: no .npz files in {folder}")
    for file in files:
        data = np.load(file)
        names, valid = [str(name) for name in data["hp_names"]], data["valid"].astype(float)
        plain = [name in ("beta1", "beta2") for name in names]
        scaled = np.where(plain, data["hp"], np.log(np.maximum(data["hp"], 1e-300)))
        low, high = scaled.min(axis=0), scaled.max(axis=0)
        params = {
            name: uniform(a, b) if even else loguniform(float(np.exp(a)), float(np.exp(b)))
            for name, even, a, b in zip(names, plain, low.tolist(), high.tolist(), strict=True)
        }
        target = float(np.nanquantile(valid[:, -1], 0.01))
        epochs = valid.shape[1]
        print(f"{file.stem}: {TRIALS} trials, {WORKERS} workers, top 1 % is {target:.5f}")
        curve = nearest_curve(names, plain, scaled, valid)
        pairs = {
            "random HyperBand": (random_search(), hyperband(max_t=epochs, reduction_factor=3)),
            "HyperBand with TPE": (tpe(), hyperband(max_t=epochs, reduction_factor=3)),
            "BOHB": (bohb(), hyperband(max_t=epochs, reduction_factor=3, bohb=True)),
        }
        for name, (searcher, scheduler) in pairs.items():
            runs = []
            for seed in range(SEEDS):
                e = space(**params).trainable(Looked).minimize("loss").searcher(searcher).scheduler(scheduler)
                e = e.samples(TRIALS).parallel(WORKERS).seed(seed)
                losses = losses_in_order(dry_run(e, curve=curve).journal)
                reached = next((at for at, loss in enumerate(losses, 1) if loss <= target), len(losses))
                runs.append((reached, len(losses), float(np.nanmin(losses))))
            epochs_to, total, best = (statistics.median(values) for values in zip(*runs, strict=True))
            show(f"  {name}", f"{epochs_to:7,.0f} epochs to the top 1 %, {total:7,.0f} in all, best {best:.5f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

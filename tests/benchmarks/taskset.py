"""Simulated ASHA and random search over recorded learning curves, 64 virtual workers.

    python -m tests.benchmarks.taskset FOLDER

FOLDER holds `.npz` files with `hp` (configurations), `hp_names` and `valid` (configurations, epochs), lower is better.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measure import show
from tunedsl import asha, diverged, fifo, grid, report, space
from tunedsl.backends import SimulatedEngine
from tunedsl.experiment import Experiment
from tunedsl.journal import Journal
from tunedsl.kernel import Reported

SEEDS = 20
WORKERS = 64


def train(config: dict[str, Any]) -> None:
    report(loss=0.0, row=config["row"])  # never run: curves are looked up


def experiment(order: np.ndarray[Any, Any], seed: int, scheduler: Any, epochs: int) -> Experiment:
    return (
        space(row=grid(order.tolist()))
        .trainable(train)
        .minimize("loss")
        .scheduler(scheduler)
        .stop(training_iteration=epochs)
        .parallel(WORKERS)
        .seed(seed)
    )


def losses_in_order(journal: Journal) -> list[float]:
    """The losses of all epochs in the order of their virtual time; a batch is journaled at the time of its last."""
    timed = []
    for event in journal.events():
        if isinstance(event, Reported):
            for elapsed, row in zip(event.times, event.rows, strict=True):
                timed.append((event.seconds - event.times[-1] + elapsed, event.trial, float(row[0])))
    return [loss for _, _, loss in sorted(timed, key=lambda item: item[:2])]


def main(folder: str) -> None:
    files = sorted(Path(folder).glob("*.npz"))
    if not files:
        sys.exit(f"skipped: no .npz files in {folder}")
    for file in files:
        valid = np.load(file)["valid"].astype(float)
        trials, epochs = valid.shape
        best = np.nanmin(valid)
        print(f"{file.stem}: {trials} configurations, {epochs} epochs, best {best:.5f}")
        for name, scheduler, stops in (
            ("random search, FIFO", fifo(), False),
            ("ASHA", asha(max_t=epochs, reduction_factor=3), False),
            ("ASHA, diverged trials stopped", asha(max_t=epochs, reduction_factor=3), True),
        ):
            found, spent, walls = [], [], []
            for seed in range(SEEDS if scheduler != fifo() else 3):
                order = np.random.RandomState(seed).permutation(trials)

                def curve(config: dict[str, Any], epoch: int, valid: Any = valid) -> float:
                    return float(valid[config["row"], epoch - 1])

                e = experiment(order, seed, scheduler, epochs)
                e = e.stop(diverged("loss")) if stops else e
                with tempfile.TemporaryDirectory() as store:
                    began = time.perf_counter()
                    results = e.store(store).run(engine=SimulatedEngine(curve), quiet=True)
                    walls.append(time.perf_counter() - began)
                    found.append(results.best_trial(scope="all").curve["loss"].min())
                    spent.append(sum(trial.iterations for trial in results.trials))
            show(
                f"  {name}",
                f"best {np.median(found):.5f}, {np.median(spent):,.0f} epochs, {np.median(walls):.2f} s simulated",
            )


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Promotion by ASHA and PASHA on real, recorded and surrogate learning curves: what each spends, and what it finds.

    python -m tests.benchmarks.curves [DATA] [development|reported]

DATA is `../shared/data` by default. 8 workers, 10 seeds, at most 200 configurations; medians over seeds and then over
tasks. `spent` is relative to training every configuration to its end. Regret is 0 for the best configuration of a task
at its end and 1 for the median one: `chosen` is the final regret of the trial that is best where most was spent,
`found` the best value that any trial reported. Options were chosen on the development tasks alone.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

import numpy as np

from tests.benchmarks.measure import show
from tests.benchmarks.recorded import Split, Task, tasks
from tests.benchmarks.schedulers import Looked
from tunedsl import grid, space
from tunedsl.kernel import Reported
from tunedsl.runs import dry_run
from tunedsl.schedulers import asha, asha_promote, pasha

SEEDS, WORKERS, TRIALS = 10, 8, 200


def played(task: Task, scheduler: Any, seed: int) -> tuple[float, float, float]:
    """The share of all iterations that was spent, and the two regrets."""
    order = np.random.RandomState(seed).permutation(len(task.curves))[:TRIALS]
    e = space(row=grid(order.tolist())).trainable(Looked).minimize("loss").scheduler(scheduler)
    e = e.stop(training_iteration=task.epochs).parallel(WORKERS).seed(seed)
    forecast = dry_run(e, curve=lambda config, epoch: float(task.curves[config["row"], epoch - 1]))
    reached = np.zeros(len(order), int)
    for event in forecast.journal.events():
        if isinstance(event, Reported):
            reached[event.trial] = max(reached[event.trial], event.last)
    curves = task.curves[order]
    furthest = np.flatnonzero(reached == reached.max())
    chosen = furthest[np.argmin(curves[furthest, reached.max() - 1])]
    seen = np.where(np.arange(task.epochs) < reached[:, None], curves, np.inf).min()
    return float(reached.sum() / curves.size), task.regret(curves[chosen, -1]), task.regret(seen)


def main(folder: str = "../shared/data", split: Split = "reported") -> None:
    known = tasks(folder, split)
    if not known:
        sys.exit(f"skipped: no curves in {folder}")
    for source in sorted({task.source for task in known}):
        chosen = [task for task in known if task.source == source]
        print(f"{source}: {len(chosen)} {split} tasks, {SEEDS} seeds")
        for name, make in (
            ("ASHA, stopping", lambda epochs: asha(max_t=epochs, reduction_factor=3)),
            ("ASHA, promotion", lambda epochs: asha_promote(max_t=epochs, reduction_factor=3)),
            ("PASHA, noise at rungs, no final trials", lambda epochs: pasha(epochs, noise="rungs", final_trials=0)),
            ("PASHA as published, no final trials", lambda epochs: pasha(epochs, final_trials=0)),
            ("PASHA as published, 1 final trial", lambda epochs: pasha(epochs, final_trials=1)),
            ("PASHA, noise at rungs, 3 final trials", lambda epochs: pasha(epochs, noise="rungs")),
            ("PASHA, the default", lambda epochs: pasha(epochs)),
        ):
            rows = []
            for task in chosen:
                runs = [played(task, make(task.epochs), seed) for seed in range(SEEDS)]
                rows.append([statistics.median(column) for column in zip(*runs, strict=True)])
            spent, picked, found = (statistics.median(column) for column in zip(*rows, strict=True))
            show(f"  {name}", f"spent {spent:5.3f}, regret chosen {picked:5.3f}, found {found:6.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

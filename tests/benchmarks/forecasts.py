"""How often forecasts of a run so far hold the truth: time left, iterations, and the chance of a better trial.

    python -m tests.benchmarks.forecasts [DATA] [development|reported]

Runs over recorded and surrogate curves, random search, 8 workers, at most 100 trials, 1 seed. Each run is cut after a
quarter, a half and three quarters of its reports. `covered` is the share of ranges, of nominally 80 %, that hold what
happened; `width` is the median width of a range relative to the truth; `error` is the median distance of the median.
The last figures are the forecast chance of a better trial and how often one came.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from tests.benchmarks.measure import show
from tests.benchmarks.recorded import Split, Task, tasks
from tests.benchmarks.schedulers import Looked
from tunedsl import asha, fifo, grid, space
from tunedsl.journal import Journal
from tunedsl.kernel import Reported
from tunedsl.results import Results
from tunedsl.runs import dry_run, project
from tunedsl.schedulers import asha_promote, pasha

SEEDS, WORKERS, TRIALS, SIMULATIONS, CUTS = 1, 8, 100, 20, (0.25, 0.5, 0.75)


def outcomes(task: Task, scheduler: Any, seed: int) -> list[list[float]]:
    """For each cut: ranges and truths of seconds and iterations, and whether a better trial came."""
    order = np.random.RandomState(seed).permutation(len(task.curves))[:TRIALS]
    e = space(row=grid(order.tolist())).trainable(Looked).minimize("loss").scheduler(scheduler)
    e = e.stop(training_iteration=task.epochs).parallel(WORKERS).seed(seed)
    whole = dry_run(e, curve=lambda config, epoch: float(task.curves[config["row"], epoch - 1]))
    lines, events = [line for line, _ in whole.journal.raw()], list(whole.journal.events())
    reports = [place for place, event in enumerate(events) if isinstance(event, Reported)]
    found = []
    for cut in CUTS:
        at = reports[int(cut * len(reports))]
        so_far = Results(Journal(lines[: at + 2]))  # the first line is the header
        forecast = project(so_far, SIMULATIONS, seed)
        left, iterations = forecast.seconds_left, forecast.iterations
        values = [
            [float(row[0]) for event in part if isinstance(event, Reported) for row in event.rows]
            for part in (events[: at + 1], events[at + 1 :])
        ]
        truth = whole.seconds - events[at].seconds
        found.append(
            [
                *(left.low, left.median, left.high, truth),
                *(iterations.low, iterations.median, iterations.high, float(whole.iterations)),
                *(forecast.chance_to_improve, float(min(values[1], default=np.inf) < min(values[0]))),
            ]
        )
    return found


def main(folder: str = "../shared/data", split: Split = "reported") -> None:
    known = tasks(folder, split)
    if not known:
        sys.exit(f"skipped: no curves in {folder}")
    for name, make in (
        ("FIFO", lambda epochs: fifo()),
        ("ASHA", lambda epochs: asha(max_t=epochs, reduction_factor=3)),
        ("ASHA, promotion", lambda epochs: asha_promote(max_t=epochs, reduction_factor=3)),
        ("PASHA", lambda epochs: pasha(max_t=epochs)),
    ):
        cases = [(task, seed) for task in known for seed in range(SEEDS)]
        rows = np.array([row for task, seed in cases for row in outcomes(task, make(task.epochs), seed)])
        for what, (low, middle, high, truth) in (("time left", rows[:, :4].T), ("iterations", rows[:, 4:8].T)):
            able = truth > 0
            covered = np.mean((low <= truth * (1 + 1e-9)) & (truth <= high * (1 + 1e-9)))
            width = np.median((high - low)[able] / truth[able])
            error = np.median(np.abs(middle - truth)[able] / truth[able])
            show(f"{name}: {what}", f"covered {covered:4.0%}, width {width:5.0%}, error {error:5.0%}")
        show(f"{name}: a better trial", f"chance {rows[:, 8].mean():4.0%}, came {rows[:, 9].mean():4.0%}")


if __name__ == "__main__":
    main(*sys.argv[1:])

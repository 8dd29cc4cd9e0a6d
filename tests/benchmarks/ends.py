"""Ends of a study: trials saved against regret added, for the conditions of `until`.

    python -m tests.benchmarks.ends [CLASS ...]

Classes are those of `tests.benchmarks.problems`: by default the surrogates `lcbench` and `rpart`, tasks that nothing
was tuned on. 10 seeds, at most 150 trials, TPE. Losses are in percent. `saved` is the share of the 150 trials that were
not run. `added` is the best loss at the end less the best of all 150 trials, in percent points: the median and the 90th
percentile over tasks and seeds.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from tests.benchmarks.measure import show
from tests.benchmarks.problems import CLASSES, Problem
from tunedsl import report, space, tpe
from tunedsl.kernel import Reported
from tunedsl.runs import dry_run
from tunedsl.stopping import converged, no_improvement, regret_below

SEEDS, TRIALS, TASKS = 10, 150, 6
CONDITIONS = (
    no_improvement(trials=20),
    no_improvement(trials=30),
    no_improvement(trials=50),
    converged(top=10, std=0.05),
    converged(top=10, std=0.2),
    regret_below(0.2),
    regret_below(0.5),
    regret_below(1),
    regret_below(2),
)


def train(config: dict[str, Any]) -> None:
    report(loss=0.0)  # never run: losses are looked up


def losses(problem: Problem, scale: float, seed: int, condition: Any = None) -> list[float]:
    """The losses of a study, one for each trial."""
    e = space(dict(problem.space.params)).trainable(train).minimize("loss").searcher(tpe()).samples(TRIALS)
    e = e.stop(training_iteration=1).parallel(1).seed(seed)
    e = e if condition is None else e.until(condition)
    forecast = dry_run(e, curve=lambda config, epoch: scale * problem.loss(config))
    return [float(event.rows[-1][0]) for event in forecast.journal.events() if isinstance(event, Reported)]


def main(*classes: str) -> None:
    for name in classes or ("lcbench", "rpart"):
        problems = list(CLASSES[name](0, False))[:TASKS]
        if not problems:
            print(f"skipped: no data of {name}")
            continue
        scale = 100.0 if name == "rpart" else 1.0
        print(f"{name}: {len(problems)} tasks, {SEEDS} seeds, {TRIALS} trials at most")
        whole = {(at, seed): losses(each, scale, seed) for at, each in enumerate(problems) for seed in range(SEEDS)}
        for condition in CONDITIONS:
            saved, added = [], []
            for (at, seed), all_losses in whole.items():
                found = losses(problems[at], scale, seed, condition)
                saved.append(1 - len(found) / TRIALS)
                added.append(min(found) - min(all_losses))
            figures = f"added {np.median(added):6.3f}, {np.quantile(added, 0.9):6.3f}"
            show(f"  {condition!r}", f"saved {np.median(saved):5.0%}, {figures}")


if __name__ == "__main__":
    main(*sys.argv[1:])

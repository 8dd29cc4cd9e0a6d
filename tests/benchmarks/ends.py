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
from tunedsl.results import Results
from tunedsl.runs import dry_run
from tunedsl.stopping import converged, no_improvement, regret_below

SEEDS, TRIALS, TASKS = 10, 150, 4
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


def study(problem: Problem, scale: float, seed: int) -> Results:
    """A study of all trials."""
    names = {name.replace(".", "_"): name for name, _ in problem.space.params}
    params = {name.replace(".", "_"): domain for name, domain in problem.space.params}

    def loss(config: dict[str, Any], epoch: int) -> float:
        return scale * problem.loss({names[name]: item for name, item in config.items()})

    e = space(params).trainable(train).minimize("loss").searcher(tpe()).samples(TRIALS)
    e = e.stop(training_iteration=1).parallel(1).seed(seed)
    return Results(dry_run(e, curve=loss).journal)


def main(*classes: str) -> None:
    for name in classes or ("lcbench", "rpart"):
        problems = list(CLASSES[name](0, False))[:TASKS]
        if not problems:
            print(f"skipped: no data of {name}")
            continue
        scale = 100.0 if name == "rpart" else 1.0
        print(f"{name}: {len(problems)} tasks, {SEEDS} seeds, {TRIALS} trials at most")
        studies = [study(each, scale, seed) for each in problems for seed in range(SEEDS)]
        losses = [[trial.metrics["loss"] for trial in each.trials] for each in studies]
        for condition in CONDITIONS:
            # One trial after another: a study that ends early is the beginning of the whole one.
            counts = [each.what_if(until=condition).trials for each in studies]
            saved = [1 - count / TRIALS for count in counts]
            added = [min(all_of_it[:count]) - min(all_of_it) for count, all_of_it in zip(counts, losses, strict=True)]
            figures = f"added {np.median(added):6.3f}, {np.quantile(added, 0.9):6.3f}"
            show(f"  {condition!r}", f"saved {np.median(saved):5.0%}, {figures}")


if __name__ == "__main__":
    main(*sys.argv[1:])

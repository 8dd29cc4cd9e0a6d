"""Runs that tests of sinks share: odd numbers, late metrics, data, branches, failures, changed configurations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tests.experiments import Quadratic
from tunedsl import Experiment, asha, choice, grid, pbt, report, space, uniform
from tunedsl.results import Results
from tunedsl.sinks import Sink


def odd(config: dict[str, Any]) -> None:
    for step in range(1, 5):
        row: dict[str, Any] = {"loss": config["x"] / step, "big": step == 2}
        if step >= 2:
            row["late, with a comma"] = [math.nan, math.inf, -math.inf][step - 2]
        if step >= 3:
            row["note"] = 'a "b"\nc'
            row["val"] = {"f1": 0.5, "deep": {"n": step}}
        report(**row)
    if config["x"] == 3:
        raise ValueError("x is three")


def odd_ones(store: Path) -> Experiment:
    """Four trials, one of which fails."""
    return (
        space(
            x=grid([0, 1, 2, 3]),
            model=choice({"svm": space(C=uniform(0, 1)), "forest": space(trees=choice([10, 100]))}),
            layers=choice([[8, 8], [16]]),
        )
        .trainable(odd)
        .minimize("loss")
        .seed(1)
        .store(store)
        .named("odd")
    )


def population(store: Path) -> Results:
    """PBT on a virtual clock, where configurations change on the way."""
    experiment = (
        space(x=uniform(0, 1), pause=0.0)
        .trainable(Quadratic)
        .minimize("loss")
        .scheduler(pbt(perturbation_interval=2, hyperparam_mutations={"x": uniform(0, 1)}))
        .stop(training_iteration=8)
        .samples(4)
        .parallel(4)
        .order("logical")
        .seed(3)
        .store(store)
    )
    return experiment.run("inline", quiet=True)


def halving(store: Path) -> Experiment:
    """ASHA, which stops most trials."""
    return (
        space(x=uniform(0, 1))
        .trainable(odd)
        .minimize("loss")
        .scheduler(asha(max_t=4, reduction_factor=2))
        .samples(6)
        .parallel(2)
        .order("logical")
        .seed(5)
        .store(store)
    )


class Diary(Sink):
    """Records every notice."""

    entries: list[tuple[Any, ...]] = []

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        Diary.entries = []

    def on_start(self, run: Any) -> None:
        self.entries.append(("start", self.prefix + run.name))

    def on_trial(self, trial: Any) -> None:
        self.entries.append(("trial", trial.number, trial.changes, dict(trial.params)))

    def on_report(self, trial: Any, row: Any) -> None:
        self.entries.append(("report", trial.number, row["training_iteration"]))

    def on_end(self, trial: Any) -> None:
        self.entries.append(("end", trial.number, trial.status, trial.error))

    def close(self) -> None:
        self.entries.append(("close",))


class Breaks(Sink):
    """Fails at its second report."""

    reports = 0

    def on_report(self, trial: Any, row: Any) -> None:
        Breaks.reports += 1
        if Breaks.reports == 2:
            raise OSError("the disk is full")

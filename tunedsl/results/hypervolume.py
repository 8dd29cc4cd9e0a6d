"""The hypervolume of an experiment with several objectives: how much its trials dominate, over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base.errors import NoResult, wrong_value
from tunedsl.base.hypervolume import hypervolume
from tunedsl.base.objective import Objective
from tunedsl.base.pareto import Floats, pareto_front
from tunedsl.results.trial_history import RunHistory, TrialHistory

if TYPE_CHECKING:
    import pandas as pd


@attrs.frozen(eq=False)
class HypervolumeCurve:
    """The hypervolume after each trial that reported all objectives, in the order of their last reports.

    Attributes:
        records: the trials.
        seconds: of each one's last report.
        volumes: up to each of them, itself included.
        reference: by metric, the value from which the volume is measured.
    """

    records: tuple[TrialHistory, ...]
    seconds: Floats
    volumes: Floats
    reference: dict[str, float]

    def frame(self) -> pd.DataFrame:
        import pandas as pd

        names = pd.Series([record.name for record in self.records], dtype="str")
        return pd.DataFrame({"trial": names, "seconds": self.seconds, "hypervolume": self.volumes})


def hypervolume_curve(history: RunHistory, reference: Mapping[str, float] | None = None) -> HypervolumeCurve:
    """The hypervolume of the trials' last reports over time.

    Args:
        history: of the run.
        reference: a value for each objective, by metric; by default the worst one that a trial reported last. Two
            experiments can be compared only with the same reference.

    Raises:
        NoResult: without two objectives, or a trial with finite values of all.
        ArgumentError: for a reference that lacks an objective.
    """
    goals = history.plan.objectives
    if len(goals) < 2:
        raise NoResult("A hypervolume needs two objectives.\n  help: add .minimize(...) or .maximize(...)")
    records, losses = _last_losses(history, goals)
    signs = np.array([-goal.sign for goal in goals])
    point = losses.max(axis=0) if reference is None else signs * _checked(reference, goals)
    volumes = _volumes(losses, point)
    named = {goal.metric: float(sign * at) for goal, sign, at in zip(goals, signs, point, strict=True)}
    return HypervolumeCurve(records, np.array([each.last_report_seconds for each in records]), volumes, named)


def _last_losses(history: RunHistory, goals: tuple[Objective, ...]) -> tuple[tuple[TrialHistory, ...], Floats]:
    """The trials that did not fail and reported all objectives, by the time of their last report, and their losses."""
    able = [record for record in history.records.values() if record.status != "failed"]
    rows = [(record, [record.score(goal, "last") for goal in goals]) for record in able]
    whole = [(record, row) for record, row in rows if all(each is not None and np.isfinite(each) for each in row)]
    if not whole:
        raise NoResult(f"No trial has finite values of {', '.join(goal.metric for goal in goals)}.")
    whole.sort(key=lambda pair: (pair[0].last_report_seconds, pair[0].number))
    losses = np.array([row for _, row in whole], float) * [-goal.sign for goal in goals]
    return tuple(record for record, _ in whole), losses


def _checked(reference: Mapping[str, float], goals: tuple[Objective, ...]) -> Floats:
    names = [goal.metric for goal in goals]
    if set(reference) != set(names) or not all(np.isfinite(reference[name]) for name in names):
        raise wrong_value("hypervolume.reference", dict(reference), f"a finite number for each of {', '.join(names)}")
    return np.array([reference[name] for name in names], float)


def _volumes(losses: Floats, reference: Floats) -> Floats:
    """The hypervolume of the first points, for each number of them."""
    front: NDArray[np.float64] = losses[:0]
    found = np.zeros(len(losses))
    for place, point in enumerate(losses):
        found[place] = found[place - 1] if place else 0.0
        if not (front <= point).all(axis=1).any():
            front = np.concatenate([front, point[None]])
            front = front[pareto_front(front)]
            found[place] = hypervolume(front, reference)
    return found

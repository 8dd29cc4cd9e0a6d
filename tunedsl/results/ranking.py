"""The order of trials by quality, shared by `best`, tables, the report and plots."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Final

import attrs

from tunedsl.base.objective import Objective
from tunedsl.base.types import TrialStatus
from tunedsl.results.trial_history import Scope, TrialHistory

DIGITS: Final = 6


def rank(record: TrialHistory, score: float | None, objective: Objective) -> tuple[bool, bool, float]:
    """Smaller is better: failed trials come after all others with a value, and those without a value come last."""
    if score is None or math.isnan(score):
        return True, False, 0.0
    return False, record.status == "failed", -objective.sign * score


@attrs.frozen
class Peak:
    """The best value that any trial reported, if it is better than the last value of the best trial.

    Attributes:
        trial: the trial's id.
        status: what became of it.
        iteration: of the report.
    """

    metric: str
    value: float
    trial: str
    status: TrialStatus
    iteration: int

    def __str__(self) -> str:
        failed = ", which failed" if self.status == "failed" else ""
        return (
            f"a better {self.metric}={self.value:.{DIGITS}g} was reported before, by trial {self.trial}{failed}, "
            f"at iteration {self.iteration}: best_trial(scope='all') ranks by the best report of each trial"
        )


def best_record(
    records: Iterable[TrialHistory], objective: Objective, scope: Scope = "last", finite: bool = True
) -> TrialHistory | None:
    """The trial with the best score, the earlier among equals; None if no trial has a score."""
    scored = ((record, record.score(objective, scope, finite)) for record in records)
    ranked = ((rank(record, score, objective), record) for record, score in scored if score is not None)
    return min(ranked, key=lambda pair: pair[0], default=(None, None))[1]


def peak(records: Collection[TrialHistory], objective: Objective) -> Peak | None:
    """The best report of all trials; None if it is not better than the last report of the best trial."""
    best = best_record(records, objective)
    last = None if best is None else best.score(objective, "last")
    if last is None:
        return None
    found, limit = None, objective.sign * last
    for record in records:
        column = record.column(objective.metric)
        place = None if column is None else column.best(objective.mode)
        if column is not None and place is not None and objective.sign * column.values[place] > limit:
            limit = objective.sign * column.values[place]
            found = Peak(objective.metric, column.values[place], record.name, record.status, column.rows[place] + 1)
    return found

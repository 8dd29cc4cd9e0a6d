"""The order of trials by quality, shared by `best`, tables, the report and plots."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Final

import attrs

from tunedsl.base.objective import Objective
from tunedsl.base.types import TrialStatus
from tunedsl.results.feasibility import Constraints, violation
from tunedsl.results.trial_history import Scope, TrialHistory

DIGITS: Final = 6


Rank = tuple[bool, bool, float, float]
"""Whether there is no value, whether the trial failed, its total violation, and its loss; smaller is better."""


def rank(
    record: TrialHistory, score: float | None, objective: Objective, constraints: Constraints, at: int | None = None
) -> Rank:
    """Smaller is better: infeasible trials come after feasible ones, then failed ones, then those without a value.

    Args:
        at: the iteration at which the outcome constraints are checked; None for the last report.
    """
    if score is None or math.isnan(score):
        return True, False, 0.0, 0.0
    return False, record.status == "failed", violation(record, constraints, at), -objective.sign * score


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
    records: Iterable[TrialHistory],
    objective: Objective,
    scope: Scope = "last",
    finite: bool = True,
    constraints: Constraints = (),
) -> TrialHistory | None:
    """The trial with the best score, the earlier among equals; None if no trial has a score."""
    ranked = []
    for record in records:
        score, at = record.score(objective, scope, finite), None
        if scope == "all" and constraints and score is not None:
            score, at = _best_report(record, objective, finite, constraints)
        if score is not None:
            ranked.append((rank(record, score, objective, constraints, at), record))
    return min(ranked, key=lambda pair: pair[0], default=(None, None))[1]


def _best_report(
    record: TrialHistory, objective: Objective, finite: bool, constraints: Constraints
) -> tuple[float | None, int | None]:
    """The value and the iteration of the best report, feasible ones first."""
    column = record.column(objective.metric)
    reports = [] if column is None else zip(column.values, column.rows, strict=True)
    able = [(value, row + 1) for value, row in reports if math.isfinite(value) or not (finite or math.isnan(value))]
    keys = [(violation(record, constraints, at), -objective.sign * value) for value, at in able]
    return able[keys.index(min(keys))] if keys else (None, None)


def peak(records: Collection[TrialHistory], objective: Objective, constraints: Constraints = ()) -> Peak | None:
    """The best feasible report of all trials; None if it is not better than the last report of the best trial."""
    best = best_record(records, objective, constraints=constraints)
    last = None if best is None else best.score(objective, "last")
    if best is None or last is None or violation(best, constraints):
        return None
    found, limit = None, objective.sign * last
    for record in records:
        column = record.column(objective.metric)
        place = None if column is None else column.best(objective.mode)
        if constraints and column is not None and place is not None:
            _, at = _best_report(record, objective, True, constraints)
            feasible = at is not None and not violation(record, constraints, at)
            place = list(column.rows).index(at - 1) if feasible and at is not None else None
        if column is not None and place is not None and objective.sign * column.values[place] > limit:
            limit = objective.sign * column.values[place]
            found = Peak(objective.metric, column.values[place], record.name, record.status, column.rows[place] + 1)
    return found

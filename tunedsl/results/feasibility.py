"""Whether the results of trials meet the outcome constraints, and how many do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import attrs

from tunedsl.base.objective import total_violation
from tunedsl.base.types import AUTOMATIC_METRICS
from tunedsl.plan import Plan
from tunedsl.results.trial_history import TrialHistory
from tunedsl.spaces.expressions import Compare
from tunedsl.stopping import condition_metrics, describe_condition
from tunedsl.stopping.constraints import compile_constraints

Constraints = tuple[Compare, ...]


def violations(record: TrialHistory, constraints: Constraints, iteration: int | None = None) -> tuple[float, ...]:
    """By how much a trial violates each constraint, by the newest values up to an iteration; NaN where not known.

    Args:
        iteration: None for the last report.
    """
    compiled, at = compile_constraints(constraints), record.iterations if iteration is None else iteration
    return compiled.violations(tuple(record.value(name, record.newest(name, at)) for name in compiled.metrics))


def violation(record: TrialHistory, constraints: Constraints, iteration: int | None = None) -> float:
    """The total violation of a trial: 0 if it is feasible, infinity if one constraint is not known."""
    return total_violation(violations(record, constraints, iteration)) if constraints else 0.0


def violated(record: TrialHistory, constraints: Constraints) -> str:
    """The constraints that a trial does not meet, as text; empty if it is feasible."""
    texts = []
    for part, by in zip(constraints, violations(record, constraints), strict=True):
        if math.isnan(by):
            texts.append(f"{describe_condition(part)} is not known")
        elif by > 0:
            texts.append(f"{describe_condition(part)} is violated by {by:.6g}")
    return ", ".join(texts)


def compared_metrics(plan: Plan) -> list[str]:
    """The metrics of the objectives, then those of their outcome constraints, without automatic ones."""
    names = [goal.metric for goal in plan.objectives]
    names += [name for part in plan.constraints for name in condition_metrics(part) if names]
    return [name for name in dict.fromkeys(names) if name not in AUTOMATIC_METRICS[:2]]


@attrs.frozen
class Feasibility:
    """How many trials are feasible, of those that reported something and did not fail.

    Attributes:
        trials: how many are counted.
        feasible: how many meet all outcome constraints.
        violating: how many violate each constraint, by its text.
        missing: how many did not report a metric of a constraint, by the metric. They count as infeasible.
    """

    trials: int
    feasible: int
    violating: dict[str, int]
    missing: dict[str, int]

    @property
    def infeasible(self) -> int:
        """How many are not feasible."""
        return self.trials - self.feasible

    def __str__(self) -> str:
        parts = [f"{count:,} violate {text}" for text, count in self.violating.items()]
        parts += [f"{count:,} did not report {name}, and count as infeasible" for name, count in self.missing.items()]
        if self.trials and not self.feasible:
            parts.append("the best trial is the one with the least total violation")
        return "; ".join([f"{self.feasible:,} of {self.trials:,} trials are feasible", *parts])


def feasibility(plan: Plan, records: Iterable[TrialHistory]) -> Feasibility | None:
    """How many trials meet the outcome constraints of a plan; None without constraints."""
    if not plan.constraints:
        return None
    counted = [record for record in records if record.iterations and record.status != "failed"]
    violating, missing = Counter[str](), Counter[str]()
    metrics = dict.fromkeys(name for part in plan.constraints for name in condition_metrics(part))
    totals = []
    for record in counted:
        found = violations(record, plan.constraints)
        totals.append(total_violation(found))
        violating.update(describe_condition(part) for part, by in zip(plan.constraints, found, strict=True) if by > 0)
        missing.update(name for name in metrics if record.column(name) is None)
    return Feasibility(len(counted), totals.count(0.0), dict(violating), dict(missing))

"""The objective: a metric and the direction in which it is better."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Final

from tunedsl.base.codec import value
from tunedsl.base.types import AUTOMATIC_METRICS, Mode


@value
class Objective:
    """A metric's name and whether smaller (`min`) or larger (`max`) is better."""

    metric: str
    mode: Mode

    @property
    def sign(self) -> float:
        """The factor that makes larger values better."""
        return 1.0 if self.mode == "max" else -1.0


def total_violation(violations: Iterable[float]) -> float:
    """By how much a result violates all constraints together: 0 if it is feasible, infinity if one is not known.

    Feasible results rank first, then those with the smaller total violation; the objective decides among equal ones.

    Args:
        violations: one a constraint: at most 0 where it is met, NaN where it is not known.

    >>> total_violation([]), total_violation([-3.0, 0.5, 1.0]), total_violation([math.nan, -1.0])
    (0.0, 1.5, inf)
    """
    return sum((max(each, 0.0) if each == each else math.inf for each in violations), 0.0)


INFEASIBLE: Final = -1e200
"""At least the values of infeasible results, and below those of feasible ones."""


def constrained_value(value: float, violation: float) -> float:
    """A value, larger for better, with those of infeasible results below all others, the smallest violation first.

    So whatever compares values, such as a scheduler, ranks infeasible trials last. NaN stays NaN.

    Args:
        value: of the objective, larger for better.
        violation: the total violation.

    >>> constrained_value(0.5, 0.0), constrained_value(-9.0, 0.0) > constrained_value(0.5, 1e-9)
    (0.5, True)
    """
    if violation <= 0 or value != value:
        return value
    return INFEASIBLE * (2.0 if violation == math.inf else 1.0 + violation / (1.0 + violation))


def violation_in(value: float) -> float | None:
    """About the total violation in a result of `constrained_value`; None for a feasible one.

    >>> round(violation_in(constrained_value(0.5, 3.0)), 6), violation_in(0.5)
    (3.0, None)
    """
    share = value / INFEASIBLE - 1.0
    if not 0 <= share <= 1:
        return None
    return share / (1.0 - share) if share < 1 else math.inf


def not_in(metrics: tuple[str, ...], reported: Collection[str]) -> tuple[str, ...]:
    """The metrics that a report lacks; automatic metrics are in every report.

    >>> not_in(("loss", "accuracy", "time_total_s"), ("accuracy",))
    ('loss',)
    """
    return tuple(metric for metric in metrics if metric not in reported and metric not in AUTOMATIC_METRICS)

"""The objective: a metric and the direction in which it is better."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

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


def not_in(metrics: tuple[str, ...], reported: Collection[str]) -> tuple[str, ...]:
    """The metrics that a report lacks; automatic metrics are in every report.

    >>> not_in(("loss", "accuracy", "time_total_s"), ("accuracy",))
    ('loss',)
    """
    return tuple(metric for metric in metrics if metric not in reported and metric not in AUTOMATIC_METRICS)

"""The objective: a metric and the direction in which it is better."""

from __future__ import annotations

from collections.abc import Collection

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


def not_in(metrics: tuple[str, ...], reported: Collection[str]) -> tuple[str, ...]:
    """The metrics that a report lacks; automatic metrics are in every report.

    >>> not_in(("loss", "accuracy", "time_total_s"), ("accuracy",))
    ('loss',)
    """
    return tuple(metric for metric in metrics if metric not in reported and metric not in AUTOMATIC_METRICS)

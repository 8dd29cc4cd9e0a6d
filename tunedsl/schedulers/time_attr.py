"""The progress of a trial by the metric `time_attr` of a spec, and the checks that such specs share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tunedsl.base.diagnostics import Diagnostic, must_be
from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION
from tunedsl.schedulers.contract import At, DecisionPoints, Every, Report


def canonical_number(number: float) -> float:
    """Whole numbers as ints, so that `max_t=81.0` and `max_t=81` have one digest."""
    return int(number) if number == number // 1 and abs(number) < 2**53 else number


def time_of(time_attr: str, report: Report) -> float | None:
    """The trial's progress; None if the report lacks the metric.

    >>> time_of("epochs", Report(0, 1, 0.5, 2.0, {"epochs": 30})), time_of("time_total_s", Report(0, 1, 0.5, 2.0, {}))
    (30, 2.0)
    """
    if time_attr == TRAINING_ITERATION:
        return report.iteration
    if time_attr == TIME_TOTAL:
        return report.time
    time = report.metrics.get(time_attr)
    return time if isinstance(time, (int, float)) and not math.isnan(time) else None


def decision_points_at(time_attr: str, times: Iterable[float]) -> DecisionPoints:
    """Decisions when these times are passed: at some iterations, or at every report for other metrics.

    >>> decision_points_at("training_iteration", [9, 2.5, 1])
    At(iterations=(1, 3, 9))
    """
    return At(tuple(sorted({math.ceil(time) for time in times}))) if time_attr == TRAINING_ITERATION else Every(1)


def time_metrics(spec: Any) -> tuple[str, ...]:
    """For `Scheduler.metrics_used`: the metric that measures progress, unless it counts iterations."""
    return () if spec.time_attr == TRAINING_ITERATION else (spec.time_attr,)


def spec_diagnostic(spec: Any, code: str, name: str, requirement: str, hint: str = "") -> Diagnostic:
    """A diagnostic of one setting of a spec."""
    message = must_be(f"The scheduler's {name}", getattr(spec, name), requirement)
    return Diagnostic(code, f"scheduler.{name}", message, hint)


def check_reduction_factor(spec: Any) -> list[Diagnostic]:
    """What is wrong with a spec's `reduction_factor`."""
    if math.isfinite(spec.reduction_factor) and spec.reduction_factor > 1:
        return []
    return [spec_diagnostic(spec, "E041", "reduction_factor", "a number above 1", "3 and 4 are usual")]


def check_max_t(spec: Any) -> list[Diagnostic]:
    """What is wrong with a spec's `max_t` alone."""
    if math.isfinite(spec.max_t) and spec.max_t > 0:
        return []
    return [spec_diagnostic(spec, "E043", "max_t", "a finite number above 0")]

"""The leaves of conditions over a trial, and the functions that build them.

`&`, `|`, `~`, arithmetic and comparisons are in `spaces.expressions`; evaluation is in `rules`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

from tunedsl.base.arguments import as_choice, as_int, as_number, as_positive, as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import wrong_value
from tunedsl.base.references import FunctionRef, call_repr, whole_as_int
from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION, Mode
from tunedsl.spaces.expressions import Compare, Expr


@value(eq=False)
class Metric(Expr):
    """A metric of the trial's last report; missing if it was not reported."""

    name: str

    def __repr__(self) -> str:
        return call_repr("metric", self, positional=1)


@value(eq=False)
class Plateau(Expr):
    """A metric that no longer changes; see `plateau`."""

    metric: str
    std: float = 0.01
    num_results: int = 4
    grace_period: int = 4
    metric_threshold: float | None = None
    mode: Mode | None = None

    def __repr__(self) -> str:
        return call_repr("plateau", self, positional=1)


@value(eq=False)
class Diverged(Expr):
    """A metric that is NaN or infinite."""

    metric: str

    def __repr__(self) -> str:
        return call_repr("diverged", self, positional=1)


@value(eq=False)
class Calls(Expr):
    """A user function, called at each report."""

    function: FunctionRef

    def __repr__(self) -> str:
        return call_repr("calls", self, positional=1)


@value
class Reached:
    """A keyword of `.stop`: a metric at or above a value, or at or below it if the objective minimizes it."""

    metric: str
    value: float


@check_arguments
def metric(name: str) -> Metric:
    """A metric of a trial's reports, for stop conditions.

    Args:
        name: as reported, or `training_iteration`, `time_total_s`, `time_this_iter_s`.

    Raises:
        ArgumentError: for a name that is not a string.

    >>> (metric("loss") < 0.01) | (metric("accuracy") >= 0.99)
    (metric('loss') < 0.01) | (metric('accuracy') >= 0.99)
    """
    return Metric(as_text("metric.name", name))


@check_arguments
def iteration(n: int) -> Compare:
    """Met from a trial's `n`-th report on, `n` at least 1.

    >>> iteration(10)
    metric('training_iteration') >= 10
    """
    return Metric(TRAINING_ITERATION) >= as_int("iteration.n", n, minimum=1)


@check_arguments
def elapsed(seconds: float) -> Compare:
    """Met at the first report after a trial has run for the given time.

    Args:
        seconds: above 0.

    >>> elapsed(60)
    metric('time_total_s') >= 60
    """
    return Metric(TIME_TOTAL) >= as_positive("elapsed.seconds", seconds)


@check_arguments
def plateau(
    metric: str,
    std: float = 0.01,
    num_results: int = 4,
    grace_period: int = 4,
    metric_threshold: float | None = None,
    mode: Mode | None = None,
) -> Plateau:
    """Met when the last `num_results` values of a metric have a standard deviation below `std`.

    Args:
        metric: the metric's name.
        std: population standard deviation, in units of the metric, above 0.
        num_results: the number of last reports to compare, at least 2.
        grace_period: the number of first reports at which it is never met, at least 0.
        metric_threshold: it is not met while the last value is worse than this.
        mode: `min` or `max`, the better direction for `metric_threshold`; by default the objective's, if it has the
            same metric.

    Raises:
        ArgumentError: for an argument of the wrong type or out of range.

    >>> plateau("loss", std=1e-3) & ~(metric("loss") > 1)
    plateau('loss', std=0.001) & (~(metric('loss') > 1))

    Source: `TrialPlateauStopper` of Ray Tune.
    """
    return Plateau(
        as_text("plateau.metric", metric),
        float(as_positive("plateau.std", std)),
        as_int("plateau.num_results", num_results, minimum=2),
        as_int("plateau.grace_period", grace_period, minimum=0),
        None if metric_threshold is None else _as_comparable("plateau.metric_threshold", metric_threshold),
        None if mode is None else as_choice("plateau.mode", mode, get_args(Mode)),
    )


def _as_comparable(subject: str, item: Any) -> float:
    """A number that is not NaN, whole ones as ints."""
    found = as_number(subject, item)
    if math.isnan(found):
        raise wrong_value(subject, item, "a number that is not NaN")
    return whole_as_int(found)  # type: ignore[no-any-return]


@check_arguments
def diverged(metric: str) -> Diverged:
    """Met when a metric's last value is NaN or infinite.

    >>> diverged("loss")
    diverged('loss')
    """
    return Diverged(as_text("diverged.metric", metric))


@check_arguments
def calls(function: Callable[[str, dict[str, Any]], bool]) -> Calls:
    """Met when `function(trial_id, result)` returns True; workers call it at every report of every trial.

    Raises:
        ArgumentError: for an object that is not a named function.
    """
    return Calls(function_reference("calls.function", function))


def function_reference(subject: str, function: Any) -> FunctionRef:
    """A function as a reference; raises `ArgumentError` for an object that is not a named function."""
    if isinstance(function, FunctionRef):
        return function
    if not callable(function) or not hasattr(function, "__qualname__"):
        raise wrong_value(subject, function, "a function")
    return FunctionRef.of(function)

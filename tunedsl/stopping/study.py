"""Conditions over the whole study, for `Experiment.until`.

They are expressions, combined by `&`, `|` and `~`, like conditions over a trial. Their evaluation is in `tally`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Final, get_args

import attrs

from tunedsl.base.arguments import as_choice, as_int, as_number, as_positive, as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import wrong_value
from tunedsl.base.references import FunctionRef, call_repr, whole_as_int
from tunedsl.base.types import AUTOMATIC_METRICS, FailureKind, Mode
from tunedsl.spaces.expressions import And, Compare, Expr, Not, Or, leaves
from tunedsl.stopping.conditions import function_reference

DEFAULT_SAME: Final = 5
"""The default number of trials that must fail with the same error for a run to end."""
_MAX_CHARS: Final = 200


@value(eq=False)
class Failing(Expr):
    """A number of trials failed with the same error, and none has succeeded; see `failing`."""

    same: int = DEFAULT_SAME

    def __repr__(self) -> str:
        return call_repr("failing", self)


@check_arguments
def failing(same: int = DEFAULT_SAME) -> Failing:
    """Met when `same` trials failed with the same error and no trial has succeeded.

    A trial succeeds when it completes, or is stopped after it reported all objectives. Failures that are retried do not
    count. Two errors are the same if their kind and message are equal without numbers and addresses.

    Args:
        same: how many trials; 0 for a condition that is never met.

    Raises:
        ArgumentError: for a number that is not a whole number of at least 0.

    >>> failing(same=3)
    failing(same=3)
    """
    return Failing(as_int("failing.same", same, minimum=0))


@value(eq=False)
class Best(Expr):
    """The best value of a metric that any trial has reported; see `best`."""

    metric: str | None = None
    mode: Mode | None = None

    def __repr__(self) -> str:
        return call_repr("best", self, positional=self.metric is not None)


@value(eq=False)
class NoImprovement(Expr):
    """A number of trials ended without a better value; see `no_improvement`."""

    trials: int = 30
    min_delta: float = 0
    metric: str | None = None
    mode: Mode | None = None

    def __repr__(self) -> str:
        return call_repr("no_improvement", self)


@value(eq=False)
class Converged(Expr):
    """The best values of all trials are close together; see `converged`."""

    top: int = 10
    std: float = 0.001
    patience: int = 0
    metric: str | None = None
    mode: Mode | None = None

    def __repr__(self) -> str:
        return call_repr("converged", self)


@value(eq=False)
class RegretBelow(Expr):
    """A bound on how much better the metric can get is small; see `regret_below`."""

    regret: float
    trials: int = 20
    metric: str | None = None
    mode: Mode | None = None

    def __repr__(self) -> str:
        return call_repr("regret_below", self, positional=1)


@value(eq=False)
class Total(Expr):
    """The sum of a metric over all reports of all trials; see `total`."""

    metric: str

    def __repr__(self) -> str:
        return call_repr("total", self, positional=1)


@value(eq=False)
class StudyCalls(Expr):
    """A user function of a `StudySummary`."""

    function: FunctionRef

    def __repr__(self) -> str:
        return call_repr("satisfies", self, positional=1)


STUDY_LEAVES: Final = (Failing, Best, NoImprovement, Converged, RegretBelow, Total, StudyCalls)
"""The leaves of conditions over the study."""
NUMBERS: Final = (Best, Total)
"""The leaves whose value is a number, for a comparison."""
MEASURED: Final = (Best, NoImprovement, Converged, RegretBelow)
"""The leaves about one metric, by default the first objective."""


@attrs.frozen
class StudySummary:
    """A run at one moment, for functions of `until`.

    Attributes:
        seconds: running time so far. It depends on timing, also under `order("logical")`.
        trials: how many trials have been proposed.
        running: how many are launched and have not ended.
        ended: how many completed or were stopped.
        failed: how many failed and have no retry left.
        iterations: how many reports all trials have made.
        best: the best value of the first objective that any trial has reported, or None.
        trials_since_best: how many trials completed or were stopped since `best` was reported, without the trial that
            reported it.
    """

    seconds: float
    trials: int
    running: int
    ended: int
    failed: int
    iterations: int
    best: float | None
    trials_since_best: int


@check_arguments
def best(metric: str | None = None, mode: Mode | None = None) -> Best:
    """The best value of a metric that any trial has reported so far, for conditions over the study.

    Values that are NaN or infinite do not count. Values of trials that fail later do. The condition is undecided, and
    ends nothing, before the first value.

    Args:
        metric: by default the first objective.
        mode: `min` or `max`; required for a metric that is not an objective.

    >>> best() <= 0.05
    best() <= 0.05
    """
    return Best(*_measure("best", metric, mode))


@check_arguments
def no_improvement(
    trials: int = 30, min_delta: float = 0, metric: str | None = None, mode: Mode | None = None
) -> NoImprovement:
    """Met when `trials` trials have ended since the best value last improved by more than `min_delta`.

    The trial that improved it does not count, nor do trials that fail, nor those that end before the first value.

    Args:
        trials: how many trials, at least 1.
        min_delta: by how much a value must be better, in units of the metric, at least 0.
        metric, mode: as in `best`.

    >>> no_improvement(trials=20) & (best() < 1)
    no_improvement(trials=20) & (best() < 1)
    """
    delta = whole_as_int(as_number("no_improvement.min_delta", min_delta))
    if not 0 <= delta < math.inf:
        raise wrong_value("no_improvement.min_delta", min_delta, "a finite number of at least 0")
    measure = _measure("no_improvement", metric, mode)
    return NoImprovement(as_int("no_improvement.trials", trials, minimum=1), delta, *measure)


@check_arguments
def converged(
    top: int = 10, std: float = 0.001, patience: int = 0, metric: str | None = None, mode: Mode | None = None
) -> Converged:
    """Met when the `top` best values that trials have reported have a standard deviation of at most `std`.

    Each report counts by itself, so that several values can be from one trial. NaN and infinite values do not count.

    Args:
        top: how many values, at least 2.
        std: population standard deviation, in units of the metric, above 0.
        patience: the number of reports in a row at which this must hold before the condition is met, at least 0.
        metric, mode: as in `best`.

    >>> converged(top=5, std=0.01)
    converged(top=5, std=0.01)

    Source: `ExperimentPlateauStopper` of Ray Tune.
    """
    return Converged(
        as_int("converged.top", top, minimum=2),
        float(as_positive("converged.std", std)),
        as_int("converged.patience", patience, minimum=0),
        *_measure("converged", metric, mode),
    )


@check_arguments
def regret_below(regret: float, trials: int = 20, metric: str | None = None, mode: Mode | None = None) -> RegretBelow:
    """Met when no configuration of the space is likely to be better than the best one by more than `regret`.

    A Gaussian process learns the last value of each trial that completes or is stopped, and the iteration where it was
    reported. It is fitted when `trials` trials have ended, and again whenever a tenth more have. The bound is cautious:
    it is large while parts of a space of many parameters are unexplored.

    Args:
        regret: in units of the metric, above 0.
        trials: number of ended trials before the first bound, at least 5.
        metric, mode: as in `best`.

    >>> regret_below(0.01)
    regret_below(0.01)

    Source: Makarova et al., Automatic Termination for Hyperparameter Optimization, AutoML 2022, arXiv:2104.08166, with
    its constants and a fixed threshold.
    """
    return RegretBelow(
        float(as_positive("regret_below.regret", regret)),
        as_int("regret_below.trials", trials, minimum=5),
        *_measure("regret_below", metric, mode),
    )


@check_arguments
def total(metric: str) -> Total:
    """The sum of a metric over all reports of all trials, for conditions over the study.

    Reports without the metric, and values that are NaN or infinite, add nothing. Iterations that a retry repeats are
    not reported again and count once.

    Args:
        metric: as reported, such as the cost of one iteration.

    Raises:
        ArgumentError: for a metric that is counted automatically, such as `training_iteration`.

    >>> (total("usd") >= 50) | (best("loss") < 0.1)
    (total('usd') >= 50) | (best('loss') < 0.1)
    """
    if metric in AUTOMATIC_METRICS:
        hint = "budget(iterations=...) and budget(seconds=...) limit iterations and time"
        raise wrong_value("total.metric", metric, "a metric that the trainable reports", hint)
    return Total(as_text("total.metric", metric))


def _measure(function: str, metric: str | None, mode: Mode | None) -> tuple[str | None, Mode | None]:
    if metric in AUTOMATIC_METRICS:
        raise wrong_value(f"{function}.metric", metric, "a metric that the trainable reports")
    return (
        None if metric is None else as_text(f"{function}.metric", metric),
        None if mode is None else as_choice(f"{function}.mode", mode, get_args(Mode)),
    )


@check_arguments
def satisfies(function: Callable[[StudySummary], bool]) -> StudyCalls:
    """Met when `function(summary)` is true; the driver calls it after each report and end of a trial.

    `.until(function)` is short for `.until(satisfies(function))`. It must depend on the `StudySummary` alone, because a
    resume calls it again.

    Raises:
        ArgumentError: for an object that is not a named function.
    """
    return StudyCalls(function_reference("satisfies.function", function))


def misused_parts(condition: Expr) -> Iterator[Expr]:
    """The parts of a study condition that are numbers where a condition is needed, or the reverse."""
    match condition:
        case And(left, right) | Or(left, right):
            yield from misused_parts(left)
            yield from misused_parts(right)
        case Not(inner):
            yield from misused_parts(inner)
        case Compare():
            yield from (leaf for leaf in leaves(condition) if not isinstance(leaf, NUMBERS))
        case _ if not isinstance(condition, STUDY_LEAVES) or isinstance(condition, NUMBERS):
            yield condition


_SUBSTITUTES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"0x[0-9a-fA-F]+"), "#"),
    (re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\b"), "#"),
    (re.compile(r"\b(?:nan|inf|NaN|Infinity)\b"), "#"),
    (re.compile(r"\w*(?:#|\d)\w*"), "#"),
    (re.compile(r"[-+]?#(?:[\s.,:;x/-]+#)+"), "#"),
)


def error_signature(kind: FailureKind, message: str) -> str:
    """The signature of an error: kind, type and message, without numbers and addresses.

    >>> error_signature("crash", "ValueError: x is 0.73 at <f object at 0x7f10>")
    'crash: ValueError: x is # at <f object at #>'
    >>> error_signature("crash", "RuntimeError: shapes (3, 4) and (5,)") == error_signature(
    ...     "crash", "RuntimeError: shapes (12, 7) and (1,)")
    True
    """
    line = message.strip().partition("\n")[0][: 10 * _MAX_CHARS]
    for pattern, substitute in _SUBSTITUTES:
        line = pattern.sub(substitute, line)
    return f"{kind}: {line[:_MAX_CHARS]}"

"""Facts about a condition without running it: its text, its metrics, whether it is always or never met."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION
from tunedsl.spaces.evaluation import evaluate
from tunedsl.spaces.expressions import And, Binary, Compare, Constant, Expr, Not, Or, Unary, leaves, operands
from tunedsl.stopping.conditions import Calls, Diverged, Metric, Plateau
from tunedsl.stopping.study import NUMBERS, Best, Converged, Failing, NoImprovement, RegretBelow, StudyCalls, Total


def describe_condition(condition: Expr) -> str:
    """The text of a condition in words.

    >>> from tunedsl.stopping import diverged, iteration, metric, plateau
    >>> describe_condition((metric("loss") < 0.01) & ~diverged("loss") | iteration(81))
    '(loss < 0.01 and not loss is NaN or infinite) or training_iteration >= 81'
    >>> describe_condition(plateau("loss"))
    'loss is on a plateau (the last 4 within a standard deviation of 0.01)'
    """
    match condition:
        case Metric(name):
            return name
        case Plateau(name, std, results, _, threshold, mode):
            better = "" if threshold is None else f", and {'at least' if mode == 'max' else 'at most'} {threshold:g}"
            return f"{name} is on a plateau (the last {results} within a standard deviation of {std:g}{better})"
        case Diverged(name):
            return f"{name} is NaN or infinite"
        case Failing(same):
            return f"{same} trials failed with the same error and none succeeded"
        case Best(name):
            return f"best {name or 'objective'}"
        case NoImprovement(trials, delta, name):
            by = f" by more than {delta:g}" if delta else ""
            return f"{trials} trials ended without a better {name or 'objective'}{by}"
        case Converged(top, std, patience, name):
            for_long = f" for {patience} reports" if patience else ""
            return (
                f"the {top} best values of {name or 'objective'} are within a standard deviation of {std:g}{for_long}"
            )
        case RegretBelow(regret, _, name):
            return f"{name or 'objective'} can hardly get better by more than {regret:g}"
        case Total(name):
            return f"total {name}"
        case StudyCalls(function):
            return f"{function.name}(summary)"
        case Calls(function):
            return f"{function.name}(trial_id, result)"
        case And(left, right):
            return f"{_describe_operand(left, And)} and {_describe_operand(right, And)}"
        case Or(left, right):
            return f"{_describe_operand(left, Or)} or {_describe_operand(right, Or)}"
        case Not(inner):
            return f"not {_describe_operand(inner)}"
        case Compare(op, left, right) | Binary(op, left, right):
            return f"{_describe_operand(left)} {op} {_describe_operand(right)}"
        case Unary("abs", inner):
            return f"abs({describe_condition(inner)})"
        case Unary(op, inner):
            return f"{op}{_describe_operand(inner)}"
        case _:
            return repr(condition)


def _describe_operand(expr: Expr, chain: type | None = None) -> str:
    """The text of an operand, in parentheses unless it continues a chain of the same connective."""
    bracketed = isinstance(expr, (And, Or, Compare, Binary)) and type(expr) is not chain
    if chain is not None and isinstance(expr, Compare):
        bracketed = False
    return f"({describe_condition(expr)})" if bracketed else describe_condition(expr)


def condition_metrics(condition: Expr) -> tuple[str, ...]:
    """The metrics that a condition uses, each once, in the order written.

    >>> from tunedsl.stopping import metric, plateau
    >>> condition_metrics((metric("a") < metric("b")) | plateau("a"))
    ('a', 'b')
    """
    return tuple(dict.fromkeys(name for leaf in leaves(condition) for name in _leaf_metrics(leaf)))


def _leaf_metrics(leaf: Expr) -> tuple[str, ...]:
    match leaf:
        case Metric(name) | Plateau(name) | Diverged(name) | Total(name):
            return (name,)
        case Best() | NoImprovement() | Converged() | RegretBelow():
            return () if leaf.metric is None else (leaf.metric,)
        case _:
            return ()


def is_always_met(condition: Expr, name: str) -> bool:
    """Whether every finite value of the metric `name` meets the condition, whatever else is reported.

    It tries the constants in the condition, their neighbours, zero and the ends of the range.

    >>> from tunedsl.stopping import metric
    >>> is_always_met(metric("loss") < math.inf, "loss"), is_always_met(metric("loss") < 0.1, "loss")
    (True, False)
    """
    if name not in condition_metrics(condition):
        return False
    probes = {0.0, 1.0, -1.0, 1e75, -1e75}
    for constant in _constant_numbers(condition):
        probes |= {constant, math.nextafter(constant, math.inf), math.nextafter(constant, -math.inf)}
    return all(is_met_by(condition, {name: probe}) for probe in probes if math.isfinite(probe))


def is_met_at_first_report(condition: Expr) -> bool:
    """Whether the first report of every trial meets the condition by its count or time, whatever it reports.

    A condition that is meant for the first report, such as `iteration(1)`, does not count.

    >>> from tunedsl.stopping import iteration, metric
    >>> is_met_at_first_report(metric("training_iteration") >= 0), is_met_at_first_report(iteration(1))
    (True, False)
    """
    counts = all(is_met_by(condition, {TRAINING_ITERATION: count}) for count in (0, 1))
    return counts or all(is_met_by(condition, {TIME_TOTAL: seconds}) for seconds in (0.0, 1e-9, 1.0, 1e9))


def last_iteration(condition: Expr | None) -> int | None:
    """The last iteration that a trial can reach under a condition; None if it has no limit.

    >>> from tunedsl.stopping import iteration, metric
    >>> last_iteration(iteration(81) | (metric("loss") < 0.1)), last_iteration(metric("loss") < 0.1)
    (81, None)
    """
    if condition is None or TRAINING_ITERATION not in condition_metrics(condition):
        return None
    bounds = {math.floor(constant) for constant in _constant_numbers(condition) if math.isfinite(constant)}
    counts = sorted({count for bound in bounds for count in (bound, bound + 1) if count >= 1})
    return next((count for count in counts if is_met_by(condition, {TRAINING_ITERATION: count})), None)


def comparisons(expr: Expr) -> Iterator[Compare]:
    """The comparisons in a condition, from left to right."""
    if isinstance(expr, Compare):
        yield expr
    for part in operands(expr):
        yield from comparisons(part)


def compares_with_nan(part: Compare) -> bool:
    """Whether one side of a comparison is the constant NaN."""
    return any(math.isnan(item) for item in map(_constant_value, (part.left, part.right)) if isinstance(item, float))


def compares_numbers(part: Compare) -> bool:
    """Whether a comparison is possible and can have both results, if all metrics are numbers.

    >>> from tunedsl.stopping import metric
    >>> compares_numbers(metric("loss") < "low"), compares_numbers(metric("loss") + 1 < 2)
    (False, True)
    """
    if part.op in ("==", "!="):
        return not any(isinstance(_constant_value(side), str) for side in (part.left, part.right))
    try:
        evaluate(part, lambda leaf: 1.0 if isinstance(leaf, (Metric, *NUMBERS)) else None)
    except TypeError:
        return False
    return True


def _constant_value(expr: Expr) -> object:
    return expr.literal.object if isinstance(expr, Constant) else None


def is_met_by(condition: Expr, row: dict[str, float]) -> bool:
    """Whether the condition is met by these metrics alone, whatever the others are."""

    def lookup(leaf: Expr) -> float | None:
        return row.get(leaf.name) if isinstance(leaf, Metric) else None

    try:
        return evaluate(condition, lookup) is True
    except TypeError:
        return False


def _constant_numbers(expr: Expr) -> Iterator[float]:
    if isinstance(expr, Constant) and isinstance(expr.literal.object, (int, float)):
        yield float(expr.literal.object)
    for part in operands(expr):
        yield from _constant_numbers(part)

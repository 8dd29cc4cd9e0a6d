"""Outcome constraints: which metrics they compare, and by how much a result violates each of them.

The order of results by feasibility is in `base.objective`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import attrs

from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION
from tunedsl.spaces.evaluation import compile_expr
from tunedsl.spaces.expressions import And, Compare, Expr, Not, Or, leaves
from tunedsl.stopping.conditions import Metric

_OPPOSITE: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_LEAST: Final = math.ulp(0.0)
"""The violation of a strict comparison by equal values."""

Values = tuple[float, ...]


@attrs.frozen(eq=False)
class OutcomeConstraints:
    """Outcome constraints that are ready to be evaluated; see `compile_constraints`.

    Attributes:
        metrics: the metrics that they compare, each once.
    """

    metrics: tuple[str, ...]
    _measures: tuple[Callable[[Values], float], ...]

    def newest(self, before: Values, keys: Sequence[str], row: Sequence[Any], iteration: int, time: float) -> Values:
        """The newest value of each metric after a report; NaN for a metric that was never reported.

        Args:
            before: the values before it; empty before the first report.
            keys, row: the names and values of the report.
            iteration, time: its number, and the trial's seconds of training.
        """
        known = {TRAINING_ITERATION: float(iteration), TIME_TOTAL: float(time)}
        known |= {key: float(item) for key, item in zip(keys, row, strict=True) if key in self.metrics}
        earlier = before or (math.nan,) * len(self.metrics)
        return tuple(known.get(metric, value) for metric, value in zip(self.metrics, earlier, strict=True))

    def violations(self, values: Values) -> Values:
        """By how much each constraint is violated: at most 0 where it is met, NaN where a metric is not known.

        Args:
            values: of `metrics`; empty if nothing was reported.

        >>> from tunedsl.stopping import metric
        >>> found = compile_constraints((metric("ms") <= 20, metric("recall") >= 0.5))
        >>> found.violations((25.0, 0.75)), found.violations((math.nan, 0.5))
        ((5.0, -0.25), (nan, 0.0))
        """
        return tuple(measure(values or (math.nan,) * len(self.metrics)) for measure in self._measures)


@lru_cache(maxsize=64)
def compile_constraints(comparisons: tuple[Compare, ...]) -> OutcomeConstraints:
    """Compiles comparisons from `split_constraint`."""
    names = (leaf.name for part in comparisons for leaf in leaves(part) if isinstance(leaf, Metric))
    metrics = tuple(dict.fromkeys(names))

    def read(leaf: Any) -> Callable[[Values], float]:
        place = metrics.index(leaf.name)
        return lambda values: values[place]

    return OutcomeConstraints(metrics, tuple(_measure(part, read) for part in comparisons))


def _measure(part: Compare, read: Callable[[Any], Callable[[Values], float]]) -> Callable[[Values], float]:
    left, right = compile_expr(part.left, read), compile_expr(part.right, read)

    def by_how_much(values: Values) -> float:
        excess = float(left(values)) - float(right(values))
        if part.op == "==":
            return abs(excess)
        excess = excess if part.op in ("<", "<=") else 0.0 - excess
        return _LEAST if excess == 0 and part.op in ("<", ">") else excess

    return by_how_much


def split_constraint(condition: Expr, negated: bool = False) -> Iterator[Compare | Expr]:
    """The comparisons that all hold where a condition holds; a part that is no such comparison is returned itself.

    >>> from tunedsl.stopping import metric
    >>> list(split_constraint((metric("ms") <= 20) & ~(metric("recall") < 0.5)))
    [metric('ms') <= 20, metric('recall') >= 0.5]
    """
    match condition:
        case Not(inner):
            yield from split_constraint(inner, not negated)
        case And(left, right) if not negated:
            yield from (*split_constraint(left), *split_constraint(right))
        case Or(left, right) if negated:
            yield from (*split_constraint(left, True), *split_constraint(right, True))
        case Compare(op, left, right) if negated:
            yield Compare(_OPPOSITE[op], left, right)
        case _:
            yield Not(condition) if negated else condition

"""Compiles conditions for workers: one evaluator per trial, called at every report.

Leaves with a memory of earlier reports see every report, also if the rest of the condition is already decided. So
`~(a & b)` and `~a | ~b` always agree.
"""

from __future__ import annotations

import inspect
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import attrs
import numpy as np

from tunedsl.base.diagnostics import SourceLocation, must_be, reason
from tunedsl.base.errors import ReportError
from tunedsl.base.standard_types import scalar
from tunedsl.spaces.evaluation import compile_expr
from tunedsl.spaces.expressions import Expr
from tunedsl.stopping.conditions import Calls, Diverged, Metric, Plateau

Row = Mapping[str, Any]
Evaluator = Callable[[str, dict[str, Any]], bool]
_LeafEvaluator = Callable[[str, dict[str, Any]], bool | None]


@attrs.frozen
class CompiledCondition:
    """A condition that is ready to be evaluated."""

    condition: Expr

    def new_evaluator(self) -> Evaluator:
        """A new trial's evaluator: `(trial_id, row) -> whether the trial ends with this report`.

        Raises (when called):
            ReportError: if the condition cannot compare the reported values.
        """
        watches: list[_LeafEvaluator] = []
        seen: list[bool | None] = []

        def leaf(expr: Expr) -> Callable[[Row], Any]:
            if isinstance(expr, Metric):
                name = expr.name
                return lambda row: row.get(name)
            place = len(watches)
            watches.append(_LEAF_EVALUATORS[type(expr)](expr))
            seen.append(None)
            return lambda row: seen[place]

        met = compile_expr(self.condition, leaf)

        def evaluate(trial_id: str, row: dict[str, Any]) -> bool:
            for place, watch in enumerate(watches):
                seen[place] = watch(trial_id, row)
            try:
                return bool(met(row))
            except TypeError as error:
                raise ReportError(
                    f"The stop condition {self.condition!r} cannot be evaluated: {reason(error)}."
                ) from error

        return evaluate


def compile_condition(condition: Expr) -> CompiledCondition:
    """Compiles a condition; call `new_evaluator()` once for each trial.

    >>> from tunedsl.stopping import iteration, metric
    >>> ends = compile_condition((metric("loss") < 0.1) | iteration(3)).new_evaluator()
    >>> ends("a", {"loss": 0.5, "training_iteration": 1}), ends("a", {"loss": 0.5, "training_iteration": 3})
    (False, True)
    """
    return CompiledCondition(condition)


def _plateau_evaluator(leaf: Plateau) -> _LeafEvaluator:
    values: deque[Any] = deque(maxlen=leaf.num_results)
    reports = 0

    def watch(trial_id: str, row: Row) -> bool:
        nonlocal reports
        reports += 1
        last: Any = row.get(leaf.metric)
        values.append(last)
        if reports < leaf.grace_period or len(values) < leaf.num_results or not all(map(_is_number, values)):
            return False
        if leaf.metric_threshold is not None:
            if leaf.mode == "min" and last > leaf.metric_threshold:
                return False
            if leaf.mode == "max" and last < leaf.metric_threshold:
                return False
        with np.errstate(invalid="ignore"):
            return bool(np.std(values) < leaf.std)

    return watch


def _diverged_evaluator(leaf: Diverged) -> _LeafEvaluator:
    def watch(trial_id: str, row: Row) -> bool | None:
        last: Any = row.get(leaf.metric)
        return not math.isfinite(last) if _is_number(last) else None

    return watch


def _function_evaluator(leaf: Calls) -> _LeafEvaluator:
    function, name = leaf.function.resolve(), leaf.function.name

    def call(trial_id: str, row: dict[str, Any]) -> bool:
        met = scalar(function(trial_id, row))
        if met is True or met is False:
            return met
        code = getattr(inspect.unwrap(function), "__code__", None)
        place = f"\n  at {SourceLocation(code.co_filename, code.co_firstlineno)}" if code else ""
        raise ReportError(
            f"{must_be(f'The value of the stop function {name}', met, 'True or False')}{place}\n  help: {_hint(met)}"
        )

    return call


def _hint(met: Any) -> str:
    if met is None:
        return "return a bool; a function without return gives None"
    return "return a comparison, such as result['loss'] < 0.1" if isinstance(met, str) else "return bool(...) of it"


_LEAF_EVALUATORS: dict[type, Callable[[Any], _LeafEvaluator]] = {
    Plateau: _plateau_evaluator,
    Diverged: _diverged_evaluator,
    Calls: _function_evaluator,
}


def _is_number(item: Any) -> TypeGuard[float]:
    return isinstance(item, (int, float))

"""Conditions between parameters as plain data, for libraries with conditional spaces.

`["in", parent, raws]`, `["less", parent, raw]`, `["greater", parent, raw]`, and `["and" | "or", left, right]`, where
parents are indices of dimensions. Other conditions have no form; a missing parameter then has its middle value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tunedsl.searchers.adapters.dimensions import Dimension
from tunedsl.spaces.evaluation import NULL, evaluate
from tunedsl.spaces.expressions import And, Compare, Constant, Expr, Or, Ref
from tunedsl.spaces.layout import referenced_names

_MAX_VALUES: Final = 256

_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

ConditionForm = list[Any]


def condition_forms(dims: Sequence[Dimension]) -> list[ConditionForm | None]:
    """For each dimension the form of its condition; None if it always exists or has no form."""
    known = {dim.name: (index, dim) for index, dim in enumerate(dims)}
    return [None if dim.param.condition is None else _form(dim.param.condition, known) for dim in dims]


def _form(expr: Expr, known: Mapping[str, tuple[int, Dimension]]) -> ConditionForm | None:
    if isinstance(expr, (And, Or)):
        left, right = _form(expr.left, known), _form(expr.right, known)
        return None if left is None or right is None else ["and" if isinstance(expr, And) else "or", left, right]
    names = set(referenced_names(expr))
    parent = known.get(names.pop()) if len(names) == 1 else None
    if parent is None:
        return None
    index, dim = parent
    if dim.kind != "float" and dim.size <= _MAX_VALUES:
        raws = range(int(dim.low), int(dim.high) + 1)
        met = [raw for raw in raws if _is_met(expr, dim, raw)]
        return ["in", index, met] if 0 < len(met) < dim.size else None
    return _threshold(expr, index, dim)


def _is_met(expr: Expr, dim: Dimension, raw: int) -> bool:
    value = dim.read(raw)[0]
    return evaluate(expr, lambda leaf: NULL if value is None else value) is True


def _threshold(expr: Expr, index: int, dim: Dimension) -> ConditionForm | None:
    """The form of a comparison of a float with a number."""
    if not isinstance(expr, Compare) or dim.kind != "float" or dim.unit:
        return None
    op, left, right = expr.op, expr.left, expr.right
    if isinstance(left, Constant) and isinstance(right, Ref):
        op, left, right = _FLIPPED.get(op, op), right, left
    if op not in _FLIPPED or not isinstance(left, Ref) or not isinstance(right, Constant):
        return None
    bound = right.literal.object
    if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not dim.low < bound < dim.high:
        return None
    below = op in ("<", "<=")
    if op.endswith("="):
        bound = math.nextafter(bound, math.inf if below else -math.inf)
    return ["less" if below else "greater", index, float(bound)]

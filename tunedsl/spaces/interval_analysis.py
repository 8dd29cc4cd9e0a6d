"""Interval analysis: whether a condition can be met, without drawing configurations.

Parameters with few values are enumerated together, numeric ones are intervals, others are unknown. If in doubt, the
answer is that it can be met. Missing parameters need no special case: a Kleene formula that is true with a missing
value is true with any value in its place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from tunedsl.base.references import Literal
from tunedsl.spaces.domains import Branch, Choice, Grid
from tunedsl.spaces.evaluation import ARITHMETIC, COMPARISONS, NULL, evaluate
from tunedsl.spaces.expressions import And, Binary, Compare, Constant, Expr, Not, Or, Ref, Unary, map_leaves
from tunedsl.spaces.layout import referenced_names
from tunedsl.spaces.unit_interval import contains, has_unit_interval, support

_MAX_CASES: Final = 4_096

_UNKNOWN: Final = object()


@attrs.frozen(eq=False)
class _Interval:
    """A number in [low, high], and the domain that it is a value of, if known."""

    low: float
    high: float
    domain: Any = None


def is_satisfiable(condition: Expr, nodes: Mapping[str, Any]) -> bool:
    """Whether some configuration may meet a condition.

    Args:
        condition: a condition with absolute references and no cycles.
        nodes: domain, expression (with absolute references) or constant by parameter name.

    Returns:
        False only if no configuration can.

    Example:
        >>> from tunedsl.spaces import choice, ref, uniform
        >>> nodes = {"opt": choice(["sgd", "adam"]), "lr": uniform(0, 1)}
        >>> is_satisfiable(ref("opt") == "rmsprop", nodes), is_satisfiable(ref("lr") * 2 > 3, nodes)
        (False, False)
        >>> is_satisfiable((ref("opt") == "sgd") & (ref("lr") > 0.5), nodes)
        True
    """

    def expanded(leaf: Expr) -> Expr:
        node = nodes[leaf.path] if isinstance(leaf, Ref) else None
        return map_leaves(expanded, node) if isinstance(node, Expr) else leaf

    expr = map_leaves(expanded, condition)
    names = list(dict.fromkeys(referenced_names(expr)))
    return any(_evaluate(expr, case) not in (False, NULL) for case in _joint_values(names, nodes))


def _joint_values(names: list[str], nodes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of the parameters with few values, with intervals or unknowns for the others."""
    wide: dict[str, Any] = {}
    few: dict[str, list[Any]] = {}
    count = 1
    for name in names:
        options = _finite_values(nodes[name])
        if options is not None and count * len(options) <= _MAX_CASES:
            few[name] = options
            count *= len(options)
        elif options is None and has_unit_interval(nodes[name]):
            wide[name] = _Interval(*support(nodes[name]), nodes[name])
        else:
            wide[name] = _UNKNOWN
    for chosen in itertools.product(*few.values()):
        yield {**wide, **dict(zip(few, chosen, strict=True))}


def _finite_values(node: Any) -> list[Any] | None:
    match node:
        case Choice(literals) | Grid(literals):
            return [_literal_value(literal) for literal in literals]
        case Branch(spaces):
            return [name for name, _ in spaces]
        case Literal():
            return [_literal_value(node)]
        case _:
            return None


def _literal_value(literal: Literal) -> Any:
    return NULL if literal.object is None else literal.object


def _evaluate(expr: Expr, case: Mapping[str, Any]) -> Any:
    """A constant, an interval or `_UNKNOWN`."""
    match expr:
        case Ref(path):
            return case[path]
        case Constant(literal):
            return _literal_value(literal)
        case And(left, right):
            return _evaluate_connective(False, _evaluate(left, case), _evaluate(right, case))
        case Or(left, right):
            return _evaluate_connective(True, _evaluate(left, case), _evaluate(right, case))
        case Not(inner):
            operand = _evaluate(inner, case)
            return _UNKNOWN if _is_undetermined(operand) else not operand
        case Unary(op, inner):
            return _evaluate_unary(op, _evaluate(inner, case))
        case Binary(op, left, right):
            return _evaluate_binary(op, _evaluate(left, case), _evaluate(right, case))
        case Compare(op, left, right):
            return _evaluate_comparison(op, _evaluate(left, case), _evaluate(right, case))
        case _:
            return _UNKNOWN


def _is_undetermined(item: Any) -> bool:
    return item is _UNKNOWN or isinstance(item, _Interval)


def _evaluate_connective(short_circuit: bool, left: Any, right: Any) -> Any:
    for side in (left, right):
        if not _is_undetermined(side) and bool(side) is short_circuit:
            return short_circuit
    return _UNKNOWN if _is_undetermined(left) or _is_undetermined(right) else not short_circuit


def _evaluate_unary(op: str, item: Any) -> Any:
    if not isinstance(item, _Interval):
        return _UNKNOWN if item is _UNKNOWN else _evaluate_constants(Unary(op, _ValueLeaf(item)))
    if op == "-":
        return _Interval(-item.high, -item.low)
    return _Interval(max(0.0, item.low, -item.high), max(abs(item.low), abs(item.high)))


def _evaluate_binary(op: str, left: Any, right: Any) -> Any:
    if not _is_undetermined(left) and not _is_undetermined(right):
        return _evaluate_constants(Binary(op, _ValueLeaf(left), _ValueLeaf(right)))
    x, y = _as_interval(left), _as_interval(right)
    if x is None or y is None or op not in ("+", "-", "*", "/") or (op == "/" and y.low <= 0 <= y.high):
        return _UNKNOWN
    corners = [ARITHMETIC[op](a, b) for a in (x.low, x.high) for b in (y.low, y.high)]
    return _UNKNOWN if any(math.isnan(corner) for corner in corners) else _Interval(min(corners), max(corners))


def _evaluate_comparison(op: str, left: Any, right: Any) -> Any:
    if not _is_undetermined(left) and not _is_undetermined(right):
        return _evaluate_constants(Compare(op, _ValueLeaf(left), _ValueLeaf(right)))
    if op in ("==", "!="):
        return (op == "!=") if _is_never_equal(left, right) or _is_never_equal(right, left) else _UNKNOWN
    x, y = _as_interval(left), _as_interval(right)
    if x is None or y is None:
        return _UNKNOWN
    outcomes = {COMPARISONS[op](x.low, y.high), COMPARISONS[op](x.high, y.low)}
    return outcomes.pop() if len(outcomes) == 1 else _UNKNOWN


def _is_never_equal(interval: Any, other: Any) -> bool:
    if not isinstance(interval, _Interval) or other is _UNKNOWN:
        return False
    item = _as_interval(other)
    if item is None or item.high < interval.low or interval.high < item.low:
        return True
    if isinstance(other, _Interval) or interval.domain is None:
        return False
    return not contains(interval.domain, int(other) if float(other).is_integer() else other)


def _as_interval(item: Any) -> _Interval | None:
    if isinstance(item, (int, float)) and not math.isnan(item):
        return _Interval(float(item), float(item))
    return item if isinstance(item, _Interval) else None


class _ValueLeaf(Expr):
    """A leaf with a value, so that `evaluate` does the arithmetic."""

    __slots__ = ("item",)

    def __init__(self, item: Any) -> None:
        self.item = item


def _evaluate_constants(expr: Expr) -> Any:
    try:
        return evaluate(expr, lambda leaf: leaf.item if isinstance(leaf, _ValueLeaf) else None)
    except Exception:
        return _UNKNOWN  # incompatible operands are reported when configurations are drawn

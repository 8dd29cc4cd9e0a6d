"""What a condition can come to, found without drawing: constants and intervals carried through it.

Parameters of few values are enumerated together, numeric ones are intervals, the rest is unknown.
The answer errs on the side of "it can hold". Missing parameters need no care: a Kleene formula that
is true with something missing is true with any value in its place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from tunedsl.base.literals import Literal
from tunedsl.space.domains import Branch, Choice, Grid
from tunedsl.space.evaluation import ARITHMETIC, COMPARISONS, NULL, evaluate
from tunedsl.space.expressions import And, Binary, Compare, Constant, Expr, Not, Or, Ref, Unary, map_leaves
from tunedsl.space.layout import references
from tunedsl.space.units import contains, has_unit, support

_MOST_CASES: Final = 4_096

_UNKNOWN: Final = object()


@attrs.frozen(eq=False)
class _Span:
    """A number in [low, high]; a value of `domain`, where that is known."""

    low: float
    high: float
    domain: Any = None


def can_hold(condition: Expr, nodes: Mapping[str, Any]) -> bool:
    """Whether some configuration may meet a condition.

    Args:
        condition: references absolute and not in a circle.
        nodes: domain, expression (references absolute) or constant by parameter name.

    Returns:
        False only if none can.

    Example:
        >>> from tunedsl.space import choice, ref, uniform
        >>> nodes = {"opt": choice(["sgd", "adam"]), "lr": uniform(0, 1)}
        >>> can_hold(ref("opt") == "rmsprop", nodes), can_hold(ref("lr") * 2 > 3, nodes)
        (False, False)
        >>> can_hold((ref("opt") == "sgd") & (ref("lr") > 0.5), nodes)
        True
    """

    def expanded(leaf: Expr) -> Expr:
        node = nodes[leaf.path] if isinstance(leaf, Ref) else None
        return map_leaves(expanded, node) if isinstance(node, Expr) else leaf

    expr = map_leaves(expanded, condition)
    names = list(dict.fromkeys(references(expr)))
    return any(_value(expr, case) not in (False, NULL) for case in _cases(names, nodes))


def _cases(names: list[str], nodes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every joint choice of the parameters of few values, the others being what is known of them."""
    wide: dict[str, Any] = {}
    few: dict[str, list[Any]] = {}
    count = 1
    for name in names:
        options = _options(nodes[name])
        if options is not None and count * len(options) <= _MOST_CASES:
            few[name] = options
            count *= len(options)
        elif options is None and has_unit(nodes[name]):
            wide[name] = _Span(*support(nodes[name]), nodes[name])
        else:
            wide[name] = _UNKNOWN
    for chosen in itertools.product(*few.values()):
        yield {**wide, **dict(zip(few, chosen, strict=True))}


def _options(node: Any) -> list[Any] | None:
    match node:
        case Choice(literals) | Grid(literals):
            return [_plain(literal) for literal in literals]
        case Branch(spaces):
            return [name for name, _ in spaces]
        case Literal():
            return [_plain(node)]
        case _:
            return None


def _plain(literal: Literal) -> Any:
    return NULL if literal.object is None else literal.object


def _value(expr: Expr, case: Mapping[str, Any]) -> Any:
    """A constant, a span or `_UNKNOWN`."""
    match expr:
        case Ref(path):
            return case[path]
        case Constant(literal):
            return _plain(literal)
        case And(left, right):
            return _connected(False, _value(left, case), _value(right, case))
        case Or(left, right):
            return _connected(True, _value(left, case), _value(right, case))
        case Not(inner):
            held = _value(inner, case)
            return _UNKNOWN if _open(held) else not held
        case Unary(op, inner):
            return _unary(op, _value(inner, case))
        case Binary(op, left, right):
            return _binary(op, _value(left, case), _value(right, case))
        case Compare(op, left, right):
            return _compared(op, _value(left, case), _value(right, case))
        case _:
            return _UNKNOWN


def _open(item: Any) -> bool:
    return item is _UNKNOWN or isinstance(item, _Span)


def _connected(settled: bool, left: Any, right: Any) -> Any:
    for side in (left, right):
        if not _open(side) and bool(side) is settled:
            return settled
    return _UNKNOWN if _open(left) or _open(right) else not settled


def _unary(op: str, item: Any) -> Any:
    if not isinstance(item, _Span):
        return _UNKNOWN if item is _UNKNOWN else _concrete(Unary(op, _Held(item)))
    if op == "-":
        return _Span(-item.high, -item.low)
    return _Span(max(0.0, item.low, -item.high), max(abs(item.low), abs(item.high)))


def _binary(op: str, left: Any, right: Any) -> Any:
    if not _open(left) and not _open(right):
        return _concrete(Binary(op, _Held(left), _Held(right)))
    x, y = _span(left), _span(right)
    if x is None or y is None or op not in ("+", "-", "*", "/") or (op == "/" and y.low <= 0 <= y.high):
        return _UNKNOWN
    corners = [ARITHMETIC[op](a, b) for a in (x.low, x.high) for b in (y.low, y.high)]
    return _UNKNOWN if any(math.isnan(corner) for corner in corners) else _Span(min(corners), max(corners))


def _compared(op: str, left: Any, right: Any) -> Any:
    if not _open(left) and not _open(right):
        return _concrete(Compare(op, _Held(left), _Held(right)))
    if op in ("==", "!="):
        return (op == "!=") if _never_equal(left, right) or _never_equal(right, left) else _UNKNOWN
    x, y = _span(left), _span(right)
    if x is None or y is None:
        return _UNKNOWN
    outcomes = {COMPARISONS[op](x.low, y.high), COMPARISONS[op](x.high, y.low)}
    return outcomes.pop() if len(outcomes) == 1 else _UNKNOWN


def _never_equal(span: Any, other: Any) -> bool:
    if not isinstance(span, _Span) or other is _UNKNOWN:
        return False
    item = _span(other)
    if item is None or item.high < span.low or span.high < item.low:
        return True
    if isinstance(other, _Span) or span.domain is None:
        return False
    return not contains(span.domain, int(other) if float(other).is_integer() else other)


def _span(item: Any) -> _Span | None:
    if isinstance(item, (int, float)) and not math.isnan(item):
        return _Span(float(item), float(item))
    return item if isinstance(item, _Span) else None


class _Held(Expr):
    """A value at a leaf, so that `evaluate` does the arithmetic."""

    __slots__ = ("item",)

    def __init__(self, item: Any) -> None:
        self.item = item


def _concrete(expr: Expr) -> Any:
    try:
        return evaluate(expr, lambda leaf: leaf.item if isinstance(leaf, _Held) else None)
    except Exception:
        return _UNKNOWN  # operands that do not go together are reported where they are drawn

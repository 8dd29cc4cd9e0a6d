"""Evaluates expressions by three-valued (Kleene) logic over values, some of which may be missing.

A missing value is `None`, which is neither true nor false. Undefined arithmetic is NaN.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from tunedsl.spaces.expressions import And, Binary, Compare, Constant, Expr, Not, Or, Unary

E = TypeVar("E")
Truth = bool | None

ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
UNARY: Final[Mapping[str, Callable[[Any], Any]]] = {"-": operator.neg, "abs": abs}
COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class Null:
    """Represents an existing value None, which differs from a missing value."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "None"


NULL: Final = Null()


def evaluate(expr: Expr, lookup: Callable[[Expr], Any]) -> Any:
    """The value of `expr`, or None if it depends on a missing value.

    Undefined arithmetic, such as a division by zero, is NaN, and NaN compares as in IEEE 754:
    only `!=` is True.

    Args:
        expr: the expression.
        lookup: returns the value of a leaf, None for a missing one, `NULL` for the value None.

    Raises:
        TypeError: for operands of incompatible types, such as text and a number.

    Example:
        >>> from tunedsl.spaces import ref
        >>> width = {"width": 8}
        >>> evaluate(ref("width") * 2 <= 16, lambda leaf: width.get(leaf.path))
        True
        >>> evaluate((ref("depth") > 1) & (ref("width") > 1), lambda leaf: width.get(leaf.path))
        >>> evaluate((ref("depth") > 1) & (ref("width") > 9), lambda leaf: width.get(leaf.path))
        False
    """
    compiled: Callable[[None], Any] = compile_expr(expr, lambda leaf: lambda _: lookup(leaf))
    return compiled(None)


def compile_expr(expr: Expr, compile_leaf: Callable[[Expr], Callable[[E], Any]]) -> Callable[[E], Any]:
    """Compiles `expr` to one function of an environment, for repeated evaluation.

    Args:
        expr: the expression.
        compile_leaf: compiles a leaf to a function that returns its value in an environment, or None.

    Returns:
        A function with the results of `evaluate`.
    """
    match expr:
        case Constant(literal):
            constant = NULL if literal.object is None else literal.object
            return lambda _: constant
        case Unary(op, inner):
            return _compile_unary(UNARY[op], compile_expr(inner, compile_leaf))
        case Binary(op, left, right):
            return _compile_binary(ARITHMETIC[op], compile_expr(left, compile_leaf), compile_expr(right, compile_leaf))
        case Compare(op, left, right):
            return _compile_comparison(
                COMPARISONS[op], compile_expr(left, compile_leaf), compile_expr(right, compile_leaf)
            )
        case And(left, right):
            return _compile_connective(False, compile_expr(left, compile_leaf), compile_expr(right, compile_leaf))
        case Or(left, right):
            return _compile_connective(True, compile_expr(left, compile_leaf), compile_expr(right, compile_leaf))
        case Not(inner):
            return _compile_negation(compile_expr(inner, compile_leaf))
        case _:
            return compile_leaf(expr)


def _compile_unary(function: Callable[[Any], Any], inner: Callable[[E], Any]) -> Callable[[E], Any]:
    def apply(environment: E) -> Any:
        x = inner(environment)
        return None if x is None else function(x)

    return apply


def _compile_binary(
    function: Callable[[Any, Any], Any], left: Callable[[E], Any], right: Callable[[E], Any]
) -> Callable[[E], Any]:
    def apply(environment: E) -> Any:
        x, y = left(environment), right(environment)
        if x is None or y is None:
            return None
        try:
            result = function(x, y)
        except ArithmeticError:
            return math.nan
        return math.nan if isinstance(result, complex) else result

    return apply


def _compile_comparison(
    function: Callable[[Any, Any], Any], left: Callable[[E], Any], right: Callable[[E], Any]
) -> Callable[[E], Truth]:
    def compare(environment: E) -> Truth:
        x = left(environment)
        if x is None:
            return None
        y = right(environment)
        return None if y is None else bool(function(x, y))

    return compare


def _compile_connective(
    short_circuit: bool, left: Callable[[E], Any], right: Callable[[E], Any]
) -> Callable[[E], Truth]:
    """Compiles and (decided by one False) or or (decided by one True)."""

    def connect(environment: E) -> Truth:
        x = left(environment)
        if x is not None and bool(x) is short_circuit:
            return short_circuit
        y = right(environment)
        if y is not None and bool(y) is short_circuit:
            return short_circuit
        return None if x is None or y is None else not short_circuit

    return connect


def _compile_negation(inner: Callable[[E], Any]) -> Callable[[E], Truth]:
    def negate(environment: E) -> Truth:
        x = inner(environment)
        return None if x is None else not x

    return negate

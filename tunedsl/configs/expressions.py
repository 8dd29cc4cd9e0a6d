"""Parses values from text, such as `loguniform(1e-5, 1e-2)`, without evaluating code.

A value may be constants, arithmetic of numbers, expressions over `ref(...)` and `metric(...)`, and calls of
the language's own functions: domains, conditions, searchers, schedulers, sinks.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import attrs

from tunedsl import metrics, plan, sinks
from tunedsl import schedulers as schedule
from tunedsl import searchers as search
from tunedsl import stopping as stop
from tunedsl.base.diagnostics import reason, shorten
from tunedsl.base.errors import ArgumentError, TunedslError
from tunedsl.base.names import nearest
from tunedsl.base.suggestions import PACKAGE, for_name
from tunedsl.experiment import space
from tunedsl.sinks.registry import registered as registered_sinks
from tunedsl.spaces import constructors, ref
from tunedsl.spaces.expressions import Expr

MAX_POWER: Final = 64
METHODS: Final = ("when", "where", "prior")
"""The methods that an expression may call, on a domain or an expression."""

_BINARY: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
_UNARY: Final[Mapping[type, Callable[[Any], Any]]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert,
}  # fmt: skip
DOMAINS: Final = (
    "uniform", "quniform", "loguniform", "qloguniform", "randn", "qrandn", "randint", "qrandint", "lograndint",
    "qlograndint", "choice", "grid",
)  # fmt: skip
_STOP: Final = (
    "metric", "iteration", "elapsed", "plateau", "diverged", "best", "no_improvement", "converged", "regret_below",
    "total", "failing",
)  # fmt: skip

_CALL: Final = re.compile(r"^\w+\(|\b(?:ref|space|" + "|".join(DOMAINS) + r")\s*\(")


def read_expression(subject: str, text: str, functions: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """The value of a text.

    Args:
        subject: what the value is for, in error messages.
        text: an expression in Python's syntax.
        functions: the functions that it may call, by name; by default those of `language_functions`.

    Raises:
        ArgumentError: for text that is not an expression of the language, or a call with wrong arguments.

    >>> read_expression("space.lr", "loguniform(1e-5, 1e-2)")
    loguniform(1e-05, 0.01)
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        hint = "write text in quotes: '\"...\"'"
        problem = reason(error.msg if isinstance(error, SyntaxError) else error)
        message = f"{subject} is not a valid expression: {shorten(repr(text))} ({problem})."
        raise ArgumentError("E003", subject, message, hint) from None
    try:
        return _Reader(subject, language_functions() if functions is None else functions).read(tree)
    except RecursionError:
        raise ArgumentError("E003", subject, f"{subject} is nested too deeply: {shorten(repr(text))}.") from None


def is_expression(text: str) -> bool:
    """Whether a text in a file is an expression: a quoted string, or anything with a call. Other text is plain.

    >>> [is_expression(text) for text in ("adam", "uniform(0, 1)", "ref('lr') * 2", "uniform(0, 1", "'f(x)'", "1, 2")]
    [False, True, True, True, True, False]
    """
    return bool(_CALL.search(text)) or (_is_quoted(text) if text[:1] in ("'", '"') else False)


def names_in(text: str) -> frozenset[str]:
    """The names in a text that combines or compares values without a call, as in `lr * 2`; empty for other text."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    combined = isinstance(tree, (ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp))
    return frozenset(node.id for node in ast.walk(tree) if combined and isinstance(node, ast.Name))


def _is_quoted(text: str) -> bool:
    try:
        return isinstance(ast.parse(text.strip(), mode="eval").body, ast.Constant)
    except (SyntaxError, ValueError):
        return False


@attrs.frozen
class _Reader:
    """Evaluates the syntax tree of an expression; refuses each node without a method here."""

    subject: str
    functions: Mapping[str, Callable[..., Any]]

    def read(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, (bool, int, float, str)):
                return value
            case ast.List(elts=items):
                return [self.read(item) for item in items]
            case ast.Tuple(elts=items):
                return tuple(self.read(item) for item in items)
            case ast.Dict(keys=keys, values=values) if None not in keys:
                return {self.read(key): self.read(item) for key, item in zip(keys, values, strict=True) if key}
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return self._combine(node, _UNARY[type(op)], self.read(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._combine(node, _BINARY[type(op)], self.read(left), self.read(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _BINARY:
                return self._combine(node, _BINARY[type(op)], self.read(left), self.read(right))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=words):
                return self._call(node, self._function(node, name), args, words)
            case ast.Call(func=ast.Attribute(value=value, attr=name), args=args, keywords=words) if name in METHODS:
                return self._call(node, getattr(self.read(value), name, None), args, words)
        raise self._refused(node, "constants, arithmetic and calls of the language's functions", _hint(node))

    def _combine(self, node: ast.expr, combine: Callable[..., Any], *operands: Any) -> Any:
        compares = isinstance(node, ast.Compare) and any(isinstance(operand, Expr) for operand in operands)
        for operand in operands:
            is_constant = operand is None or isinstance(operand, str)  # None and text only have an order or equality
            if not isinstance(operand, (int, float, Expr)) and not (compares and is_constant):
                raise self._refused(node, "numbers and expressions")
        if combine is operator.pow and not (isinstance(operands[1], (int, float)) and abs(operands[1]) <= MAX_POWER):
            raise self._refused(node, f"a power of at most {MAX_POWER}")
        try:
            return combine(*operands)
        except (ArithmeticError, TypeError, ValueError) as error:
            message = f"{self.subject} cannot be computed from {shorten(ast.unparse(node))}: {reason(error)}."
            raise ArgumentError("E003", self.subject, message) from None

    def _call(self, node: ast.expr, function: Any, args: list[ast.expr], words: list[ast.keyword]) -> Any:
        if function is None or any(word.arg is None for word in words):
            raise self._refused(node, "a domain with .when(condition), or plain arguments")
        keywords = {str(word.arg): self.read(word.value) for word in words}
        try:
            return function(*(self.read(arg) for arg in args), **keywords)
        except TunedslError:
            raise
        except (TypeError, ValueError) as error:
            message = f"{self.subject} has wrong arguments in {shorten(ast.unparse(node))}: {reason(error)}."
            raise ArgumentError("E003", self.subject, message) from None

    def _function(self, node: ast.expr, name: str) -> Callable[..., Any]:
        if name not in self.functions:
            is_known = name in PACKAGE or nearest(name, self.functions) is not None
            hint = for_name(name, self.functions, PACKAGE) if is_known else f"write text in quotes: \"'{name}(...)'\""
            raise ArgumentError("E001", self.subject, f"{self.subject} cannot call {name}(...).", hint)
        return self.functions[name]

    def _refused(self, node: ast.expr, expected: str, hint: str = "") -> ArgumentError:
        message = f"{self.subject} must be {expected}, not {shorten(ast.unparse(node))}."
        return ArgumentError("E003", self.subject, message, hint)


def _hint(node: ast.expr) -> str:
    """What to write instead of Python that is not part of the language."""
    match node:
        case ast.Name(id=name) if name.lower() in ("true", "false", "null", "none"):
            return f"write {'None' if name == 'null' else name.capitalize()}"
        case ast.Name(id=name):
            return f'write text in quotes: "{name}"; a metric as metric("{name}"), a parameter as ref("{name}")'
        case ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
            return "write &, | and ~ for and, or and not, with each comparison in parentheses"
        case ast.Compare():
            return "put each comparison in parentheses: (a > 0) & (b < 1)"
    return ""


@cache
def language_functions() -> Mapping[str, Callable[..., Any]]:
    """The language's functions that take data, by name."""
    named: dict[str, Callable[..., Any]] = {"space": space, "ref": ref, "float": float, "backoff": plan.backoff}
    named |= {name: getattr(constructors, name) for name in DOMAINS}
    named |= {name: getattr(stop, name) for name in _STOP}
    named |= policy_functions()
    return named | {kind.name: getattr(sinks, kind.name) for kind in registered_sinks().values()}


@cache
def policy_functions() -> Mapping[str, Callable[..., Any]]:
    """The searchers and schedulers, by name."""
    named: dict[str, Callable[..., Any]] = {}
    for policies in (search, schedule):
        own = {*vars(policies.contract), "table"}  # constructors for policies, and their table
        named |= {name: getattr(policies, name) for name in policies.__all__ if name.islower() and name not in own}
    return named


@cache
def program_functions() -> Mapping[str, Callable[..., Any]]:
    """The functions that describe a program: `command`, and the sources of metrics."""
    sources = {name: getattr(metrics, name) for name in metrics.__all__ if name.islower()}
    return {"command": plan.command, **sources}

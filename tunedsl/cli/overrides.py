"""Parses clauses of an experiment from text, such as `space.lr=loguniform(1e-5, 1e-2)`, without evaluating code.

A value may be constants, arithmetic of numbers, expressions over `ref(...)` and `metric(...)`, and calls of
the language's own functions: domains, conditions, searchers, schedulers, sinks.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import Any, Final

import attrs

from tunedsl import schedulers as schedule
from tunedsl import searchers as search
from tunedsl import sinks
from tunedsl import stopping as stop
from tunedsl.base.diagnostics import SourceLocation, reason, shorten
from tunedsl.base.errors import ArgumentError, TunedslError, wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.experiment import Experiment, space
from tunedsl.sinks.registry import registered as sinks_enrolled
from tunedsl.spaces import constructors, ref
from tunedsl.spaces.expressions import Expr
from tunedsl.spaces.space import Space

CLAUSES: Final = (
    "minimize", "maximize", "subject_to", "searcher", "scheduler", "stop", "until", "budget", "samples", "resources",
    "parallel", "order", "seed", "retry", "fail_fast", "timeout", "isolate", "checkpoint", "named", "store",
    "log_to_file", "sinks",
)  # fmt: skip
"""The clauses that take data. Clauses that take functions or objects can be set only in a file."""
WORDS: Final = ("minimize", "maximize", "order", "named", "store", "isolate")
"""Clauses whose value is text, for which quotes are optional."""
COLLECT: Final = {
    "minimize": "objectives",
    "maximize": "objectives",
    "subject_to": "constraints",
    "stop": "stop",
    "until": "until",
    "sinks": "sinks",
}
"""Clauses that add to earlier values; `--set` replaces these."""
_SEVERAL: Final = ("stop", "sinks", "subject_to")
"""Clauses that take several positional arguments."""
_POLICIES: Final = {"searcher": "searcher=tpe(...)", "scheduler": "scheduler=asha(...)"}
"""Clauses that can only be replaced as a whole, with an example of each."""
MAX_POWER: Final = 64

_BINARY: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
_UNARY: Final[Mapping[type, Callable[[Any], Any]]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert,
}  # fmt: skip
_SPACE: Final = (
    "uniform", "quniform", "loguniform", "qloguniform", "randn", "qrandn", "randint", "qrandint", "lograndint",
    "qlograndint", "choice", "grid",
)  # fmt: skip
_STOP: Final = (
    "metric", "iteration", "elapsed", "plateau", "diverged", "best", "no_improvement", "converged", "total", "failing",
)  # fmt: skip


def apply_overrides(experiment: Experiment, texts: Iterable[str]) -> Experiment:
    """An experiment with some clauses replaced by values in text.

    Args:
        experiment: the experiment as written.
        texts: `samples=20`, `space.optim.lr=uniform(0, 1)`, `scheduler=asha(max_t=9)`, or a clause's keyword,
            `budget.seconds=60`; several keywords of one clause make one call.

    Raises:
        ArgumentError: for malformed text, an unknown clause, or a value that the clause does not accept.

    Example:
        >>> from tunedsl import space, uniform
        >>> apply_overrides(space(x=uniform(0, 1)).samples(8), ["samples=20", "space.x=uniform(0, 0.5)"])
        space(x=uniform(0.0, 0.5)).samples(20)
    """
    calls: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, text in enumerate(texts, 1):
        name, equals, value = text.partition("=")
        clause, dot, rest = name.strip().partition(".")
        if not equals or not value.strip():
            raise wrong_value("The value of --set", text, "NAME=VALUE, such as samples=20", subject="--set")
        if clause == "space" and dot:
            experiment = _placed(experiment, number, _replaced(experiment, rest.split("."), _value(name, value)))
            continue
        if clause not in CLAUSES:
            parameter = clause in dict(experiment.clauses.space.params)
            hint = f"did you mean space.{name.strip()}?" if parameter else did_you_mean(clause, (*CLAUSES, "space"))
            hint = hint or f"the clauses are {', '.join((*CLAUSES, 'space.NAME'))}"
            raise ArgumentError("E001", f"--set {name}", f"--set cannot change {shorten(repr(clause))}.", hint)
        word = clause in WORDS and not value.strip().startswith(("'", '"'))
        given = value.strip() if word else _value(name, value)
        calls.setdefault(clause, (number, {}))[1][rest] = given
    for clause, (number, keywords) in calls.items():
        experiment = _placed(experiment, number, _called(experiment, clause, keywords))
    return experiment


def _called(experiment: Experiment, clause: str, keywords: dict[str, Any]) -> Experiment:
    if clause in COLLECT:
        cleared: dict[str, Any] = {COLLECT[clause]: ()}
        experiment = Experiment(attrs.evolve(experiment.clauses, **cleared), experiment.places)
    part = next(filter(None, keywords), "")
    if part and clause in _POLICIES:
        message = f"--set cannot change only {part} of the {clause}."
        raise ArgumentError("E001", f"--set {clause}.{part}", message, f"write all of it: {_POLICIES[clause]}")
    method = getattr(experiment, clause)
    positional = keywords.pop("", None)
    several = positional if isinstance(positional, tuple) and clause in _SEVERAL else (positional,)
    made: Experiment = method(*(() if positional is None else several), **keywords)
    return made


def _replaced(experiment: Experiment, path: list[str], value: Any) -> Experiment:
    """The experiment with one parameter, which may be nested, replaced."""
    first, *inner = path
    known = dict(experiment.clauses.space.params)
    if first not in known:
        raise _no_parameter(f"space.{first}", first, known)
    if not inner:
        return experiment.replace(**{first: value})
    return experiment.replace(**{first: _inside(experiment.clauses.space, first, inner, value)})


def _no_parameter(place: str, name: str, known: Collection[str]) -> ArgumentError:
    hint = did_you_mean(name, known) or f"the parameters are {shorten(', '.join(known))}"
    return ArgumentError("E001", f"--set {place}", f"The space has no parameter {shorten(repr(name))}.", hint)


def _inside(outer: Space, name: str, inner: list[str], value: Any) -> Space:
    known = dict(outer.params)
    node = known.get(name)
    if not isinstance(node, Space):
        if node is None:
            raise _no_parameter(f"space.{name}", name, known)
        message = f"The parameter {name!r} is not a nested space."
        raise ArgumentError("E001", f"--set space.{name}", message, f"write --set space.{name}=...")
    first, *rest = inner
    names = dict(node.params)
    if first not in names:
        raise _no_parameter(f"space.{name}.{first}", first, names)
    changed = _inside(node, first, rest, value) if rest else dict(Space.of({first: value}).params)[first]
    return Space(tuple({**names, first: changed}.items()), node.constraints)


def _placed(before: Experiment, number: int, after: Experiment) -> Experiment:
    """The experiment after a change; diagnostics about it name the option."""
    changed = {
        subject: SourceLocation("--set", number) if before.places.get(subject) != place else place
        for subject, place in after.places.items()
    }
    return Experiment(after.clauses, changed)


def _value(name: str, text: str) -> Any:
    """The value of a text."""
    subject = f"--set {name.strip()}"
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        hint = "write text in quotes: '\"...\"'"
        message = f"{subject} is not a valid expression: {shorten(repr(text))} ({reason(error)})."
        raise ArgumentError("E003", subject, message, hint) from None
    try:
        return _Reader(subject).read(tree)
    except RecursionError:
        raise ArgumentError("E003", subject, f"{subject} is nested too deeply: {shorten(repr(text))}.") from None


@attrs.frozen
class _Reader:
    """Evaluates the syntax tree of an expression; refuses each node without a method here."""

    subject: str

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
            case ast.Call(func=ast.Attribute(value=value, attr="when" | "prior" as name), args=args, keywords=words):
                return self._call(node, getattr(self.read(value), name, None), args, words)
        raise self._refused(node, "constants, arithmetic and calls of the language's functions")

    def _combine(self, node: ast.expr, combine: Callable[..., Any], *operands: Any) -> Any:
        for operand in operands:
            if not isinstance(operand, (int, float, Expr)):
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
            raise self._refused(node, "a domain with .when(condition) or .prior(centre), or plain arguments")
        keywords = {str(word.arg): self.read(word.value) for word in words}
        try:
            return function(*(self.read(arg) for arg in args), **keywords)
        except TunedslError:
            raise
        except TypeError as error:
            message = f"{self.subject} has wrong arguments in {shorten(ast.unparse(node))}: {reason(error)}."
            raise ArgumentError("E003", self.subject, message) from None

    def _function(self, node: ast.expr, name: str) -> Callable[..., Any]:
        known = _functions()
        if name not in known:
            hint = did_you_mean(name, known) or f"the functions are {', '.join(known)}"
            raise ArgumentError("E001", self.subject, f"{self.subject} cannot call {name}(...).", hint)
        return known[name]

    def _refused(self, node: ast.expr, expected: str) -> ArgumentError:
        return ArgumentError(
            "E003", self.subject, f"{self.subject} must be {expected}, not {shorten(ast.unparse(node))}."
        )


@cache
def _functions() -> Mapping[str, Callable[..., Any]]:
    """The language's functions that take data, by name."""
    named: dict[str, Callable[..., Any]] = {"space": space, "ref": ref}
    named |= {name: getattr(constructors, name) for name in _SPACE}
    named |= {name: getattr(stop, name) for name in _STOP}
    for policies in (search, schedule):
        own = {*vars(policies.contract), "table"}  # constructors for policies, and their table
        named |= {name: getattr(policies, name) for name in policies.__all__ if name.islower() and name not in own}
    return named | {kind.name: getattr(sinks, kind.name) for kind in sinks_enrolled().values()}

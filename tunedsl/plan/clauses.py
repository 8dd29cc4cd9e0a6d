"""The clauses of an experiment as plain data: the fields, their union, and their text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from tunedsl.base.names import is_keyword_argument
from tunedsl.base.objective import Objective
from tunedsl.base.references import FunctionRef, source_repr, whole_as_int
from tunedsl.base.types import Order
from tunedsl.plan.command import Command
from tunedsl.plan.settings import CheckpointPolicy, Isolation, Resources, Retry, Timeout
from tunedsl.spaces.expressions import Compare, Expr
from tunedsl.spaces.space import Space
from tunedsl.stopping import Budget, Calls, Reached, StudyCalls


@attrs.frozen(eq=False)
class DataObject:
    """An object of `.data(...)`; numbers, strings, booleans and None compare by value, others by identity."""

    object: Any

    def _identity(self) -> Any:
        plain = self.object is None or isinstance(self.object, (bool, int, float, str))
        return (type(self.object), self.object) if plain else id(self.object)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataObject) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return (
            source_repr(self.object) if isinstance(self._identity(), tuple) else f"<{type(self.object).__qualname__}>"
        )


_EMPTY = Space()


@attrs.frozen
class Clauses:
    """The clauses of an experiment; None or an empty tuple for a clause that was not written."""

    space: Space = _EMPTY
    trainable: FunctionRef | Command | None = None
    data: tuple[tuple[str, DataObject], ...] = ()
    objectives: tuple[Objective, ...] = ()
    constraints: tuple[Compare, ...] = ()
    searcher: Any = None
    scheduler: Any = None
    stop: tuple[Reached | Expr, ...] = ()
    budget: Budget | None = None
    until: tuple[Expr, ...] = ()
    resources: Resources | FunctionRef | None = None
    parallel: int | None = None
    order: Order | None = None
    samples: int | None = None
    seed: int | None = None
    retry: Retry | None = None
    fail_fast: bool | None = None
    timeout: Timeout | None = None
    isolate: Isolation | None = None
    checkpoint: CheckpointPolicy | None = None
    name: str | None = None
    store: str | None = None
    naming: FunctionRef | None = None
    log_to_file: bool | str | tuple[str, str] | None = None
    sinks: tuple[Any, ...] = ()


SUBJECTS = {"objectives": "objective", "constraints": "subject_to", "name": "named", "naming": "name_trials"}
"""The names of clauses in diagnostics, where they differ from the names of fields."""


def merge_clauses(a: Clauses, b: Clauses, clash: Callable[[str, Any, Any], None]) -> Clauses:
    """The clauses of both.

    Args:
        a, b: the clauses; a subject that differs is taken from `a`.
        clash: is called with each subject that differs, and its two values.
    """

    def one(subject: str, left: Any, right: Any) -> Any:
        if left is None or right is None or bool(left == right):
            return right if left is None else left
        clash(subject, left, right)
        return left

    def named(subject: str, left: tuple[tuple[str, Any], ...], right: tuple[tuple[str, Any], ...]) -> Any:
        first, second = dict(left), dict(right)
        both = (*first, *(name for name in second if name not in first))
        return tuple((name, one(f"{subject}.{name}", first.get(name), second.get(name))) for name in both)

    changes: dict[str, Any] = {}
    for field in attrs.fields(Clauses):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if field.name == "space":
            constraints = tuple(dict.fromkeys((*left.constraints, *right.constraints)))
            changes["space"] = Space(named("space", left.params, right.params), constraints)
        elif field.name == "data":
            changes["data"] = named("data", left, right)
        elif isinstance(field.default, tuple):
            changes[field.name] = tuple(dict.fromkeys((*left, *right)))
        else:
            changes[field.name] = one(SUBJECTS.get(field.name, field.name), left, right)
    modes: dict[str, Objective] = {}
    for goal in changes["objectives"]:
        one(f"objective.{goal.metric}", modes.setdefault(goal.metric, goal), goal)
    return Clauses(**changes)


def source_lines(clauses: Clauses) -> Iterator[str]:
    """The calls that write the clauses, one per line; the first has no leading dot."""
    yield repr(clauses.space)
    for field in attrs.fields(Clauses):
        found = getattr(clauses, field.name)
        if field.name != "space" and bool(found != field.default):
            yield from _CALLS.get(field.name, _plain(field.name))(found)


def _plain(method: str) -> Callable[[Any], Iterator[str]]:
    return lambda found: iter([f".{method}({source_repr(found)})"])


def _repr_call(found: Any) -> Iterator[str]:
    yield f".{found!r}"


def _data(found: tuple[tuple[str, DataObject], ...]) -> Iterator[str]:
    yield f".data({_keywords(dict(found))})"


def _objectives(found: tuple[Objective, ...]) -> Iterator[str]:
    for goal in found:
        yield f".{goal.mode}imize({goal.metric!r})"


def _stop(found: tuple[Reached | Expr, ...]) -> Iterator[str]:
    for part in found:
        match part:
            case Reached(metric, value):
                yield f".stop({_keywords({metric: whole_as_int(value)})})"
            case Calls(function):
                yield f".stop({function!r})"
            case _:
                yield f".stop({part!r})"


def _constraints(found: tuple[Compare, ...]) -> Iterator[str]:
    yield f".subject_to({', '.join(map(repr, found))})"


def _until(found: tuple[Expr, ...]) -> Iterator[str]:
    for condition in found:
        yield f".until({condition.function if isinstance(condition, StudyCalls) else condition!r})"


def _resources(found: Resources | FunctionRef) -> Iterator[str]:
    yield f".{found!r}" if isinstance(found, Resources) else f".resources({found!r})"


def _sinks(found: tuple[Any, ...]) -> Iterator[str]:
    yield f".sinks({', '.join(map(source_repr, found))})"


def _keywords(items: Mapping[str, Any]) -> str:
    if all(map(is_keyword_argument, items)):
        return ", ".join(f"{name}={source_repr(item)}" for name, item in items.items())
    return f"**{source_repr(dict(items))}"


_CALLS: dict[str, Callable[[Any], Iterator[str]]] = {
    "data": _data,
    "objectives": _objectives,
    "constraints": _constraints,
    "stop": _stop,
    "until": _until,
    "budget": _repr_call,
    "resources": _resources,
    "retry": _repr_call,
    "checkpoint": _repr_call,
    "timeout": _repr_call,
    "name": _plain("named"),
    "naming": _plain("name_trials"),
    "sinks": _sinks,
}

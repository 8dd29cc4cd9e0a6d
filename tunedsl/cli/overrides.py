"""Changes an experiment by the values of `--set`, such as `space.lr=loguniform(1e-5, 1e-2)`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

import attrs

from tunedsl.base.diagnostics import SourceLocation, shorten
from tunedsl.base.errors import ArgumentError, wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.configs.clauses import CLAUSES, written_at
from tunedsl.configs.expressions import read_expression
from tunedsl.experiment import Experiment
from tunedsl.spaces.space import Space

COLLECT: Final = {
    "minimize": "objectives",
    "maximize": "objectives",
    "subject_to": "constraints",
    "stop": "stop",
    "until": "until",
    "sinks": "sinks",
}
"""Clauses that add to earlier values; `--set` replaces these."""
_SET: Final = tuple(name for name, clause in CLAUSES.items() if clause.is_data)
"""The clauses that take data. Clauses that take functions or objects can be set only in a file."""
_POLICIES: Final = {"searcher": "searcher=tpe(...)", "scheduler": "scheduler=asha(...)"}
"""Clauses that can only be replaced as a whole, with an example of each."""


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
            experiment = _set(experiment, number, _replaced(experiment, rest.split("."), _value(name, value)))
            continue
        if clause not in _SET:
            parameter = clause in dict(experiment.clauses.space.params)
            hint = f"did you mean space.{name.strip()}?" if parameter else did_you_mean(clause, (*_SET, "space"))
            hint = hint or f"the clauses are {', '.join((*_SET, 'space.NAME'))}"
            raise ArgumentError("E001", f"--set {name}", f"--set cannot change {shorten(repr(clause))}.", hint)
        word = CLAUSES[clause].reads == "text" and not value.strip().startswith(("'", '"'))
        given = value.strip() if word else _value(name, value)
        calls.setdefault(clause, (number, {}))[1][rest] = given
    for clause, (number, keywords) in calls.items():
        experiment = _set(experiment, number, _called(experiment, clause, keywords))
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
    several = (
        positional if isinstance(positional, tuple) and clause in ("stop", "sinks", "subject_to") else (positional,)
    )
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


def _value(name: str, text: str) -> Any:
    return read_expression(f"--set {name.strip()}", text)


def _set(before: Experiment, number: int, after: Experiment) -> Experiment:
    return written_at(before, after, SourceLocation("--set", number))

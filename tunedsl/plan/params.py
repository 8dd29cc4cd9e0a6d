"""Edits of an experiment's space: add, replace and fix parameters. Checks that need sampling are in `spaces.check`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunedsl.base.errors import ArgumentError
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import Literal
from tunedsl.plan.definition import Definition
from tunedsl.spaces.space import Space


def add_params(definition: Definition, params: Mapping[str, Any]) -> Space:
    """The space with more parameters.

    Raises:
        ArgumentError: for a name that the space already has.
    """
    space = definition.clauses.space
    existing = dict(space.params)
    for name in params:
        if name in existing:
            found = f"{name} {definition.already_set(f'space.{name}')}"
            raise ArgumentError("E004", f"space.{name}", found, "a new name", f"replace(...) replaces {name!r}")
    return Space((*space.params, *Space.of(params).params), space.constraints)


def replace_params(clause: str, definition: Definition, params: Mapping[str, Any]) -> Space:
    """The space with other domains, expressions or constants for existing parameters.

    Raises:
        ArgumentError: for a name that the space does not have.
    """
    space = definition.clauses.space
    existing = dict(space.params)
    for name in params:
        if name not in existing:
            hint = did_you_mean(name, existing)
            raise ArgumentError("E001", clause, f"no parameter {name!r}", "an existing one", hint)
    return Space(tuple({**existing, **dict(Space.of(params).params)}.items()), space.constraints)


def fix_params(definition: Definition, params: Mapping[str, Any]) -> Space:
    """The space with constants for existing parameters.

    Raises:
        ArgumentError: for a name that the space does not have, or for a value that is not a constant.
    """
    for name, node in Space.of(params).params:
        if not isinstance(node, (Literal, Space)):
            raise ArgumentError("E003", f"fix.{name}", repr(node), "a constant", "replace(...) takes domains")
    return replace_params("fix", definition, params)

"""Edits of an experiment's space: add, replace and fix parameters. Checks that need sampling are in `spaces.check`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunedsl.base.diagnostics import shorten
from tunedsl.base.errors import ArgumentError, wrong_value
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
            message = f"The parameter {name} {definition.already_set(f'space.{name}')}."
            raise ArgumentError("E004", f"space.{name}", message, f"write replace({name}=...) to change it")
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
            hint = did_you_mean(name, existing) or f"the parameters are {shorten(', '.join(existing)) or 'not set yet'}"
            raise ArgumentError("E001", clause, f"The space has no parameter {shorten(repr(name))}.", hint)
    return Space(tuple({**existing, **dict(Space.of(params).params)}.items()), space.constraints)


def fix_params(definition: Definition, params: Mapping[str, Any]) -> Space:
    """The space with constants for existing parameters.

    Raises:
        ArgumentError: for a name that the space does not have, or for a value that is not a constant.
    """
    for name, node in Space.of(params).params:
        if not isinstance(node, (Literal, Space)):
            raise wrong_value(
                f"fix.{name}", node, "a constant", f"write replace({name}=...) for a domain or an expression"
            )
    return replace_params("fix", definition, params)

"""Configurations that users write: checks them and draws the parameters that they leave out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import as_text
from tunedsl.base.codec import to_json
from tunedsl.base.diagnostics import must_be, reason
from tunedsl.base.errors import ArgumentError, CodecError, SpaceError, wrong_value
from tunedsl.base.names import nearest
from tunedsl.base.references import Literal
from tunedsl.base.types import Config
from tunedsl.spaces.encoding import column_values
from tunedsl.spaces.layout import Layout, ResolvedParam
from tunedsl.spaces.sampling import assemble_config
from tunedsl.spaces.unit_interval import contains, from_unit

_MAX_TRIES: Final = 100


def as_config_literal(subject: str, item: Any) -> Literal:
    """A configuration as the user wrote it; `ArgumentError` for anything else."""
    if not isinstance(item, Mapping) or not all(isinstance(name, str) for name in item):
        raise wrong_value(subject, item, 'a configuration, such as {"lr": 0.1}')
    try:
        return Literal.of({as_text(subject, name): found for name, found in item.items()})
    except CodecError as error:
        message = f"The plan cannot store a configuration of {subject}: {reason(error)}."
        raise ArgumentError(
            "E003", subject, message, "use data, or functions and classes that can be imported"
        ) from None


def fill_config(
    layout: Layout, config: Config, trial: int, key: int, require_all: bool = False, allow_unknown: bool = False
) -> Config:
    """A configuration of the space with some fixed values; the other parameters are drawn.

    Args:
        layout: of the space.
        config: the fixed values by name, nested as in configurations.
        trial: the trial's number.
        key: determines the drawn values.
        require_all: whether all parameters must be fixed.
        allow_unknown: whether unknown names are ignored.

    Raises:
        SpaceError: when the result is not a configuration of the space; the message says why.
    """
    fixed = {
        leaf.name: item for leaf, item in zip(layout.cube_params, column_values(layout, config), strict=True) if item
    }
    drawn: list[str] = []
    for attempt in range(_MAX_TRIES):
        drawn.clear()

        def value_of(leaf: ResolvedParam, attempt: int = attempt) -> Any:
            if leaf.name not in fixed:
                drawn.append(leaf.name)
                u = keys.uniform(keys.key(key, "given", leaf.name, attempt), max(trial, 0))
                return from_unit(leaf.node, np.array([u]))[0]
            (item,) = fixed[leaf.name]
            if not contains(leaf.node, item):
                subject = f"space.{leaf.name}"
                raise SpaceError(must_be(subject, item, f"a value of {leaf.node!r}"), subject)
            return item

        filled, met = assemble_config(layout, value_of, trial, keys.key(key, "attempt", 0))
        if drawn and require_all:
            missing = f"parameters {', '.join(drawn)} are" if len(drawn) > 1 else f"parameter {drawn[0]} is"
            raise SpaceError(f"The {missing} missing.", hint=_suggest_name(config, layout, drawn))
        differs, hint = _describe_difference(layout, config, filled, allow_unknown)
        if met and not differs:
            return filled
        if not drawn:
            break
    if differs:
        raise SpaceError(differs, hint=hint)
    raise SpaceError(
        f"In {_MAX_TRIES} draws, no values of the missing parameters met the constraints."
        if drawn
        else "The configuration does not meet the constraints."
    )


def _describe_difference(layout: Layout, config: Config, filled: Config, allow_unknown: bool) -> tuple[str, str]:
    """Where the filled configuration differs from the written one, and a hint; empty if it does not."""
    for path, item in _flatten(config):
        found: Any = filled
        for name in path:
            if not isinstance(found, Mapping) or name not in found:
                break
            found = found[name]
        else:
            left_out = item == {} and isinstance(found, Mapping)
            if not left_out and to_json(found) != to_json(item) and not _is_equal_number(found, item):
                return f"The parameter {'.'.join(path)} is {found!r} in this configuration, not {item!r}.", ""
            continue
        if not allow_unknown:
            name = ".".join(path)
            near = nearest(name, [leaf.name for leaf in layout.params])
            hint = f"did you mean {near!r}?" if near and near != name else ""
            return f"This configuration has no parameter {name!r}.", hint
    return "", ""


def _is_equal_number(found: Any, item: Any) -> bool:
    return isinstance(item, (int, float)) and bool(found == item)


def _suggest_name(config: Config, layout: Layout, lacking: list[str]) -> str:
    """The hint for an unknown name in the configuration that resembles a missing parameter."""
    known = {leaf.name for leaf in layout.cube_params}
    for path, _ in _flatten(config):
        name = ".".join(path)
        near = None if name in known else nearest(name, lacking)
        if near is not None:
            return f"did you mean {near!r} by {name!r}?"
    return ""


def _flatten(config: Config, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """The leaves of a configuration with their paths; an empty dict is a leaf."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, item in config.items():
        if isinstance(item, dict) and item:
            found += _flatten(item, (*path, name))
        else:
            found.append(((*path, name), item))
    return found

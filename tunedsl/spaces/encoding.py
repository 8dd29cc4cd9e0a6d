"""Maps configurations to points of the unit cube and back, for searchers that work on numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunedsl.base.diagnostics import must_be
from tunedsl.base.errors import SpaceError
from tunedsl.base.types import Config
from tunedsl.spaces.domains import Branch
from tunedsl.spaces.layout import Layout, ResolvedParam
from tunedsl.spaces.sampling import configs_at
from tunedsl.spaces.unit_interval import Floats, to_unit


def to_cube(layout: Layout, config: Config) -> Floats:
    """The point of the unit cube that represents a configuration.

    Args:
        layout: the layout from `resolve_space`.
        config: a configuration of the space.

    Returns:
        Shape (dims,), in [0, 1]; NaN for absent parameters.

    Raises:
        SpaceError: for a value outside its domain.

    Example:
        >>> from tunedsl.spaces import Space, resolve_space, ref, uniform
        >>> layout = resolve_space(Space.of({"a": uniform(0, 4), "b": uniform(0, 1).when(ref("a") > 2)}))
        >>> to_cube(layout, {"a": 1.0})
        array([0.25,  nan])
    """
    point = np.full(layout.dims, np.nan)
    for dim, (leaf, found) in enumerate(zip(layout.cube_params, column_values(layout, config), strict=True)):
        for item in found:
            try:
                point[dim] = to_unit(leaf.node, [item])[0]
            except SpaceError:
                subject = f"space.{leaf.name}"
                raise SpaceError(must_be(subject, item, f"a value of {leaf.node!r}"), subject) from None
    return point


def column_values(layout: Layout, config: Config) -> list[list[Any]]:
    """For each column of the cube, a list with the configuration's value, or an empty list if it has none.

    The value of a branch is the chosen name.
    """
    return [[_column_value(leaf, item) for item in _items_at(config, leaf.path)] for leaf in layout.cube_params]


def _column_value(param: ResolvedParam, item: Any) -> Any:
    if not isinstance(param.node, Branch):
        return item
    if not isinstance(item, Mapping) or len(item) != 1:
        subject = f"space.{param.name}"
        example: Config = {param.node.options[0][0]: {}}
        raise SpaceError(must_be(subject, item, f"one named space, such as {example}"), subject)
    return str(next(iter(item)))


def from_cube(layout: Layout, point: Sequence[float] | Floats, trial: int, key: int) -> Config:
    """The configuration at a point of the unit cube; it may break constraints.

    Args:
        layout: the layout from `resolve_space`.
        point: shape (dims,), in [0, 1]; NaN means the middle of the domain.
        trial: the trial's number, which selects the grid's cell.
        key: the random key of `sample_from`.

    Returns:
        The configuration.

    Raises:
        SpaceError: if an expression or a user function fails.
    """
    cube = np.nan_to_num(np.asarray(point, float), nan=0.5)[None, :]
    return configs_at(layout, cube, [trial], key)[0]


def _items_at(config: Any, path: tuple[str, ...]) -> list[Any]:
    """A list with the item at a path, or an empty list if there is no such item."""
    for name in path:
        if not isinstance(config, Mapping) or name not in config:
            return []
        config = config[name]
    return [config]

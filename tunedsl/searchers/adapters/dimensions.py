"""A space for libraries without conditions: floats, ints and categories, one for each column of the cube.

A domain that a library lacks is a position on the unit interval, where each value of the domain has a section, so no
value is lost. Quantised domains are ints that count steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import attrs
import numpy as np

from tunedsl.spaces.domains import Branch, Choice, Normal, QNormal
from tunedsl.spaces.layout import Layout, ResolvedParam
from tunedsl.spaces.unit_interval import (
    MAX_EXACT_INT,
    from_unit,
    is_discrete,
    step_of_value,
    step_range,
    to_unit,
    value_at_step,
)

_MAX_INT_RANGE: Final = 2**31 - 1
"""Larger ranges of ints are positions on the unit interval, since not all libraries support them."""

Point = Sequence[Any]
"""A raw value for each dimension; None if the parameter does not exist."""


@attrs.frozen(eq=False)
class Dimension:
    """A parameter as a library sees it.

    Attributes:
        param: the parameter.
        kind: the type of its raw values.
        low: the smallest raw value.
        high: the largest one, inclusive; categories count from 0.
        log: whether the scale is logarithmic.
        unit: whether raw values are positions on the unit interval.
    """

    param: ResolvedParam
    kind: Literal["float", "int", "choice"]
    low: float
    high: float
    log: bool = False
    unit: bool = False

    @property
    def name(self) -> str:
        return self.param.name

    @property
    def size(self) -> int:
        """The number of ints or categories."""
        return int(self.high - self.low) + 1

    @property
    def middle(self) -> Any:
        """The raw value of a parameter that does not exist."""
        return self.read((self.low + self.high) / 2)[1] if not self.log else self.low

    def read(self, raw: Any) -> tuple[Any, Any]:
        """The parameter's value at a raw value of any numeric type, and the exact raw value of the result."""
        return make_reader(self)(raw)

    def to_raw(self, value: Any) -> Any:
        """The raw value of one of the parameter's values."""
        node = self.param.node
        if self.kind == "choice":
            return int(to_unit(node, [value])[0] * len(node.options))
        if self.unit:
            return float(to_unit(node, [value])[0])
        return step_of_value(node, value) if self.kind == "int" else float(value)


def make_reader(dim: Dimension) -> Callable[[Any], tuple[Any, Any]]:
    """A function that does `Dimension.read` faster, for many calls."""
    if dim.kind == "float":
        return _unit_reader(dim) if dim.unit else _clipping_reader(dim)
    node, first, last = dim.param.node, int(dim.low), int(dim.high)
    if dim.kind == "int":
        step = value_at_step(node, 1)
        whole = isinstance(step, int)

        def read(raw: Any) -> tuple[Any, int]:
            index = _nearest(raw, first, last)
            return index * step if whole else value_at_step(node, index), index

        return read
    options = node.options
    branches = isinstance(node, Branch)

    def pick(raw: Any) -> tuple[Any, int]:
        index = _nearest(raw, first, last)
        return options[index][0] if branches else options[index].copy(), index

    return pick


def _nearest(raw: Any, first: int, last: int) -> int:
    if type(raw) is int and first <= raw <= last:
        return raw
    return min(last, max(first, round(float(raw))))


def _clipping_reader(dim: Dimension) -> Callable[[Any], tuple[float, float]]:
    low, high = dim.low, dim.high

    def read(raw: Any) -> tuple[float, float]:
        x = float(raw)
        if not x >= low:  # NaN neither
            return low, low
        return (x, x) if x <= high else (high, high)

    return read


def _unit_reader(dim: Dimension) -> Callable[[Any], tuple[Any, float]]:
    node, exact, clip = dim.param.node, is_discrete(dim.param.node), _clipping_reader(dim)

    def read(raw: Any) -> tuple[Any, float]:
        x, _ = clip(raw)
        value = from_unit(node, np.array([x]))[0]
        return value, float(to_unit(node, [value])[0]) if exact else x

    return read


def dimensions(layout: Layout, log: bool = True, integer: bool = True, unit: bool = False) -> tuple[Dimension, ...]:
    """The parameters of a space on the cube that have more than one value.

    Args:
        layout: of the space.
        log: whether the library has logarithmic dimensions.
        integer: whether it has ints.
        unit: whether all numbers must be on the unit interval.
    """
    found = (dimension(leaf, log, integer, unit) for leaf in layout.cube_params)
    return tuple(each for each in found if each.low < each.high)


def dimension(param: ResolvedParam, log: bool = True, integer: bool = True, unit: bool = False) -> Dimension:
    """One parameter on the cube; see `dimensions`."""
    node = param.node
    if isinstance(node, (Choice, Branch)):
        return Dimension(param, "choice", 0, len(node.options) - 1)
    if isinstance(node, (Normal, QNormal)):
        return Dimension(param, "float", 0.0, 1.0, unit=True)
    discrete = is_discrete(node)
    first, last = step_range(node) if discrete else (float(node.low), float(node.high))
    lacking = unit or (node.log and not log) or (discrete and not integer)
    if first < last and (
        lacking or (discrete and (last - first > _MAX_INT_RANGE or max(-first, last) > MAX_EXACT_INT))
    ):
        return Dimension(param, "float", 0.0, 1.0, unit=True)
    return Dimension(param, "int" if discrete else "float", first, last, node.log)


def fill_missing(dims: Sequence[Dimension], point: Point) -> list[Any]:
    """A point with middle values for parameters that do not exist; equal in all points, so they are neutral."""
    return [dim.middle if raw is None else raw for dim, raw in zip(dims, point, strict=True)]

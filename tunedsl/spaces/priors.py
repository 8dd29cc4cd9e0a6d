"""Priors over the unit cube: where users expect good values, as they wrote it by `.prior(...)`.

A prior is a product over parameters: for numbers a normal density on the unit interval, cut at its ends; for choices,
one option is more likely than the others. Parameters without a belief are uniform.
Source: the forms are those of Mallik, Bergman, Hvarfner, Stoll, Janowski, Lindauer, Nardi and Hutter, PriorBand, 2023;
the widths are about half of theirs, which were better on test functions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any, Final, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.base.arguments import as_choice
from tunedsl.base.diagnostics import shorten
from tunedsl.base.errors import ArgumentError, wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.spaces.check import domain_problems
from tunedsl.spaces.domains import Branch, Choice, Domain, Grid, Prior, SampleFrom
from tunedsl.spaces.expressions import Confidence, Node, When, as_literal
from tunedsl.spaces.layout import Layout
from tunedsl.spaces.sampling import cell_count
from tunedsl.spaces.unit_interval import (
    Floats,
    contains,
    from_unit,
    is_discrete,
    step_of_value,
    support,
    to_unit,
    value_at_step,
)

WIDTHS: Final = {"low": 0.3, "medium": 0.15, "high": 0.075}
"""The standard deviation for each confidence, as a share of the unit interval."""

ODDS: Final = {"low": 2.0, "medium": 4.0, "high": 8.0}
"""How much likelier the central option is than each other one."""

PRIOR_SHARE: Final = 0.5
"""The share of trials drawn from the prior while there are no results to learn from."""

_EDGE: Final = 2.0**-53
_UNIT: Final = NormalDist()


def with_prior(node: Node, centre: Any, confidence: Confidence) -> Node:
    """A domain with a belief; see `Node.prior`."""
    if isinstance(node, When):
        return When(with_prior(node.node, centre, confidence), node.condition)
    shown = shorten(repr(node))
    if not isinstance(node, Domain) or isinstance(node, (Grid, SampleFrom)):
        message = f"{shown} cannot have a prior, because no searcher chooses its values."
        raise ArgumentError("E003", "prior", message, "write .prior(...) after a domain such as uniform(0, 1)")
    domain: Any = node  # that it is an attrs class is not known to the type checker
    bare = attrs.evolve(domain, belief=None)
    word: Confidence = as_choice("prior.confidence", confidence, get_args(Confidence))
    if next(domain_problems(bare), None) is None:  # `check` reports an invalid domain
        _check_centre(bare, centre)
    believed: Domain = attrs.evolve(domain, belief=Prior(as_literal("prior.centre", centre), word))
    return believed


def _check_centre(domain: Any, centre: Any) -> None:
    shown = shorten(repr(domain))
    is_choice = isinstance(domain, (Choice, Branch))
    if len(set(domain.options if is_choice else from_unit(domain, np.array([0.0, 1.0])))) == 1:
        message = f"{shown} has a single value, so a prior has no meaning."
        raise ArgumentError("E003", "prior", message, "leave out .prior(...)")
    if not contains(domain, centre):
        raise wrong_value("prior.centre", centre, f"a value of {shown}", _nearest_hint(domain, centre))


def _nearest_hint(domain: Any, centre: Any) -> str:
    """The hint for a centre outside the domain; empty if no value is near."""
    if isinstance(domain, (Choice, Branch)):
        options = [each[0] if isinstance(each, tuple) else each.object for each in domain.options]
        return did_you_mean(centre, [each for each in options if isinstance(each, str)])
    low, high = support(domain)
    is_number = isinstance(centre, (int, float)) and not isinstance(centre, bool)
    if not (is_number and low <= centre <= high and is_discrete(domain)):
        return ""
    return f"did you mean {value_at_step(domain, step_of_value(domain, centre))!r}?"


@attrs.frozen(eq=False)
class Column:
    """The prior of one column of the cube: cut normal, or odds of one option among `options`."""

    centre: float
    width: float
    options: int = 0
    odds: float = 1.0

    def log_density(self, x: Floats) -> Floats:
        """The log density at positions in [0, 1]."""
        if self.options:
            central = np.minimum(x * self.options, self.options - 1).astype(int) == int(self.centre * self.options)
            share = self.options / (self.options - 1 + self.odds)
            return np.where(central, math.log(share * self.odds), math.log(share))
        low, high = self._ends()
        scale = math.log(self.width * math.sqrt(2 * math.pi) * (high - low))
        return -0.5 * ((x - self.centre) / self.width) ** 2 - scale

    def quantile(self, u: Floats) -> Floats:
        """The positions below which a share `u` of the mass is."""
        if self.options:
            masses = np.ones(self.options)
            masses[int(self.centre * self.options)] = self.odds
            edges = np.append(0.0, np.cumsum(masses) / masses.sum())
            return np.interp(u, edges, np.arange(self.options + 1) / self.options)
        low, high = self._ends()
        shares = np.clip(low + u * (high - low), _EDGE, 1 - _EDGE)
        normal = np.array([_UNIT.inv_cdf(share) for share in shares.ravel().tolist()]).reshape(shares.shape)
        return np.clip(self.centre + self.width * normal, 0.0, 1.0)

    def _ends(self) -> tuple[float, float]:
        return _UNIT.cdf(-self.centre / self.width), _UNIT.cdf((1 - self.centre) / self.width)


@attrs.frozen(eq=False)
class SpacePrior:
    """The prior of a space over the unit cube.

    Attributes:
        dims: number of columns of the cube.
        columns: column numbers and their priors; the other columns are uniform.
    """

    dims: int
    columns: tuple[tuple[int, Column], ...]

    def log_density(self, points: Floats) -> Floats:
        """The log density at points, shape (n, dims); NaN marks parameters that a point lacks, which count as 0."""
        total = np.zeros(len(points))
        for dim, column in self.columns:
            x = points[:, dim]
            total += np.where(np.isnan(x), 0.0, column.log_density(np.nan_to_num(x)))
        return total

    def from_uniform(self, cube: Floats) -> Floats:
        """Points with the prior's distribution from uniform ones, shape (n, dims); evenly spread ones stay even."""
        points = cube.copy()
        for dim, column in self.columns:
            points[:, dim] = column.quantile(cube[:, dim])
        return points

    def draw(self, count: int, generator: keys.Generator) -> Floats:
        """Points drawn from the prior, shape (count, dims)."""
        return self.from_uniform(generator.random((count, self.dims)))

    def at_centre(self, cube: Floats) -> Floats:
        """Points moved to the centre, shape (n, dims); columns without a belief are unchanged."""
        points = cube.copy()
        for dim, column in self.columns:
            points[:, dim] = column.centre
        return points


def blend(
    layout: Layout, cube: Floats, trials: NDArray[np.int64], coin: Floats, attempt: int = 0, trust: float = 1.0
) -> Floats:
    """Points of trials without results to learn from: some are drawn from the prior, the others stay uniform.

    Args:
        layout: the layout from `resolve_space`; without beliefs, the points are unchanged.
        cube: uniform points, shape (n, dims).
        trials: their trials, shape (n,). The first attempt of the first trial, in each cell of a grid, is the centre.
        coin: uniform numbers, shape (n,); those below `trust * PRIOR_SHARE` choose the prior.
        attempt: number of the draw for these trials, from 0.
        trust: in [0, 1]; less for a prior that results contradict.
    """
    prior = space_prior(layout)
    if prior is None:
        return cube
    first = (trials >= 0) & (trials < max(1, cell_count(layout))) & (attempt == 0)
    points = np.where((coin < trust * PRIOR_SHARE)[:, None], prior.from_uniform(cube), cube)
    return np.where(first[:, None], prior.at_centre(cube), points)


@functools.lru_cache(maxsize=64)
def space_prior(layout: Layout) -> SpacePrior | None:
    """The prior of a space; None if no parameter has a belief.

    Example:
        >>> from tunedsl.spaces import Space, resolve_space, uniform
        >>> prior = space_prior(resolve_space(Space.of({"x": uniform(0, 2).prior(1, "high"), "y": uniform(0, 1)})))
        >>> prior.log_density(np.array([[0.5, 0.1], [0.75, 0.9], [np.nan, 0.9]])).round(2).tolist()
        [1.67, -3.88, 0.0]
    """
    columns = tuple(_columns(layout))
    return SpacePrior(layout.dims, columns) if columns else None


def prior_around(layout: Layout, point: Floats, confidence: Confidence = "medium") -> SpacePrior:
    """The prior whose centre is a point, shape (dims,); uniform where the point is NaN."""
    known = np.flatnonzero(~np.isnan(point)).tolist()
    return SpacePrior(layout.dims, tuple((dim, _column(layout, dim, float(point[dim]), confidence)) for dim in known))


def _columns(layout: Layout) -> Iterator[tuple[int, Column]]:
    for dim, param in enumerate(layout.cube_params):
        domain: Any = param.node
        if domain.belief is not None:
            (centre,) = to_unit(domain, [domain.belief.centre.object]).tolist()
            yield dim, _column(layout, dim, centre, domain.belief.confidence)


def _column(layout: Layout, dim: int, centre: float, confidence: Confidence) -> Column:
    domain: Any = layout.cube_params[dim].node
    options = len(domain.options) if isinstance(domain, (Choice, Branch)) else 0
    return Column(centre, WIDTHS[confidence], options, ODDS[confidence])

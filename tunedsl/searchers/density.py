"""Parzen densities over the unit cube with parameters of all kinds, the model of TPE and BOHB.

A kernel is a product over parameters: a normal density, cut at the cube's ends, for numbers; for choices, some mass
spread evenly and the rest on the observed option. The kernel of an observation is uniform in a parameter that the
observation lacks, and a parameter that a candidate lacks does not count for it. One more, uniform kernel is the prior.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.spaces.domains import Branch, Choice, Normal, QNormal
from tunedsl.spaces.layout import Layout
from tunedsl.spaces.unit_interval import Floats, is_discrete, unit_bins

_MAX_REDRAWS: Final = 10
_LOG_ROOT_TAU: Final = 0.5 * math.log(2 * math.pi)


def option_counts(layout: Layout) -> NDArray[np.int64]:
    """The number of options of each column of the cube; 0 for numbers."""
    nodes = (leaf.node for leaf in layout.cube_params)
    counts = [len(node.options) if isinstance(node, (Choice, Branch)) else 0 for node in nodes]
    return np.array(counts, np.int64)


@functools.lru_cache(maxsize=64)
def bounded_columns(layout: Layout) -> NDArray[np.bool_]:
    """The columns of parameters with bounds: the ends of the others are extreme values, not bounds."""
    return np.array([not isinstance(leaf.node, (Normal, QNormal)) for leaf in layout.cube_params], bool)


@functools.lru_cache(maxsize=64)
def _binned_columns(layout: Layout) -> tuple[int, ...]:
    """The columns whose values are bins of the unit interval."""
    nodes = [leaf.node for leaf in layout.cube_params]
    return tuple(dim for dim, node in enumerate(nodes) if isinstance(node, (Choice, Branch)) or is_discrete(node))


def snap_to_bins(layout: Layout, cube: Floats) -> tuple[Floats, Floats]:
    """Points moved to the middles of their bins, whose points give the same configuration, and half the bins' widths.

    Args:
        cube: shape (n, dims), in [0, 1]; NaN remains NaN.
    """
    middle, half = cube.copy(), np.zeros(cube.shape)
    for dim in _binned_columns(layout):
        rows = np.flatnonzero(~np.isnan(cube[:, dim]))
        lower, upper = unit_bins(layout.cube_params[dim].node, cube[rows, dim])
        middle[rows, dim] = (lower + upper) / 2
        half[rows, dim] = (upper - lower) / 2
    return middle, half


@attrs.frozen(eq=False)
class ParzenMixture:
    """A mixture of kernels, one per point, and the prior.

    Attributes:
        points: shape (n, dims), snapped; NaN where a parameter does not exist.
        bandwidths: shape (n, dims) or (dims,): the standard deviations of the kernels of numbers.
        uniform_shares: shape (dims,): the mass that kernels of choices spread evenly.
        weights: shape (n + 1,), the prior's last; they sum to 1.
        option_counts: shape (dims,), from `option_counts`.
        clipped: shape (dims,): where numbers that are drawn outside move to the nearer end, so that the ends themselves
            are drawn too. Others, and all without it, are drawn again.
    """

    points: Floats
    bandwidths: Floats
    uniform_shares: Floats
    weights: Floats
    option_counts: NDArray[np.int64]
    clipped: NDArray[np.bool_] | None = None

    def sample(self, count: int, generator: keys.Generator) -> Floats:
        """Points drawn from the mixture, shape (count, dims), in [0, 1]; with a value for every parameter."""
        dims = len(self.option_counts)
        component = generator.choice(len(self.weights), size=count, p=self.weights)
        drawn = generator.random((count, dims))
        if not len(self.points):
            return drawn
        is_kernel = component < len(self.points)
        component = np.minimum(component, len(self.points) - 1)
        centres = self.points[component]
        kernel = is_kernel[:, None] & ~np.isnan(centres)
        widths = np.broadcast_to(self.bandwidths, self.points.shape)[component]
        near = centres + widths * generator.standard_normal((count, dims))
        for _ in range(_MAX_REDRAWS):
            outside = (near < 0) | (near > 1)
            if self.clipped is not None:
                outside &= ~self.clipped
            if not outside.any():
                break
            near = np.where(outside, centres + widths * generator.standard_normal((count, dims)), near)
        chosen = np.where(generator.random((count, dims)) < self.uniform_shares, drawn, centres)
        return np.where(kernel, np.where(self.option_counts > 0, chosen, near.clip(0, 1)), drawn)

    def log_density(self, candidates: Floats) -> Floats:
        """The log density at candidates, shape (m, dims); NaN for parameters that they lack."""
        exists = ~np.isnan(candidates)
        even: Floats = -(exists @ np.log(np.maximum(self.option_counts, 1)))
        log_prior: Floats = np.log(self.weights[-1]) + even
        if not len(self.points):
            return log_prior
        log_kernels = self._numeric_log_kernels(candidates, exists)
        log_kernels += np.log(self.weights[:-1])
        for dim in np.flatnonzero(self.option_counts).tolist():
            log_kernels += self._choice_log_kernels(dim, candidates[:, dim])
        top = np.maximum(log_kernels.max(axis=1), log_prior)
        log_kernels -= top[:, None]
        np.exp(log_kernels, out=log_kernels)
        summed: Floats = top + np.log(log_kernels.sum(axis=1) + np.exp(log_prior - top))
        return summed

    def _numeric_log_kernels(self, candidates: Floats, exists: NDArray[np.bool_]) -> Floats:
        """The numeric part of log kernels, shape (m, n), by matrix products instead of loops."""
        number = self.option_counts == 0
        x, points, there = candidates[:, number], self.points[:, number], exists[:, number]
        widths = self.bandwidths[..., number]
        near = np.minimum(points, 1 - points)
        near /= widths
        scale = np.log(widths) + _LOG_ROOT_TAU + _log_mass(near)
        known = ~np.isnan(points)
        if widths.ndim == 1 and there.all() and known.all():
            x, points = x / widths, points / widths
            share: Floats = x @ points.T
            share -= 0.5 * (points * points).sum(axis=1) + scale.sum(axis=1)
            share -= 0.5 * (x * x).sum(axis=1)[:, None]
            return share
        x, centres = np.where(there, x, 0.0), np.where(known, points, 0.0)
        sharp = np.where(known, widths**-2.0, 0.0)
        fixed = np.where(known, 0.5 * sharp * centres**2 + scale, 0.0)
        share = x @ (sharp * centres).T - 0.5 * (x * x) @ sharp.T - there.astype(float) @ fixed.T
        return share

    def _choice_log_kernels(self, dim: int, candidates: Floats) -> Floats:
        count, spread = int(self.option_counts[dim]), float(self.uniform_shares[dim])
        kernels = np.full((len(self.points), count + 1), spread / count)
        known = np.flatnonzero(~np.isnan(self.points[:, dim]))
        kernels[known, (self.points[known, dim] * count).astype(int)] += 1 - spread
        kernels[np.isnan(self.points[:, dim])] = 1 / count
        kernels[:, count] = 1.0  # for candidates without the parameter
        index = np.where(np.isnan(candidates), count, np.nan_to_num(candidates) * count).astype(int)
        share: Floats = np.log(kernels).T[index]
        return share


def _log_mass(distance: Floats) -> Floats:
    """The log of a normal kernel's mass on the cube, by its distance to the nearer end in widths.

    It is log Phi within 0.01, by a fit to its values at 0, 1 and 2. The farther end is ignored: it cuts off less than
    5 %, the same from good and bad kernels.
    """
    mass: Floats = np.exp(distance * (-1.0755 - 0.3135 * distance))
    mass *= -math.log(2)
    return mass

"""The log of the expected improvement, and the search for the point of the unit cube where it is largest.

Sources: logarithm: Ament et al., Unexpected Improvements to Expected Improvement for Bayesian Optimization, NeurIPS
2023; trust region: Eriksson et al., Scalable Global Optimization via Local Bayesian Optimization, NeurIPS 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.spaces.unit_interval import Floats

Score = Callable[[Floats], Floats]
"""The value of each of several points of the cube, shape (n, dims); larger is better."""

_LOG_ROOT_TAU: Final = 0.5 * math.log(2 * math.pi)
_FAR: Final = 25.0
"""The number of standard deviations beyond which the asymptote replaces the expected improvement."""

_LOCAL_WIDTHS: Final = (0.1, 0.05, 0.02, 0.01, 0.004, 0.0015)
_PARENTS: Final = 6


def log_expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """The log of the expected improvement on `best`, where smaller is better.

    Args:
        mean: shape (n,).
        deviation: standard deviations, shape (n,), above 0.
        best: the value to improve on.
    """
    z = (best - mean) / deviation
    near = np.maximum(z, -_FAR)
    tail = np.array([0.5 * math.erfc(-x * math.sqrt(0.5)) for x in near.tolist()])
    log_normal = -0.5 * z * z - _LOG_ROOT_TAU
    inside = np.log(np.maximum(np.exp(log_normal.clip(-700)) + near * tail, 1e-320))
    asymptote = log_normal - 2 * np.log(np.maximum(-z, 1.0))
    found: Floats = np.where(z > -_FAR, inside, asymptote) + np.log(deviation)
    return found


def log_normal_cdf(z: Floats) -> Floats:
    """The log of the standard normal distribution function."""
    near = np.maximum(z, -_FAR)
    inside = np.log([0.5 * math.erfc(-x * math.sqrt(0.5)) for x in near.tolist()])
    asymptote = -0.5 * z * z - _LOG_ROOT_TAU - np.log(np.maximum(-z, 1.0))
    found: Floats = np.where(z > -_FAR, inside, asymptote)
    return found


@attrs.frozen(eq=False)
class Box:
    """Where candidates are drawn.

    Attributes:
        low: shape (dims,).
        high: shape (dims,).
        share: the share of parameters that differ from the centre; 1 for all.
    """

    low: Floats
    high: Floats
    share: float

    @staticmethod
    def cube(dims: int) -> Box:
        """The whole unit cube."""
        return Box(np.zeros(dims), np.ones(dims), 1.0)


def trust_region(centre: Floats, lengths: Floats, side: float) -> Box:
    """A box around a point, longer in parameters of long length-scales.

    Args:
        centre: shape (dims,); parameters that do not exist are not limited.
        lengths: length-scales, shape (dims,).
        side: the geometric mean of its sides.
    """
    half = 0.5 * side * lengths / math.exp(float(np.log(lengths).mean()))
    middle = np.nan_to_num(centre, nan=0.5)
    half = np.where(np.isnan(centre), 1.0, half)
    return Box((middle - half).clip(0, 1), (middle + half).clip(0, 1), min(1.0, 20 / len(centre)))


def maximize_score(
    score: Score,
    feasible: Callable[[Floats], Floats],
    good: Floats,
    more: Floats,
    counts: NDArray[np.int64],
    box: Box,
    generator: keys.Generator,
    count: int,
) -> tuple[Floats | None, int]:
    """The best point found by drawing candidates and then moving the best of them in smaller and smaller steps.

    Args:
        score: to maximise.
        feasible: returns the points that meet the constraints, snapped to bins.
        good: points near which half of the candidates are drawn, best first, shape (n, dims).
        more: further candidates, shape (m, dims).
        counts: for each column, the number of options; 0 for numbers.
        box: where candidates are drawn.
        generator: the source of randomness.
        count: number of candidates.

    Returns:
        The point, or None if none met the constraints, and the number of points that did not.
    """
    dims = len(counts)
    drawn = box.low + generator.random((count, dims)) * (box.high - box.low)
    if len(good):
        fixed = generator.random((count, dims)) >= box.share
        drawn = np.where(fixed, np.nan_to_num(good[0], nan=0.5), drawn)
        near = [_moved(good, width, counts, box, generator, count // 6) for width in (0.2, 0.05, 0.01)]
        drawn = np.concatenate([drawn[count // 6 * 3 :], *near])
    drawn = np.concatenate([drawn, more])
    points = feasible(drawn)
    rejected = len(drawn) - len(points)
    if not len(points):
        return None, rejected
    scores = score(points)
    for width in _LOCAL_WIDTHS:
        top = np.argsort(-scores, kind="stable")[:_PARENTS]
        points, scores = points[top], scores[top]
        moved = feasible(_moved(points, width, counts, box, generator, max(count // 8, 8)))
        if len(moved):
            points, scores = np.concatenate([points, moved]), np.concatenate([scores, score(moved)])
    return points[int(np.argmax(scores))], rejected


def _moved(
    points: Floats, width: float, counts: NDArray[np.int64], box: Box, generator: keys.Generator, count: int
) -> Floats:
    """Copies of points with some parameters moved, at least one each, shape (count, dims)."""
    dims = len(counts)
    start = points[np.arange(count) % len(points)]
    uniform = generator.random((count, dims))
    share = generator.choice([0.0, 0.3, 1.0], size=(count, 1))
    changed = generator.random((count, dims)) < share
    changed[np.arange(count), generator.integers(dims, size=count)] = True
    shifted = (start + width * generator.standard_normal((count, dims))).clip(box.low, box.high)
    # A few choices at a time: a change of one says little about the others.
    redrawn = (counts > 0) & (generator.random((count, dims)) < np.where(share < 1, 1.0, 0.2))
    shifted = np.where(counts > 0, np.where(redrawn, uniform, start), shifted)
    return np.where(np.isnan(start), uniform, np.where(changed, shifted, start))

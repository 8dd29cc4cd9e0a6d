"""A Gaussian process over the unit cube: its features, kernel, hyperparameters and posterior.

The kernel is a Matérn 5/2 with a length-scale for each parameter. Choices differ by a constant distance, a parameter
that does not exist has the middle value, and the log of the iteration is one more feature. Values are warped to look
normal. Hyperparameters maximise the posterior density.
Sources: length-scale prior that grows with the dimension: Hvarfner, Hellsten and Nardi, Vanilla Bayesian Optimization
Performs Great in High Dimensions, ICML 2024; warping: Yeo and Johnson, Biometrika 87, 2000, and Cowen-Rivers et al.,
HEBO, JAIR 74, 2022; fidelity as a feature: Klein et al., Model-based Asynchronous Hyperparameter and Neural
Architecture Search, 2020, arXiv:2003.10865.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.searchers.density import option_counts
from tunedsl.spaces.layout import Layout
from tunedsl.spaces.unit_interval import Floats

_MIN_NOISE: Final = 1e-6
"""The least variance of the noise, which also keeps the covariance matrix regular."""

_NOISE_LOCATION: Final = -8.0
_NOISE_SCALE: Final = 2.0
"""Little noise is expected: what looks like noise is often detail of the objective, which the best trials need."""

_LENGTH_LOCATION: Final = math.sqrt(2)
_LENGTH_SCALE: Final = math.sqrt(3)
_FIDELITY_LOCATION: Final = 0.5
_FIDELITY_SCALE: Final = 0.5
"""Values at different fidelities are assumed to be alike."""

_LOG_BOUND: Final = 12.0
"""Limit of the logs of hyperparameters."""


@attrs.frozen(eq=False)
class Features:
    """How points of a space become rows of features.

    Attributes:
        counts: for each column of the cube, the number of options; 0 for numbers.
        groups: for each feature, the index of its length-scale.
    """

    counts: NDArray[np.int64]
    groups: NDArray[np.int64]

    @staticmethod
    def of(layout: Layout) -> Features:
        """The features of a space and of the fidelity, which is the last."""
        counts = option_counts(layout)
        return Features(counts, np.repeat(np.arange(len(counts) + 1), np.append(np.maximum(counts, 1), 1)))

    def rows(self, points: Floats, fidelity: Floats | float) -> Floats:
        """The features of points, shape (n, dims), at fidelities in [0, 1]."""
        columns = []
        for dim, count in enumerate(self.counts.tolist()):
            x = points[:, dim]
            if not count:
                columns.append(np.where(np.isnan(x), 0.5, x)[:, None])
                continue
            chosen = np.where(np.isnan(x), -1, np.minimum(np.nan_to_num(x) * count, count - 1)).astype(int)
            # Two options are at distance 1.
            columns.append((chosen[:, None] == np.arange(count)) * math.sqrt(0.5))
        columns.append(np.broadcast_to(fidelity, len(points))[:, None])
        return np.concatenate(columns, axis=1)


@attrs.frozen(eq=False)
class Hyperparameters:
    """The logs of the length-scales, of the noise's variance and of the signal's.

    Attributes:
        values: shape (groups + 2,).
    """

    values: Floats

    @staticmethod
    def typical(groups: int) -> Hyperparameters:
        """Where a fit begins."""
        return Hyperparameters(np.append(np.full(groups, math.log(0.5 * math.sqrt(groups))), [-6.0, 0.0]))

    @property
    def lengths(self) -> Floats:
        """The length-scale of each group."""
        return np.exp(self.values[:-2])

    @property
    def noise(self) -> float:
        """The variance of the noise."""
        return math.exp(self.values[-2]) + _MIN_NOISE

    @property
    def signal(self) -> float:
        """The variance of the function."""
        return math.exp(self.values[-1])


def matern(squares: Floats) -> Floats:
    """The Matérn 5/2 correlation at squared distances."""
    return _matern(squares)[0]


def matern_with_slope(squares: Floats) -> tuple[Floats, Floats]:
    """The Matérn 5/2 correlation at squared distances, and minus twice its derivative by them."""
    correlation, scaled, decay = _matern(squares)
    scaled += 1
    scaled *= 5 / 3
    scaled *= decay
    return correlation, scaled


def _matern(squares: Floats) -> tuple[Floats, Floats, Floats]:
    """The correlation, the scaled distances and the exponential of minus these, each in an array of its own."""
    scaled = np.maximum(squares, 0)
    scaled *= 5
    np.sqrt(scaled, out=scaled)
    decay = np.negative(scaled)
    np.exp(decay, out=decay)
    correlation = scaled * scaled
    correlation /= 3
    correlation += 1 + scaled
    correlation *= decay
    return correlation, scaled, decay


def squared_distances(left: Floats, right: Floats) -> Floats:
    """Squared distances of rows, shape (n, m)."""
    found: Floats = (left * left).sum(axis=1)[:, None] + (right * right).sum(axis=1) - 2 * (left @ right.T)
    return found


def log_posterior(values: Floats, x: Floats, y: Floats, groups: NDArray[np.int64]) -> tuple[float, Floats]:
    """The log density of hyperparameters given data, up to a constant, and its gradient.

    Args:
        values: as in `Hyperparameters`.
        x: features, shape (n, features).
        y: values, shape (n,), of mean 0 and variance 1.
        groups: as in `Features`.
    """
    fit, count = Hyperparameters(values), len(y)
    scaled = x / fit.lengths[groups]
    squares = squared_distances(scaled, scaled)
    correlation, slope = matern_with_slope(squares)
    covariance = fit.signal * correlation
    covariance[np.diag_indices(count)] = fit.signal + fit.noise
    factor = np.linalg.cholesky(covariance)
    inverse_factor = np.linalg.inv(factor)
    inverse = inverse_factor.T @ inverse_factor
    weights = inverse @ y
    density = -0.5 * (y @ weights) - np.log(np.diag(factor)).sum()
    outer = np.outer(weights, weights) - inverse
    by_square = fit.signal * outer * slope
    np.fill_diagonal(by_square, 0.0)
    by_feature = (by_square.sum(axis=1) @ (scaled * scaled)) - ((by_square @ scaled) * scaled).sum(axis=0)
    by_length = np.bincount(groups, by_feature, len(values) - 2)
    by_noise = 0.5 * np.trace(outer) * (fit.noise - _MIN_NOISE)
    np.fill_diagonal(correlation, 1.0)
    by_signal = 0.5 * fit.signal * (outer * correlation).sum()
    prior, by_prior = _log_prior(values)
    return float(density + prior), np.append(by_length, [by_noise, by_signal]) + by_prior


def _log_prior(values: Floats) -> tuple[float, Floats]:
    """Log-normal densities of the length-scales, the noise and the signal, and the gradient by their logs."""
    groups = len(values) - 2
    location = np.append(np.full(groups, _LENGTH_LOCATION + 0.5 * math.log(max(groups - 1, 1))), [_NOISE_LOCATION, 0.0])
    scale = np.append(np.full(groups, _LENGTH_SCALE), [_NOISE_SCALE, 0.5])
    away = (values - location) / scale
    return float(-0.5 * (away * away).sum() - values.sum()), -away / scale - 1


def maximize(
    function: Callable[[Floats], tuple[float, Floats]], start: Floats, steps: int, tolerance: float = 1e-3
) -> Floats:
    """A local maximum of a smooth function, by the BFGS method with backtracking.

    Args:
        function: returns the value and the gradient; may raise `LinAlgError` where it is not defined.
        start: where to begin.
        steps: maximum number of steps.
        tolerance: ends when a step gains less.
    """
    at = start
    value, gradient = function(at)
    inverse = np.eye(len(at))
    for step in range(steps):
        direction = inverse @ gradient
        slope = float(direction @ gradient)
        if slope <= 0:
            inverse, direction, slope = np.eye(len(at)), gradient, float(gradient @ gradient)
        length = min(1.0, 1.0 / max(float(np.abs(direction).max()), 1e-12)) if step == 0 else 1.0
        length = min(length, 3.0 / max(float(np.abs(direction).max()), 1e-12))
        for _ in range(12):
            new = np.clip(at + length * direction, -_LOG_BOUND, _LOG_BOUND)
            try:
                new_value, new_gradient = function(new)
            except np.linalg.LinAlgError:
                new_value, new_gradient = -math.inf, gradient
            if new_value >= value + 1e-4 * length * slope:
                break
            length *= 0.4
        else:
            return at
        moved, change = new - at, gradient - new_gradient
        gained = new_value - value
        at, value, gradient = new, new_value, new_gradient
        if gained < tolerance:
            return at
        curvature = float(moved @ change)
        if curvature > 1e-10:
            if step == 0:
                inverse *= curvature / float(change @ change)
            left = np.eye(len(at)) - np.outer(moved, change) / curvature
            inverse = left @ inverse @ left.T + np.outer(moved, moved) / curvature
    return at


def fit(
    x: Floats, y: Floats, groups: NDArray[np.int64], earlier: Hyperparameters | None, steps: int
) -> Hyperparameters:
    """The most probable hyperparameters, found from the earlier ones or from typical ones."""
    starts = [Hyperparameters.typical(int(groups[-1]) + 1).values]
    if earlier is not None:
        starts.append(earlier.values)
    defined = [(density, start) for start in starts if (density := _density_or_none(start, x, y, groups)) is not None]
    if not defined:
        return Hyperparameters(starts[0])
    best = max(defined, key=lambda pair: pair[0])[1]
    return Hyperparameters(maximize(lambda values: log_posterior(values, x, y, groups), best, steps))


def _density_or_none(values: Floats, x: Floats, y: Floats, groups: NDArray[np.int64]) -> float | None:
    """The log density, or None where rounding makes the covariance matrix singular."""
    try:
        return log_posterior(values, x, y, groups)[0]
    except np.linalg.LinAlgError:
        return None


def cholesky(covariance: Floats) -> Floats:
    """The Cholesky factor of a covariance matrix, with the least more noise by which rounding leaves it regular.

    Many points that are almost equal, with little noise, make a matrix that is singular after rounding.

    Raises:
        LinAlgError: when the matrix is no covariance.
    """
    added, noisy = 0.0, covariance
    while True:
        try:
            return np.linalg.cholesky(noisy).astype(float, copy=False)
        except np.linalg.LinAlgError:
            most = float(np.diag(covariance).max(initial=1e-300))
            if not added < most:
                raise
            added = max(10 * added, _MIN_NOISE * most)
            noisy = covariance + added * np.eye(len(covariance))


@attrs.frozen(eq=False)
class Posterior:
    """The process given data.

    Attributes:
        hyperparameters: of the kernel.
        groups: as in `Features`.
        scaled: the data's features divided by their length-scales, shape (n, features).
        weights: shape (n,): the mean at a point is its covariances with the data times these.
        inverse_factor: the inverse of the Cholesky factor of the data's covariance.
    """

    hyperparameters: Hyperparameters
    groups: NDArray[np.int64]
    scaled: Floats
    weights: Floats
    inverse_factor: Floats

    @staticmethod
    def of(hyperparameters: Hyperparameters, groups: NDArray[np.int64], x: Floats, y: Floats) -> Posterior:
        """The posterior of values y, shape (n,), at features x."""
        scaled = x / hyperparameters.lengths[groups]
        correlation = matern(squared_distances(scaled, scaled))
        covariance = hyperparameters.signal * correlation
        covariance[np.diag_indices(len(y))] = hyperparameters.signal + hyperparameters.noise
        inverse_factor: Floats = np.linalg.inv(cholesky(covariance)).astype(float, copy=False)
        return Posterior(hyperparameters, groups, scaled, inverse_factor.T @ (inverse_factor @ y), inverse_factor)

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """The means and standard deviations at features x, without the noise."""
        covariances = self._covariances(x)
        explained = self.inverse_factor @ covariances
        variance = self.hyperparameters.signal - (explained * explained).sum(axis=0)
        return self.weights @ covariances, np.sqrt(np.maximum(variance, 1e-12))

    def mean(self, x: Floats) -> Floats:
        """The means at features x."""
        found: Floats = self.weights @ self._covariances(x)
        return found

    def _covariances(self, x: Floats) -> Floats:
        correlation = matern(squared_distances(self.scaled, x / self.hyperparameters.lengths[self.groups]))
        return self.hyperparameters.signal * correlation


def warp(values: Floats) -> Floats:
    """Values, transformed monotonically to look normal, with mean 0 and variance 1.

    The power transform of Yeo and Johnson, with the most likely power, of values in robust units.
    """
    low, middle = float(values.min()), float(np.median(values))
    unit = max(middle - low, 1e-9 * (float(values.max()) - low)) or 1.0
    scaled = (values - middle) / unit
    found = yeo_johnson(scaled, _most_likely_power(scaled))
    spread = float(found.std())
    centred: Floats = found - found.mean()
    return centred / (spread if spread > 1e-12 else 1.0)


def yeo_johnson(values: Floats, power: float) -> Floats:
    """The power transform of Yeo and Johnson."""
    up, down = np.log1p(np.maximum(values, 0)), np.log1p(np.maximum(-values, 0))
    above = up if abs(power) < 1e-6 else np.expm1(power * up) / power
    below = down if abs(2 - power) < 1e-6 else np.expm1((2 - power) * down) / (2 - power)
    return np.where(values >= 0, above, -below)


def _most_likely_power(values: Floats) -> float:
    """The power in [-1, 2] under which the transformed values are most likely normal, by golden section."""
    logs = float((np.sign(values) * np.log1p(np.abs(values))).sum())

    def loss(power: float) -> float:
        variance = float(yeo_johnson(values, power).var())
        return 0.5 * len(values) * math.log(max(variance, 1e-300)) - (power - 1) * logs

    low, high, ratio = -1.0, 2.0, (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(12):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return (low + high) / 2

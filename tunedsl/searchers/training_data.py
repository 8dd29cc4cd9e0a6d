"""What a Gaussian process learns from a history: losses of all fidelities on one scale, and unfinished points."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.searchers.gaussian_process import warp
from tunedsl.searchers.history import DONE, DROPPED, FAILED, PENDING, REPORTED, STOPPED, History, last_of_each
from tunedsl.spaces.unit_interval import Floats

_MAX_ROWS: Final = 400
"""Of more data, the best part and a spread over the rest are taken."""

_MAX_PENDING: Final = 100


@attrs.frozen(eq=False)
class TrainingData:
    """What the process learns from, in the order of telling.

    Attributes:
        rows: the history's row of each observation, shape (n,).
        points: shape (n, dims).
        fidelity: log of the iteration, in [0, 1]; 1 for trials that ended by themselves.
        losses: warped, shape (n,).
        running: rows of the trials whose final value is not known, shape (m,).
        trials: number of trials with values.
        side: of the trust region.
    """

    rows: NDArray[np.int64]
    points: Floats
    fidelity: Floats
    losses: Floats
    running: NDArray[np.int64]
    trials: int
    side: float


def training_data(
    history: History, weights_key: int, contains: Callable[[Floats], NDArray[np.bool_]] | None = None
) -> TrainingData:
    """The data of a history.

    Args:
        history: the history.
        weights_key: of the random weights of several objectives.
        contains: mask of the points that count; None for all.
    """
    observed = history.observations.rows
    status = history.to_arrays().status
    rows = observed[:, 0].astype(np.int64)
    values = observed[:, 3:]
    fit = np.isin(observed[:, 1], (DONE, STOPPED, REPORTED)) & np.isfinite(values).all(axis=1)
    fit &= status[rows] != DROPPED
    points = history.points.rows
    among = np.ones(len(points), bool) if contains is None else contains(points)
    fit &= among[rows]
    iterations = np.maximum(observed[:, 2], 1)
    fit = _last_of_each_level(rows, iterations, fit)
    rows, iterations, done = rows[fit], iterations[fit], observed[fit, 1] == DONE
    full = float(iterations.max(initial=1))
    fidelity = np.where(done, 1.0, np.log(iterations) / math.log(full)) if full > 1 else np.ones(len(rows))
    # The final value of a stopped trial will not be known either: without it, the same would be proposed again.
    unknown = np.isin(status, (PENDING, REPORTED)) | ((status == STOPPED) & (full > 1))
    running = np.flatnonzero(unknown & among)[-_MAX_PENDING:]
    trials = len(np.unique(rows))
    if not trials:
        return TrainingData(rows, points[rows], fidelity, values[fit][:, 0], running, 0, 0.8)
    losses = _scalarised(values[fit], weights_key)
    ended = done | (fidelity == 1)
    side = trust_region_side(losses[ended], points.shape[1])
    failed = np.flatnonzero(_failed(status, observed) & among)
    worst = float(losses.max())
    rows = np.concatenate([rows, failed])
    fidelity = np.concatenate([fidelity, np.ones(len(failed))])
    losses = np.concatenate([losses, np.full(len(failed), worst)])
    kept = best_and_spread(losses, _MAX_ROWS)
    rows, fidelity, losses = rows[kept], fidelity[kept], losses[kept]
    losses = _without_trend(rows, fidelity, warp(losses))
    return TrainingData(rows, points[rows], fidelity, losses, running, trials, side)


def best_and_spread(losses: Floats, count: int) -> NDArray[np.int64]:
    """The rows of the least losses and of a spread over the others, at most `count` and in their order."""
    if len(losses) <= count:
        return np.arange(len(losses))
    order, half = np.argsort(losses, kind="stable"), count // 2
    return np.sort(np.concatenate([order[:half], order[half:][:: math.ceil((len(losses) - half) / half)]]))


def _without_trend(rows: NDArray[np.int64], fidelity: Floats, losses: Floats) -> Floats:
    """The losses less what they typically fall with the fidelity, so that those of different fidelity compare.

    Only differences within trials count, as later fidelities belong to better trials.
    """
    order = np.lexsort((fidelity, rows))
    same = (np.diff(rows[order]) == 0) & (np.diff(fidelity[order]) > 0)
    if not same.any():
        return losses
    slope = float(np.median((np.diff(losses[order]) / np.where(same, np.diff(fidelity[order]), 1.0))[same]))
    found: Floats = losses + slope * (1 - fidelity)
    found -= found.mean()
    return found / max(float(found.std()), 1e-12)


def _failed(status: NDArray[np.int64], observed: Floats) -> NDArray[np.bool_]:
    """Mask of the trials that failed, or ended without finite values."""
    failed: NDArray[np.bool_] = status == FAILED
    finite = np.isfinite(observed[:, 3:]).all(axis=1)
    ended = np.isin(observed[:, 1], (DONE, STOPPED)) & ~finite
    rows = observed[ended, 0].astype(np.int64)
    failed[rows[status[rows] != DROPPED]] = True
    return failed


def _last_of_each_level(rows: NDArray[np.int64], iterations: Floats, fit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask of the last fitting observation of each trial within each doubling of the iteration."""
    where = np.flatnonzero(fit)
    level = np.floor(np.log2(iterations[where]) + 1e-9)
    kept = np.zeros(len(fit), bool)
    kept[where[last_of_each(rows[where], level)]] = True
    return kept


def _scalarised(values: Floats, key: int) -> Floats:
    """One loss of each observation: the augmented Chebyshev norm with random weights."""
    if values.shape[1] == 1:
        return values[:, 0]
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    drawn = -np.log(keys.uniforms(key, range(values.shape[1])))
    weighted = scaled * (drawn / drawn.sum())
    found: Floats = weighted.max(axis=1) + 0.05 * weighted.sum(axis=1)
    return found


def trust_region_side(losses: Floats, dims: int) -> float:
    """The side after the results so far: doubled after three improvements in a row, halved after many failures."""
    side, wins, fails, best = 0.8, 0, 0, math.inf
    for loss in losses.tolist():
        improved = loss < best - 1e-3 * abs(best) if math.isfinite(best) else True
        best = min(best, loss)
        wins, fails = (wins + 1, 0) if improved else (0, fails + 1)
        if wins == 3:
            side, wins = min(2 * side, 1.6), 0
        elif fails == max(4, dims):
            side, fails = side / 2, 0
        if side < 0.5**7:
            side = 0.8
    return side

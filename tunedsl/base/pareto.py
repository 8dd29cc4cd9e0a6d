"""Pareto fronts: the points that no other point dominates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def pareto_front(losses: Floats) -> NDArray[np.bool_]:
    """Which points no other point dominates; equal points do not dominate each other.

    Args:
        losses: shape (n, m), less is better; a row with NaN in it is dominated.

    Returns:
        Shape (n,).

    Example:
        >>> pareto_front(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
        [True, True, False, True]
    """
    whole: NDArray[np.bool_] = np.logical_not(np.isnan(losses).any(axis=1))
    if losses.shape[1] == 2:
        return _front_of_two(losses, whole)
    kept = whole.copy()
    for row in np.flatnonzero(whole).tolist():
        if kept[row]:
            worse = (losses >= losses[row]).all(axis=1) & (losses > losses[row]).any(axis=1)
            kept &= ~worse
    return kept


def _front_of_two(losses: Floats, whole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The front of two objectives in n log n: sorted by the first, each point that is better in the second."""
    kept = np.zeros(len(losses), bool)
    rows = np.flatnonzero(whole)
    rows = rows[np.lexsort((losses[rows, 1], losses[rows, 0]))]
    second = losses[rows, 1]
    before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]]) if len(rows) else second
    kept[rows[second < before]] = True
    # A point that equals a point of the front is on the front too.
    last = np.maximum.accumulate(np.where(second < before, np.arange(len(rows)), 0))
    kept[rows[(losses[rows] == losses[rows[last]]).all(axis=1)]] = True
    return kept


def crowding_distance(losses: Floats) -> Floats:
    """The distance of each point of a front from its neighbours; infinite at the ends.

    Source: Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, 2002.
    """
    distance = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]] if len(order) else 0.0
        if not (np.isfinite(span) and span > 0):
            continue
        distance[order[0]] = distance[order[-1]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def nondominated_order(losses: Floats, count: int) -> NDArray[np.int64]:
    """The best points, front by front, with the less crowded first; at least `count` if possible.

    Args:
        losses: shape (n, m), finite, less is better.
        count: the minimum number of points; the last front is returned whole.

    Returns:
        Indices of points, best first.
    """
    if losses.shape[1] == 1:
        return np.argsort(losses[:, 0], kind="stable")
    left = np.arange(len(losses))
    found: list[NDArray[np.int64]] = []
    while len(left) and sum(map(len, found)) < count:
        on = pareto_front(losses[left])
        members = left[on]
        found.append(members[np.argsort(-crowding_distance(losses[members]), kind="stable")])
        left = left[~on]
    return np.concatenate(found) if found else left

"""Pareto fronts: the points that no other point dominates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
OrderWithin = Callable[[Floats], Indices]
"""Returns the indices of the points of one front, best first."""

ChooseWithin = Callable[[Floats, int], Indices]
"""Returns the indices of the best points of one front, best first: at least some number of them, or all."""

MAX_NET: Final = 128
"""Limit of the points of a front that `epsilon_net_order` picks one by one."""


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
        with np.errstate(invalid="ignore", over="ignore"):
            span = column[order[-1]] - column[order[0]] if len(order) else 0.0
        if not (np.isfinite(span) and span > 0):
            continue
        distance[order[0]] = distance[order[-1]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def crowding_order(losses: Floats) -> Indices:
    """The points of a front, the least crowded first.

    >>> crowding_order(np.array([[0.0, 9.0], [1.0, 8.0], [2.0, 4.0], [9.0, 0.0]])).tolist()
    [0, 3, 2, 1]
    """
    return np.argsort(-crowding_distance(losses), kind="stable")


def epsilon_net_order(losses: Floats) -> Indices:
    """The points of a front, each next one the farthest from all before it; first the best in the first objective.

    Objectives are scaled by their range on the front. After `MAX_NET` points, the rest follow by their distance.

    >>> epsilon_net_order(np.array([[0.0, 9.0], [1.0, 8.0], [4.0, 4.0], [9.0, 0.0]])).tolist()
    [0, 3, 2, 1]

    Source: Clarkson, Nearest-Neighbor Searching and Metric Space Dimensions, 2005; as the order within fronts: Salinas
    et al., A Multi-Objective Perspective on Jointly Tuning Hardware and Hyperparameters, 2021, arXiv:2106.05680, and
    Schmucker et al., Multi-Objective Asynchronous Successive Halving, 2021, arXiv:2106.12639.
    """
    if len(losses) < 3:
        return np.argsort(losses[:, 0], kind="stable")
    known = np.where(np.isfinite(losses), losses, np.nan)
    low = np.nanmin(known, axis=0, initial=np.inf)
    span = np.nanmax(known, axis=0, initial=-np.inf) - low
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (losses - low) / np.where(np.isfinite(span) & (span > 0), span, 1.0)
    points = np.nan_to_num(scaled, nan=0.0, posinf=2.0, neginf=-1.0)
    order = [int(np.argmin(losses[:, 0]))]
    distances = np.full(len(points), np.inf)
    for _ in range(min(len(points), MAX_NET) - 1):
        np.minimum(distances, ((points - points[order[-1]]) ** 2).sum(axis=1), out=distances)
        distances[order[-1]] = -1.0
        order.append(int(np.argmax(distances)))
    distances[order] = np.inf
    rest = np.argsort(-distances, kind="stable")[len(order) :]
    return np.concatenate([np.array(order), rest])


def nondominated_order(losses: Floats, count: int, within: OrderWithin = crowding_order) -> Indices:
    """The best points, front by front; at least `count` if possible.

    Args:
        losses: shape (n, m), finite, less is better.
        count: the minimum number of points; the last front is returned whole.
        within: the order of the points of one front.

    Returns:
        Indices of points, best first.
    """
    if losses.shape[1] == 1:
        return np.argsort(losses[:, 0], kind="stable")
    return by_fronts(losses, count, lambda front, missing: within(front))


def by_fronts(losses: Floats, count: int, choose: ChooseWithin) -> Indices:
    """The best points, front by front; at least `count` if possible.

    Args:
        losses: shape (n, m), finite, less is better.
        count: the minimum number of points.
        choose: chooses the points of each front; it gets the number that is missing before them.
    """
    left, missing = np.arange(len(losses)), count
    found: list[Indices] = []
    while len(left) and missing > 0:
        on = pareto_front(losses[left])
        members = left[on]
        found.append(members[choose(losses[members], missing)])
        missing -= len(members)
        left = left[~on]
    return np.concatenate(found) if found else left

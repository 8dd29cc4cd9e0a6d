"""Hypervolumes: the volume that points dominate up to a reference point, and subsets that dominate the most of it.

Sources: While, Bradstreet and Barone, A Fast Way of Calculating Exact Hypervolumes, IEEE TEC 16, 2012; greedy subsets:
Guerreiro, Fonseca and Paquete, Greedy Hypervolume Subset Selection in Low Dimensions, EC 24, 2016.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.base.pareto import Floats, by_fronts, crowding_order, nondominated_order, pareto_front

_SEED: Final = 0
_POINTS: Final = 1024
_BEYOND: Final = 0.1
"""How far the reference point is beyond the worst losses, as a share of their range."""


def hypervolume(losses: Floats, reference: Floats) -> float:
    """The volume that points dominate, up to a reference point; exact for any number of objectives.

    Args:
        losses: shape (n, m), less is better; rows with NaN, and points that are not below the reference in every
            column, add nothing.
        reference: shape (m,), finite.

    >>> hypervolume(np.array([[0.0, 0.5], [0.5, 0.0]]), np.array([1.0, 1.0]))
    0.75
    """
    inside = losses[(losses < reference).all(axis=1)]
    return _volume(inside[pareto_front(inside)], reference) if len(inside) else 0.0


def _volume(front: Floats, reference: Floats) -> float:
    """The volume of points of which none dominates another."""
    if front.shape[1] == 1:
        return float(reference[0] - front.min())
    front = front[np.lexsort(front.T[::-1])]
    if front.shape[1] == 2:
        heights = np.concatenate([reference[1:], front[:-1, 1]]) - front[:, 1]
        return float(((reference[0] - front[:, 0]) * heights).sum())
    # The worst in the first column first, so that the recursion meets few points of lower volume.
    front = front[::-1]
    return sum(_exclusive(point, front[place + 1 :], reference) for place, point in enumerate(front))


def _exclusive(point: Floats, others: Floats, reference: Floats) -> float:
    """The volume that a point dominates and no other one does."""
    own = float((reference - point).prod())
    if not len(others):
        return own
    limited = np.maximum(others, point)
    return own - _volume(np.unique(limited[pareto_front(limited)], axis=0), reference)


def best_subset(front: Floats, reference: Floats, count: int) -> NDArray[np.int64]:
    """`count` points of a front that together dominate much, chosen one after the other by what each adds.

    Volumes are shares of fixed random points between the best of each column and the reference point. Of points that
    add the same, the less crowded is first.
    """
    order = crowding_order(front)
    best = front.min(axis=0)
    span = np.where(reference > best, reference - best, 1.0)
    draws = keys.generator(_SEED).random((_POINTS, front.shape[1]))
    adds = (((front[order] - best) / span)[:, None, :] <= draws[None, :, :]).all(axis=2)
    chosen: list[int] = []
    for _ in range(min(count, len(front))):
        added = adds.sum(axis=1)
        added[chosen] = -1
        place = int(np.argmax(added))
        chosen.append(place)
        adds &= ~adds[place]
    return order[chosen]


def hypervolume_order(losses: Floats, count: int) -> NDArray[np.int64]:
    """The best points, front by front; of the last front, those that together dominate the most.

    Args:
        losses: shape (n, m), finite, less is better.
        count: the number of points; all if there are fewer.

    Returns:
        Indices of points, best first.
    """
    if losses.shape[1] <= 2:
        return nondominated_order(losses, count)
    worst = losses.max(axis=0, initial=-np.inf)
    reference = worst + _BEYOND * (worst - losses.min(axis=0, initial=np.inf))

    def choose(front: Floats, missing: int) -> NDArray[np.int64]:
        return best_subset(front, reference, missing) if len(front) > missing else crowding_order(front)

    return by_fronts(losses, count, choose)

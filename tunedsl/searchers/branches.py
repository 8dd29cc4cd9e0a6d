"""Branches of a conditional space that were tried too rarely to be judged.

A branch is an option of a choice that the existence of other parameters depends on. A model of the whole space rejects
a branch after two or three bad configurations, as it knows nothing of the branch's own parameters. Therefore each
branch gets some trials that a model of this branch alone proposes.
Sources: forced exploration: Garivier and Kaufmann, Optimal Best Arm Identification with Fixed Confidence, COLT 2016;
extrapolated improvement: Li, Jiang, Gao, Shao, Zhang and Cui, Efficient Automatic CASH via Rising Bandits, AAAI 2020.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.searchers.density import option_counts
from tunedsl.searchers.history import DROPPED, HistoryArrays
from tunedsl.spaces.layout import Layout, referenced_names
from tunedsl.spaces.unit_interval import Floats

_EXPLORATION: Final = 1.5
"""How often each branch is tried at least, in square roots of the number of trials."""


@attrs.frozen
class ChosenOption:
    """One option of a choice.

    Attributes:
        dim: the choice's column of the cube.
        option: the option's place.
        count: number of the choice's options.
    """

    dim: int
    option: int
    count: int

    def contains(self, points: Floats) -> NDArray[np.bool_]:
        """Mask of the points with this option, shape (n,)."""
        found: NDArray[np.bool_] = _options(points[:, self.dim], self.count) == self.option
        return found

    def set_in(self, points: Floats) -> Floats:
        """Copies of points with this option."""
        found = points.copy()
        found[:, self.dim] = (self.option + 0.5) / self.count
        return found


def due_branch(layout: Layout, facts: HistoryArrays) -> ChosenOption | None:
    """The branch that the next trial should try; None if each of them had enough trials.

    Enough is a multiple of the square root of the number of trials, and an even share for a branch that may still
    become the best one.
    """
    kept = facts.status != DROPPED
    is_comparable = facts.usable & (facts.total_violation == 0) & (facts.losses.shape[1] == 1)
    losses = np.where(is_comparable, facts.losses[:, 0], np.inf)[kept]
    counts = option_counts(layout)
    for dim in _branching_columns(layout):
        count = int(counts[dim])
        chosen = _options(facts.points[kept, dim], count)
        tried = np.bincount(chosen[chosen >= 0], minlength=count)
        total = int(tried.sum())
        enough = np.full(count, _EXPLORATION * math.sqrt(total) - count / 2)
        best = float(losses[chosen >= 0].min(initial=math.inf))
        rising = [option for option in range(count) if _may_reach(best, losses[chosen == option])]
        enough[rising] = np.maximum(enough[rising], total / count)
        due = np.flatnonzero(tried < enough)
        if len(due):
            return ChosenOption(dim, int(due[np.argmin(tried[due])]), count)
    return None


def _may_reach(best: float, losses: Floats) -> bool:
    """Whether a branch improves on `best` if twice as many trials gain as much as the second half of its trials did."""
    losses = losses[np.isfinite(losses)]
    if len(losses) < 2:
        return False
    least = float(losses.min())
    return 2 * least - float(losses[: len(losses) // 2].min()) < best


@functools.lru_cache(maxsize=64)
def _branching_columns(layout: Layout) -> tuple[int, ...]:
    """The columns of the choices that conditions of other parameters refer to."""
    conditions = [leaf.condition for leaf in layout.cube_params if leaf.condition is not None]
    names = {name for condition in conditions for name in referenced_names(condition)}
    counts = option_counts(layout)
    return tuple(dim for dim, leaf in enumerate(layout.cube_params) if counts[dim] and leaf.name in names)


def _options(column: Floats, count: int) -> NDArray[np.int64]:
    """The option at each value of a choice's column; -1 where the choice does not exist."""
    found = np.minimum(np.nan_to_num(column) * count, count - 1).astype(np.int64)
    return np.where(np.isnan(column), -1, found)

"""A persistent ranking by several objectives: non-dominated sorting, with the order within a front by a rule.

An insertion is one pass over the trials for its front, and one for each front whose trials it moves back. The order
within a front is computed only for the front that a question concerns.
"""

from __future__ import annotations

from array import array
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import wrong_value
from tunedsl.base.pareto import Floats, Indices, OrderWithin, crowding_order, epsilon_net_order
from tunedsl.base.references import call_repr


@value
class Nondominated:
    """Fronts, and the least crowded first within one; see `nondominated`."""

    def __repr__(self) -> str:
        return call_repr("nondominated", self)


@value
class EpsilonNet:
    """Fronts, and an epsilon-net within each; see `epsilon_net`."""

    def __repr__(self) -> str:
        return call_repr("epsilon_net", self)


FrontOrder = Nondominated | EpsilonNet
DEFAULT_RANKING: Final = EpsilonNet()


@check_arguments
def nondominated() -> Nondominated:
    """Ranks trials with several objectives by Pareto fronts, and the least crowded first within a front.

    Returns:
        A value for `ranking=` of a scheduler.

    >>> nondominated()
    nondominated()

    Source: Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, 2002.
    """
    return Nondominated()


@check_arguments
def epsilon_net() -> EpsilonNet:
    """Ranks trials with several objectives by Pareto fronts, and by an epsilon-net within a front.

    The best trial in the first objective comes first. Each next one is the farthest from all before it, with each
    objective scaled by its range on the front, so that the best few cover the front.

    Returns:
        A value for `ranking=` of a scheduler, and its default.

    >>> epsilon_net()
    epsilon_net()

    Source: Schmucker et al., Multi-Objective Asynchronous Successive Halving, 2021, arXiv:2106.12639.
    """
    return EpsilonNet()


def as_ranking(name: str, given: object) -> FrontOrder:
    """An argument that is a ranking.

    Raises:
        ArgumentError: for any other value.
    """
    if isinstance(given, FrontOrder):
        return given
    raise wrong_value(name, given, "a ranking", "write epsilon_net() or nondominated(), of tunedsl.schedulers")


def order_within(rule: FrontOrder) -> OrderWithin:
    """The order of one front's points that a rule stands for."""
    return crowding_order if isinstance(rule, Nondominated) else epsilon_net_order


class ParetoRanking(msgspec.Struct, frozen=True):
    """Trials with their losses and fronts, in the order of insertion.

    Attributes:
        rule: the order within a front.
        width: the number of objectives.
        trials: the trials.
        losses: their losses, less is better, one trial after another.
        fronts: the front of each trial, 0 for the best.
    """

    rule: FrontOrder
    width: int
    trials: array[int] = array("q")
    losses: array[float] = array("d")
    fronts: array[int] = array("q")

    @property
    def size(self) -> int:
        """The number of trials."""
        return len(self.trials)


def insert(ranking: ParetoRanking, trial: int, losses: tuple[float, ...]) -> ParetoRanking:
    """The ranking with one more trial, without NaN in its losses.

    >>> two = insert(insert(ParetoRanking(EpsilonNet(), 2), 0, (2.0, 1.0)), 1, (1.0, 1.0))
    >>> two.trials.tolist(), two.fronts.tolist()
    ([0, 1], [1, 0])
    """
    known, point = _losses(ranking), np.array(losses)
    fronts = np.frombuffer(ranking.fronts, np.int64).copy()
    front = int(fronts[_dominates(known, point)].max(initial=-1)) + 1
    _move_back(known, fronts, front, _dominates(point, known))
    moved = array("q")
    moved.frombytes(fronts.tobytes())
    return ParetoRanking(
        ranking.rule,
        ranking.width,
        ranking.trials + array("q", (trial,)),
        ranking.losses + array("d", losses),
        moved + array("q", (front,)),
    )


def _move_back(known: Floats, fronts: Indices, front: int, dominated: NDArray[np.bool_]) -> None:
    """Moves the dominated trials of a front to the next one, those that they dominate one further, and so on."""
    moving = np.flatnonzero(dominated & (fronts == front))
    while len(moving):
        if len(moving) == np.count_nonzero(fronts == front):
            fronts[fronts >= front] += 1
            return
        after = np.flatnonzero(fronts == front + 1)
        fronts[moving] += 1
        hit: NDArray[np.bool_] = np.zeros(len(after), bool)
        for point in known[moving]:
            np.logical_or(hit, _dominates(point, known[after]), out=hit)
        moving, front = after[hit], front + 1


def _dominates(some: Floats, others: Floats) -> NDArray[np.bool_]:
    """Which points dominate which; one of the two arguments is a single point."""
    return np.asarray((some <= others).all(axis=-1) & (some < others).any(axis=-1))


def place(ranking: ParetoRanking, trial: int) -> int:
    """The number of trials before this one.

    >>> place(insert(insert(ParetoRanking(EpsilonNet(), 2), 0, (2.0, 1.0)), 1, (1.0, 1.0)), 0)
    1
    """
    fronts = np.frombuffer(ranking.fronts, np.int64)
    at = int(np.flatnonzero(np.frombuffer(ranking.trials, np.int64) == trial)[0])
    ordered = _ordered_front(ranking, fronts, int(fronts[at]))
    return int(np.count_nonzero(fronts < fronts[at])) + int(np.flatnonzero(ordered == at)[0])


def front_of(ranking: ParetoRanking, trial: int) -> int:
    """The front of a trial, 0 for the best."""
    return ranking.fronts[ranking.trials.index(trial)]


def best_among(ranking: ParetoRanking, trials: list[int]) -> int:
    """The best of some trials."""
    fronts = np.frombuffer(ranking.fronts, np.int64)
    chosen = np.isin(np.frombuffer(ranking.trials, np.int64), trials)
    ordered = _ordered_front(ranking, fronts, int(fronts[chosen].min()))
    return ranking.trials[int(ordered[chosen[ordered]][0])]


def _ordered_front(ranking: ParetoRanking, fronts: Indices, front: int) -> Indices:
    members = np.flatnonzero(fronts == front)
    return members[order_within(ranking.rule)(_losses(ranking)[members])]


def _losses(ranking: ParetoRanking) -> Floats:
    return np.frombuffer(ranking.losses, np.float64).reshape(-1, ranking.width)

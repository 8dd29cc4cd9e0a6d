"""Beliefs about good points from outside the run: the priors of users, and earlier runs.

A model adds each belief's log score to its own, as in piBO, times a weight that falls with the number of results. The
weight is also smaller, down to 0, for a belief that does not rank the run's own results, as in RGPE.
Sources: Hvarfner, Stoll, Souza, Lindauer, Hutter and Nardi, piBO: Augmenting Acquisition Functions with User Beliefs
for Bayesian Optimization, ICLR 2022; Feurer, Letham, Hutter and Bakshy, Practical Transfer Learning for Bayesian
Optimization (RGPE), 2018. Here a rank correlation takes the place of RGPE's bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.searchers.density import ParzenMixture
from tunedsl.searchers.history import History, HistoryArrays
from tunedsl.spaces.priors import space_prior
from tunedsl.spaces.unit_interval import Floats

_DECAY: Final = 10.0
"""The number of results at which a belief weighs as much as the model; beta in piBO."""

_MAX_RANKED: Final = 100
"""Later results are near the best ones, so they say little about a belief's ranking."""


_STANDARD_ERRORS: Final = 1.5
"""The benefit of the doubt for a belief."""

_EARLIER_START: Final = 0.6
"""The part of the startup trials that a belief replaces while it agrees with the results."""


class Belief(Protocol):
    """Scores points by how good they are believed to be, and draws points that are believed to be good."""

    def log_density(self, points: Floats, /) -> Floats: ...

    def draw(self, count: int, generator: keys.Generator, /) -> Floats: ...


@attrs.frozen(eq=False)
class EarlierRun:
    """The belief from an earlier run: the densities of its good and of its other configurations."""

    better: ParzenMixture
    worse: ParzenMixture

    def log_density(self, points: Floats) -> Floats:
        """The log of the ratio of the densities; NaN marks parameters that a point lacks."""
        return self.better.log_density(points) - self.worse.log_density(points)

    def draw(self, count: int, generator: keys.Generator) -> Floats:
        """Points near the good ones of the run."""
        return self.better.sample(count, generator)


@attrs.frozen(eq=False)
class WeightedBelief:
    """A belief, its agreement with the results in [0, 1], and the weight of its log score."""

    belief: Belief
    agreement: float
    weight: float


def weigh_beliefs(state: History, facts: HistoryArrays, model: Callable[[History], EarlierRun]) -> list[WeightedBelief]:
    """The space's prior and the earlier runs of a history, with their weights.

    Earlier runs share their weight by agreement.

    Args:
        state: the history.
        facts: its arrays.
        model: makes the belief from the history of an earlier run.
    """
    decay = _DECAY / max(1, int(np.count_nonzero(facts.usable)))
    prior = space_prior(state.layout)
    runs = [model(run) for run in state.earlier]
    agreements = [agreement(run, facts) for run in runs]
    total = max(1.0, sum(agreements))
    found = [
        WeightedBelief(run, agrees, min(1.0, decay) * agrees**2 / total)
        for run, agrees in zip(runs, agreements, strict=True)
    ]
    if prior is not None:
        agrees = agreement(prior, facts)
        found.append(WeightedBelief(prior, agrees, decay * agrees))
    return found


def startup_trials(count: int, beliefs: Sequence[WeightedBelief]) -> float:
    """How many of `count` results a model waits for; less while a belief agrees with the results."""
    return count * (1 - _EARLIER_START * max((each.agreement for each in beliefs), default=0.0))


def log_belief(beliefs: Sequence[WeightedBelief], points: Floats) -> Floats:
    """The sum of the weighted log scores of beliefs at points, shape (n, dims)."""
    total = np.zeros(len(points))
    for each in beliefs:
        total += each.weight * each.belief.log_density(points)
    return total


def agreement(belief: Belief, facts: HistoryArrays) -> float:
    """How well a belief ranks the results so far, in [0, 1]; 1 before there are results.

    It is Kendall's rank correlation plus some standard errors, so that chance does not reject a belief.
    """
    usable = np.flatnonzero(facts.usable)[:_MAX_RANKED]
    count = len(usable)
    if count < 2:
        return 1.0
    order = facts.best_rows(usable, count)
    correlation = rank_correlation(belief.log_density(facts.points[order]))
    error = math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)))
    return min(1.0, max(0.0, correlation + _STANDARD_ERRORS * error))


def rank_correlation(scores: NDArray[np.float64]) -> float:
    """Kendall's correlation of scores, larger is better, with the order in which they are given, best first.

    >>> rank_correlation(np.array([3.0, 2.0, 1.0])), rank_correlation(np.array([1.0, 2.0, 3.0]))
    (1.0, -1.0)
    """
    above, below = np.triu_indices(len(scores), 1)
    return float(np.sign(scores[above] - scores[below]).mean())

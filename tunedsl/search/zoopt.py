"""SRACOS, the method of ZOOpt: draw from a box around a good configuration that shuts out the bad ones.

Source: Hu, Qian and Yu, Sequential Classification-Based Optimization for Direct Policy Search, AAAI 2017; the box by
randomized coordinate shrinking: Yu, Qian and Hu, Derivative-Free Optimization via Classification, AAAI 2016. The worst
of each set is the one that is replaced.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.base.arguments import checked, number, whole
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.literals import spell
from tunedsl.base.objective import Objective
from tunedsl.search.contract import Answer, Searcher, Takes, enrol, out_of_range
from tunedsl.search.density import options
from tunedsl.search.history import History, adopt, tell
from tunedsl.search.proposing import candidates, proposed, started
from tunedsl.space.layout import lower
from tunedsl.space.space import Space
from tunedsl.space.units import Floats

_TRIES: Final = 16


@value(repr=False)
class Zoopt:
    """The spec of `zoopt`."""

    train_size: int = 12
    positive_size: int = 2
    uncertain_bits: int = 1
    probability: float = 0.99

    def __repr__(self) -> str:
        return spell("zoopt", self)


@checked
def zoopt(train_size: int = 12, positive_size: int = 2, uncertain_bits: int = 1, probability: float = 0.99) -> Zoopt:
    """Sequential randomized coordinate shrinking; the defaults are ZOOpt's for up to 1,000 trials.

    Args:
        train_size: how many of the best trials the box is learnt from; the first so many lie evenly.
        positive_size: how many of them count as good.
        uncertain_bits: how many parameters a proposal may change.
        probability: share of proposals drawn from a box; the others are drawn evenly.

    Raises:
        ArgumentError: for what is no number.

    Example:
        >>> zoopt(positive_size=3)
        zoopt(positive_size=3)
    """
    return Zoopt(
        whole("zoopt.train_size", train_size),
        whole("zoopt.positive_size", positive_size),
        whole("zoopt.uncertain_bits", uncertain_bits),
        float(number("zoopt.probability", probability)),
    )


def _validate(spec: Zoopt) -> list[Diagnostic]:
    return out_of_range(
        spec,
        train_size=(spec.train_size >= 2, "at least 2"),
        positive_size=(1 <= spec.positive_size < spec.train_size, "at least 1 and below train_size"),
        uncertain_bits=(spec.uncertain_bits >= 1, "at least 1"),
        probability=(0 <= spec.probability <= 1, "from 0 to 1"),
    )


def _init(spec: Zoopt, space: Space, objectives: tuple[Objective, ...], key: int) -> History:
    return History.of(lower(space), objectives)


def _ask(spec: Zoopt, state: History, trial: int, key: int) -> tuple[History, Answer]:
    facts = state.facts()
    usable = np.flatnonzero(facts.usable)
    even = keys.uniform(keys.key(key, "even"), trial) >= spec.probability
    if not state.layout.dims or len(usable) < spec.train_size or even:
        return started(state, trial, key, spec.train_size)
    best = facts.points[facts.ranked(usable, spec.train_size)[: spec.train_size]]
    positives, negatives = best[: spec.positive_size], best[spec.positive_size :]
    kinds = options(state.layout)

    def inside(generator: keys.Generator) -> Floats:
        centre = positives[generator.integers(0, len(positives))]
        return np.stack([_inside(spec, centre, negatives, kinds, generator) for _ in range(_TRIES)])

    found, rejected = candidates(state.layout, inside, trial, key, "zoopt")
    known = (found[:, None] == best) | (np.isnan(found)[:, None] & np.isnan(best))
    repeats = known.all(axis=2).any(axis=1)
    return proposed(state, found[int(np.argmin(repeats))], trial, key, rejected)


def _inside(
    spec: Zoopt, centre: Floats, negatives: Floats, kinds: NDArray[np.int64], generator: keys.Generator
) -> Floats:
    """A point of a random box around `centre` that holds no negative; all but a few parameters as in the centre."""
    low, high = np.zeros(len(centre)), np.ones(len(centre))
    covered = negatives[((negatives != centre) & ~np.isnan(negatives) & ~np.isnan(centre)).any(axis=1)]
    while len(covered):
        negative = covered[generator.integers(0, len(covered))]
        differs = np.flatnonzero((negative != centre) & ~np.isnan(negative) & ~np.isnan(centre))
        dim = differs[generator.integers(0, len(differs))]
        if kinds[dim]:
            low[dim] = high[dim] = centre[dim]
        else:
            cut = centre[dim] + generator.random() * (negative[dim] - centre[dim])
            low[dim], high[dim] = (low[dim], cut) if negative[dim] > centre[dim] else (cut, high[dim])
        outside = ~np.isnan(covered) & ((covered < low) | (covered > high))
        outside[:, dim] |= covered[:, dim] == negative[dim]
        covered = covered[~outside.any(axis=1)]
    even = generator.random(len(centre))
    point = np.where(np.isnan(centre), even, centre)
    exists = np.flatnonzero(~np.isnan(centre))
    free = generator.permutation(exists)[: spec.uncertain_bits]
    point[free] = (low + even * (high - low))[free]
    return point


enrol(
    Zoopt,
    Searcher(
        name="zoopt",
        takes=Takes(
            conditions=True,
            log=True,
            quantised=True,
            integer=True,
            categorical=True,
            constraints=True,
            objectives=1,
            intermediate=False,
            pending=True,
        ),
        init=_init,
        ask=_ask,
        tell=tell,
        adopt=adopt,
        validate=_validate,
    ),
)

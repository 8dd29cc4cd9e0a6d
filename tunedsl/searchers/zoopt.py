"""SRACOS, the method of ZOOpt: draw from a box around a good configuration that excludes bad ones.

Source: Hu, Qian and Yu, Sequential Classification-Based Optimization for Direct Policy Search, AAAI 2017; the box by
randomized coordinate shrinking: Yu, Qian and Hu, Derivative-Free Optimization via Classification, AAAI 2016. The worst
point of each set is replaced.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.base.arguments import as_int, as_number, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.references import call_repr
from tunedsl.searchers.contract import Answer, Searcher, Supports, out_of_range, register_searcher
from tunedsl.searchers.density import option_counts
from tunedsl.searchers.history import History, force_history, init_history, tell_history
from tunedsl.searchers.sampling import draw_candidates, propose_at, propose_initial
from tunedsl.spaces.unit_interval import Floats

_CANDIDATE_COUNT: Final = 16


@value(repr=False)
class Zoopt:
    """The spec of `zoopt`."""

    train_size: int = 12
    positive_size: int = 2
    uncertain_bits: int = 1
    probability: float = 0.99

    def __repr__(self) -> str:
        return call_repr("zoopt", self)


@check_arguments
def zoopt(train_size: int = 12, positive_size: int = 2, uncertain_bits: int = 1, probability: float = 0.99) -> Zoopt:
    """Sequential randomized coordinate shrinking; the defaults are ZOOpt's for up to 1,000 trials.

    Args:
        train_size: number of the best trials that define the box, at least 2; the first `train_size` proposals are
            spread evenly.
        positive_size: number of these trials that count as good, at least 1 and below `train_size`.
        uncertain_bits: number of parameters that a proposal may change, at least 1.
        probability: share of proposals that are drawn from a box, in [0, 1]; the others are uniform.

    Raises:
        ArgumentError: for an argument of the wrong type.

    Example:
        >>> zoopt(positive_size=3)
        zoopt(positive_size=3)
    """
    return Zoopt(
        as_int("zoopt.train_size", train_size),
        as_int("zoopt.positive_size", positive_size),
        as_int("zoopt.uncertain_bits", uncertain_bits),
        float(as_number("zoopt.probability", probability)),
    )


def _validate(spec: Zoopt) -> list[Diagnostic]:
    return out_of_range(
        spec,
        train_size=(spec.train_size >= 2, "at least 2"),
        positive_size=(1 <= spec.positive_size < spec.train_size, "at least 1 and below train_size"),
        uncertain_bits=(spec.uncertain_bits >= 1, "at least 1"),
        probability=(0 <= spec.probability <= 1, "from 0 to 1"),
    )


def _ask(spec: Zoopt, state: History, trial: int, key: int) -> tuple[History, Answer]:
    facts = state.to_arrays()
    usable = np.flatnonzero(facts.usable)
    even = keys.uniform(keys.key(key, "even"), trial) >= spec.probability
    if not state.layout.dims or len(usable) < spec.train_size or even:
        return propose_initial(state, trial, key, spec.train_size)
    best = facts.points[facts.best_rows(usable, spec.train_size)[: spec.train_size]]
    positives, negatives = best[: spec.positive_size], best[spec.positive_size :]
    kinds = option_counts(state.layout)

    def inside(generator: keys.Generator) -> Floats:
        centre = positives[generator.integers(0, len(positives))]
        return np.stack([_sample_box(spec, centre, negatives, kinds, generator) for _ in range(_CANDIDATE_COUNT)])

    found, rejected = draw_candidates(state.layout, inside, trial, key, "zoopt")
    known = (found[:, None] == best) | (np.isnan(found)[:, None] & np.isnan(best))
    repeats = known.all(axis=2).any(axis=1)
    return propose_at(state, found[int(np.argmin(repeats))], trial, key, rejected)


def _sample_box(
    spec: Zoopt, centre: Floats, negatives: Floats, kinds: NDArray[np.int64], generator: keys.Generator
) -> Floats:
    """A point of a random box around `centre` without negatives; it differs from the centre in a few parameters."""
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


register_searcher(
    Zoopt,
    Searcher(
        name="zoopt",
        supports=Supports.whole_space(priors=True),
        init=init_history,
        ask=_ask,
        tell=tell_history,
        force=force_history,
        validate=_validate,
    ),
)

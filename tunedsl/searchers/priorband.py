"""PriorBand: draws uniformly, from the user's prior, or near the best configuration, for schedulers with rungs.

Source: Mallik, Bergman, Hvarfner, Stoll, Janowski, Lindauer, Nardi and Hutter, PriorBand: Practical Hyperparameter
Optimization in the Age of Deep Learning, NeurIPS 2023. There the uniform share falls with the first rung of a bracket;
here it is a constant, since a searcher does not know the bracket.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import as_int, as_number, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.references import call_repr
from tunedsl.searchers.bohb import ranked_points
from tunedsl.searchers.contract import Answer, Objectives, Searcher, Supports, out_of_range, register_searcher
from tunedsl.searchers.history import History, force_history, init_history, tell_history
from tunedsl.searchers.sampling import draw_candidates, propose_at, propose_initial
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.priors import SpacePrior, prior_around, space_prior
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import Floats

_MUTATED: Final = 0.5
"""The share of an incumbent's parameters that a proposal near it draws again."""

_DRAWS: Final = 8


@value(repr=False)
class PriorBand:
    """The spec of `priorband`."""

    eta: int = 3
    random_fraction: float = 0.5

    def __repr__(self) -> str:
        return call_repr("priorband", self)


@check_arguments
def priorband(eta: int = 3, random_fraction: float = 0.5) -> PriorBand:
    """Proposals from three sources, for a space with priors and a scheduler with rungs, such as `hyperband` or `asha`.

    A share is uniform. The rest is drawn from the prior or near the best configuration of the highest rung with enough
    results, in proportion to the density that each of the two has at the good configurations of that rung.

    Args:
        eta: number of results that a rung needs, and the reciprocal of the share of good ones, at least 2; as that of
            the scheduler.
        random_fraction: share of uniform proposals, in [0, 1].

    Raises:
        ArgumentError: for an argument of the wrong type.

    Example:
        >>> priorband(random_fraction=0.25)
        priorband(random_fraction=0.25)
    """
    fraction = float(as_number("priorband.random_fraction", random_fraction))
    return PriorBand(as_int("priorband.eta", eta), fraction)


def _validate(spec: PriorBand) -> list[Diagnostic]:
    return out_of_range(
        spec,
        eta=(spec.eta >= 2, "at least 2"),
        random_fraction=(0 <= spec.random_fraction <= 1, "from 0 to 1"),
    )


def _check_compatibility(spec: PriorBand, space: Space, objectives: Objectives) -> Sequence[Diagnostic]:
    if space_prior(resolve_space(space)) is not None:
        return []
    hint = "add .prior(centre) to a domain, or use bohb() or tpe()"
    return [Diagnostic("E048", "space", "priorband() draws from priors, but no parameter has one.", hint)]


def _ask(spec: PriorBand, state: History, trial: int, key: int) -> tuple[History, Answer]:
    prior = space_prior(state.layout) or SpacePrior(state.layout.dims, ())
    coin = keys.uniform(keys.key(key, "source"), trial)
    if trial == 0 or not state.layout.dims:
        return propose_initial(state, trial, key, 0)
    rest = (coin - spec.random_fraction) / max(1 - spec.random_fraction, 1e-9)
    ranked = ranked_points(state, spec.eta)
    near = prior_around(state.layout, ranked[0]) if len(ranked) else prior

    def draw_points(generator: keys.Generator) -> Floats:
        # The first feasible point is proposed; the uniform ones are for constraints that the source does not meet.
        return np.concatenate([draw_from_source(generator), generator.random((_DRAWS, state.layout.dims))])

    def draw_from_source(generator: keys.Generator) -> Floats:
        if rest < 0:
            return generator.random((1, state.layout.dims))
        if rest >= _incumbent_share(spec, ranked, prior, near):
            return prior.draw(_DRAWS, generator)
        drawn, kept = near.draw(_DRAWS, generator), generator.random((_DRAWS, state.layout.dims)) >= _MUTATED
        return np.where(kept & ~np.isnan(ranked[0]), ranked[0], drawn)

    found, rejected = draw_candidates(state.layout, draw_points, trial, key, "priorband")
    return propose_at(state, found[0], trial, key, rejected)


def _incumbent_share(spec: PriorBand, ranked: Floats, prior: SpacePrior, near: SpacePrior) -> float:
    """Which share of the proposals that are not uniform is drawn near the incumbent, which is the first of `ranked`."""
    if not len(ranked):
        return 0.0
    good = ranked[: max(spec.eta, math.ceil(len(ranked) / spec.eta))]
    weights = np.arange(len(good), 0, -1)
    by_prior, by_incumbent = prior.log_density(good), near.log_density(good)
    top = max(by_prior.max(), by_incumbent.max())
    shares = [float(weights @ np.exp(density - top)) for density in (by_prior, by_incumbent)]
    return shares[1] / sum(shares)


register_searcher(
    PriorBand,
    Searcher(
        name="priorband",
        supports=Supports.whole_space(intermediate=True, priors=True),
        init=init_history,
        ask=_ask,
        tell=tell_history,
        force=force_history,
        validate=_validate,
        check_compatibility=_check_compatibility,
    ),
)

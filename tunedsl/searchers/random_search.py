"""Random search: each configuration is drawn independently and uniformly over the space.

Source: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.objective import Objective
from tunedsl.searchers.contract import UNLIMITED, Answer, Proposal, Searcher, Supports, register_searcher
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.priors import blend
from tunedsl.spaces.sampling import rejection_sample, uniform_points
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import Floats


@value(repr=False)
class RandomSearch:
    """The spec of `random_search`."""

    def __repr__(self) -> str:
        return "random_search()"


@check_arguments
def random_search() -> RandomSearch:
    """Configurations that are drawn independently of each other and of all results.

    With priors in the space (`.prior(...)`), the first configuration is their centre, and half of the others are drawn
    from the priors.

    Example:
        >>> random_search()
        random_search()
    """
    return RandomSearch()


def _init(spec: RandomSearch, space: Space, objectives: tuple[Objective, ...], key: int) -> Layout:
    return resolve_space(space)


def _ask(spec: RandomSearch, state: Layout, trial: int, key: int) -> tuple[Layout, Answer]:
    state, (proposal,) = _batch(spec, state, (trial,), key)
    return state, proposal


def _batch(spec: RandomSearch, state: Layout, trials: Sequence[int], key: int) -> tuple[Layout, list[Proposal]]:
    def cube_at(attempt: int, pending: NDArray[np.int64]) -> Floats:
        cube = uniform_points(state, key, attempt, pending)
        return blend(state, cube, pending, keys.uniforms(keys.key(key, "prior", attempt), pending), attempt)

    drawn = rejection_sample(state, cube_at, trials, key)
    return state, [Proposal.of(config, rejected) for config, rejected in drawn]


register_searcher(
    RandomSearch,
    Searcher(
        name="random_search",
        supports=Supports.whole_space(UNLIMITED, priors=True),
        init=_init,
        ask=_ask,
        batch=_batch,
        learns=False,
    ),
)

"""Random search: each configuration is drawn independently and uniformly over the space.

Source: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.objective import Objective
from tunedsl.searchers.contract import UNLIMITED, Answer, Proposal, Searcher, Supports, register_searcher
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.sampling import sample_with_rejections
from tunedsl.spaces.space import Space


@value(repr=False)
class RandomSearch:
    """The spec of `random_search`."""

    def __repr__(self) -> str:
        return "random_search()"


@check_arguments
def random_search() -> RandomSearch:
    """Configurations that are drawn independently of each other and of all results.

    Example:
        >>> random_search()
        random_search()
    """
    return RandomSearch()


def _init(spec: RandomSearch, space: Space, objectives: tuple[Objective, ...], key: int) -> Layout:
    return resolve_space(space)


def _ask(spec: RandomSearch, state: Layout, trial: int, key: int) -> tuple[Layout, Answer]:
    ((config, rejected),) = sample_with_rejections(state, key, [trial])
    return state, Proposal.of(config, rejected)


def _batch(spec: RandomSearch, state: Layout, trials: Sequence[int], key: int) -> tuple[Layout, list[Proposal]]:
    return state, [Proposal.of(config, rejected) for config, rejected in sample_with_rejections(state, key, trials)]


register_searcher(
    RandomSearch,
    Searcher(
        name="random_search",
        supports=Supports.whole_space(UNLIMITED),
        init=_init,
        ask=_ask,
        batch=_batch,
        learns=False,
    ),
)

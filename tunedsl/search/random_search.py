"""Random search: each trial's configuration drawn on its own, uniformly over the space.

Source: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
from tunedsl.base.objective import Objective
from tunedsl.search.contract import ANY_NUMBER, Answer, Proposal, Searcher, Takes, enrol
from tunedsl.space.layout import Layout, lower
from tunedsl.space.sampling import counted
from tunedsl.space.space import Space


@value(repr=False)
class RandomSearch:
    """The spec of `random_search`."""

    def __repr__(self) -> str:
        return "random_search()"


@checked
def random_search() -> RandomSearch:
    """Configurations drawn independently of each other and of all results.

    Example:
        >>> random_search()
        random_search()
    """
    return RandomSearch()


def _init(spec: RandomSearch, space: Space, objectives: tuple[Objective, ...], key: int) -> Layout:
    return lower(space)


def _ask(spec: RandomSearch, state: Layout, trial: int, key: int) -> tuple[Layout, Answer]:
    ((config, rejected),) = counted(state, key, [trial])
    return state, Proposal.of(config, rejected)


def _batch(spec: RandomSearch, state: Layout, trials: Sequence[int], key: int) -> tuple[Layout, list[Proposal]]:
    return state, [Proposal.of(config, rejected) for config, rejected in counted(state, key, trials)]


enrol(
    RandomSearch,
    Searcher(
        name="random_search",
        takes=Takes(
            conditions=True,
            log=True,
            quantised=True,
            integer=True,
            categorical=True,
            constraints=True,
            objectives=ANY_NUMBER,
            intermediate=False,
            pending=True,
        ),
        init=_init,
        ask=_ask,
        batch=_batch,
        learns=False,
    ),
)

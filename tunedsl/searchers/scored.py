"""`scored`: which of a trial's reports counts for the searcher."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs

from tunedsl.base.arguments import as_choice, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.objective import Objective
from tunedsl.base.references import call_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import Answer, Observation, Searcher, SearcherState, register_combinator, searcher_of
from tunedsl.searchers.delegation import check_inner_compatibility, validate_inner
from tunedsl.spaces.space import Space

Scope = Literal["last", "best"]


@value(repr=False)
class Scored:
    """The spec of `scored`."""

    searcher: Any
    scope: Scope = "best"

    def __repr__(self) -> str:
        return call_repr("scored", self, 1)


@check_arguments
def scored(searcher: Any, scope: Scope = "best") -> Scored:
    """A searcher that is told of the best of a trial's reports, or again of the last one.

    Args:
        searcher: the spec of any searcher.
        scope: `best` of each objective so far, values that are NaN passed over; or `last`.

    Raises:
        ArgumentError: for what is no searcher, or another word.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> scored(tpe(), "last")
        scored(tpe(), scope='last')
    """
    searcher_of(searcher)
    scope = as_choice("scored.scope", scope, get_args(Scope))
    return Scored(searcher, scope)


def _init(spec: Scored, space: Space, objectives: tuple[Objective, ...], key: int) -> SearcherState:
    return searcher_of(spec.searcher).init(spec.searcher, space, objectives, key)


def _ask(spec: Scored, state: SearcherState, trial: int, key: int) -> tuple[SearcherState, Answer]:
    return searcher_of(spec.searcher).ask(spec.searcher, state, trial, key)


def _tell(spec: Scored, state: SearcherState, trial: int, observation: Observation) -> SearcherState:
    return searcher_of(spec.searcher).tell(spec.searcher, state, trial, observation)


def _force(spec: Scored, state: SearcherState, trial: int, config: Json, key: int) -> SearcherState:
    force = searcher_of(spec.searcher).force
    return state if force is None else force(spec.searcher, state, trial, config, key)


def _make_searcher(spec: Scored) -> Searcher:
    inner = searcher_of(spec.searcher)
    force = None if inner.force is None else _force
    own = Searcher("scored", inner.supports, _init, _ask, _tell, learns=inner.learns, force=force, scope=spec.scope)
    return attrs.evolve(own, validate=validate_inner, check_compatibility=check_inner_compatibility)


register_combinator(Scored, "scored", _make_searcher)

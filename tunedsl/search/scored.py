"""`scored`: which of a trial's reports counts for the searcher."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs

from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.base.literals import spell
from tunedsl.base.objective import Objective
from tunedsl.base.vocabulary import Json
from tunedsl.search.contract import Answer, Observation, Searcher, State, enrol_combinator, searcher_of
from tunedsl.search.inside import fits, validate
from tunedsl.space.space import Space

Scope = Literal["last", "best"]


@value(repr=False)
class Scored:
    """The spec of `scored`."""

    searcher: Any
    scope: Scope = "best"

    def __repr__(self) -> str:
        return spell("scored", self, 1)


@checked
def scored(searcher: Any, scope: Scope = "best") -> Scored:
    """A searcher that is told of the best of a trial's reports, or again of the last one.

    Args:
        searcher: the spec of any searcher.
        scope: `best` of each objective so far, values that are NaN passed over; or `last`.

    Raises:
        ArgumentError: for what is no searcher, or another word.

    Example:
        >>> from tunedsl.search import tpe
        >>> scored(tpe(), "last")
        scored(tpe(), scope='last')
    """
    searcher_of(searcher)
    if scope not in get_args(Scope):
        raise ArgumentError("E003", "scored.scope", repr(scope), f"one of {', '.join(get_args(Scope))}")
    return Scored(searcher, scope)


def _init(spec: Scored, space: Space, objectives: tuple[Objective, ...], key: int) -> State:
    return searcher_of(spec.searcher).init(spec.searcher, space, objectives, key)


def _ask(spec: Scored, state: State, trial: int, key: int) -> tuple[State, Answer]:
    return searcher_of(spec.searcher).ask(spec.searcher, state, trial, key)


def _tell(spec: Scored, state: State, trial: int, observation: Observation) -> State:
    return searcher_of(spec.searcher).tell(spec.searcher, state, trial, observation)


def _adopt(spec: Scored, state: State, trial: int, config: Json, key: int) -> State:
    adopt = searcher_of(spec.searcher).adopt
    return state if adopt is None else adopt(spec.searcher, state, trial, config, key)


def _made(spec: Scored) -> Searcher:
    inner = searcher_of(spec.searcher)
    adopt = None if inner.adopt is None else _adopt
    own = Searcher("scored", inner.takes, _init, _ask, _tell, learns=inner.learns, adopt=adopt, scope=spec.scope)
    return attrs.evolve(own, validate=validate, fits=fits)


enrol_combinator(Scored, "scored", _made)

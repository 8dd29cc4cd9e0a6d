"""`limit`: no more than so many trials of a searcher in flight, or batch after batch."""

from __future__ import annotations

from typing import Any

import attrs
import immutables

from tunedsl.base.arguments import checked, whole
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.base.literals import spell
from tunedsl.base.objective import Objective
from tunedsl.base.vocabulary import Json
from tunedsl.search.contract import (
    Answer,
    Observation,
    Proposal,
    Searcher,
    State,
    Wait,
    enrol_combinator,
    searcher_of,
)
from tunedsl.search.inside import fits, validate
from tunedsl.space.space import Space


@value(repr=False)
class Limit:
    """The spec of `limit`."""

    searcher: Any
    n: int
    batch: bool = False

    def __repr__(self) -> str:
        return spell("limit", self, 2)


@attrs.frozen(eq=False)
class _State:
    """The inner state, the trials in flight, and how many the current batch has had."""

    inner: State
    flying: immutables.Map[int, None] = attrs.field(factory=immutables.Map)
    begun: int = 0


@checked
def limit(searcher: Any, n: int, batch: bool = False) -> Limit:
    """A searcher that proposes only while fewer than `n` of its trials are in flight.

    Args:
        searcher: the spec of any searcher.
        n: at least 1.
        batch: whether `n` trials have to end, all of them, before the next `n` are proposed.

    Raises:
        ArgumentError: for what is no searcher, or a wrong number.

    Example:
        >>> from tunedsl.search import tpe
        >>> limit(tpe(), 4, batch=True)
        limit(tpe(), 4, batch=True)
    """
    searcher_of(searcher)
    if not isinstance(batch, bool):
        raise ArgumentError("E003", "limit.batch", repr(batch), "True or False")
    return Limit(searcher, whole("limit.n", n, least=1), batch)


def _init(spec: Limit, space: Space, objectives: tuple[Objective, ...], key: int) -> _State:
    return _State(searcher_of(spec.searcher).init(spec.searcher, space, objectives, key))


def _ask(spec: Limit, state: _State, trial: int, key: int) -> tuple[_State, Answer]:
    begun = state.begun if state.flying else 0
    if len(state.flying) >= spec.n or (spec.batch and begun >= spec.n):
        return state, Wait()
    inner, answer = searcher_of(spec.searcher).ask(spec.searcher, state.inner, trial, key)
    if not isinstance(answer, Proposal):
        return attrs.evolve(state, inner=inner), answer
    return _State(inner, state.flying.set(trial, None), begun + 1), answer


def _tell(spec: Limit, state: _State, trial: int, observation: Observation) -> _State:
    inner = searcher_of(spec.searcher).tell(spec.searcher, state.inner, trial, observation)
    landed = observation.status != "reported" and trial in state.flying
    return attrs.evolve(state, inner=inner, flying=state.flying.delete(trial) if landed else state.flying)


def _adopt(spec: Limit, state: _State, trial: int, config: Json, key: int) -> _State:
    adopt = searcher_of(spec.searcher).adopt
    inner = state.inner if adopt is None else adopt(spec.searcher, state.inner, trial, config, key)
    if trial < 0 or trial in state.flying:
        return attrs.evolve(state, inner=inner)
    return _State(inner, state.flying.set(trial, None), (state.begun if state.flying else 0) + 1)


def _made(spec: Limit) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="limit",
        takes=attrs.evolve(inner.takes, pending=True),
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        adopt=None if inner.adopt is None and inner.learns else _adopt,
        validate=validate,
        fits=fits,
    )


enrol_combinator(Limit, "limit", _made)

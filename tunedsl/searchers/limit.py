"""`limit`: no more than so many trials of a searcher in flight, or batch after batch."""

from __future__ import annotations

from typing import Any

import attrs
import immutables

from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.base.objective import Objective
from tunedsl.base.references import call_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Observation,
    Proposal,
    Searcher,
    SearcherState,
    Wait,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.delegation import check_inner_compatibility, validate_inner
from tunedsl.spaces.space import Space


@value(repr=False)
class Limit:
    """The spec of `limit`."""

    searcher: Any
    n: int
    batch: bool = False

    def __repr__(self) -> str:
        return call_repr("limit", self, 2)


@attrs.frozen(eq=False)
class _LimitState:
    """The inner state, the trials in flight, and how many the current batch has had."""

    inner: SearcherState
    in_flight: immutables.Map[int, None] = attrs.field(factory=immutables.Map)
    batch_count: int = 0


@check_arguments
def limit(searcher: Any, n: int, batch: bool = False) -> Limit:
    """A searcher that proposes only while fewer than `n` of its trials are in flight.

    Args:
        searcher: the spec of any searcher.
        n: at least 1.
        batch: whether `n` trials have to end, all of them, before the next `n` are proposed.

    Raises:
        ArgumentError: for what is no searcher, or a wrong number.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> limit(tpe(), 4, batch=True)
        limit(tpe(), 4, batch=True)
    """
    searcher_of(searcher)
    if not isinstance(batch, bool):
        raise ArgumentError("E003", "limit.batch", repr(batch), "True or False")
    return Limit(searcher, as_int("limit.n", n, minimum=1), batch)


def _init(spec: Limit, space: Space, objectives: tuple[Objective, ...], key: int) -> _LimitState:
    return _LimitState(searcher_of(spec.searcher).init(spec.searcher, space, objectives, key))


def _ask(spec: Limit, state: _LimitState, trial: int, key: int) -> tuple[_LimitState, Answer]:
    begun = state.batch_count if state.in_flight else 0
    if len(state.in_flight) >= spec.n or (spec.batch and begun >= spec.n):
        return state, Wait()
    inner, answer = searcher_of(spec.searcher).ask(spec.searcher, state.inner, trial, key)
    if not isinstance(answer, Proposal):
        return attrs.evolve(state, inner=inner), answer
    return _LimitState(inner, state.in_flight.set(trial, None), begun + 1), answer


def _tell(spec: Limit, state: _LimitState, trial: int, observation: Observation) -> _LimitState:
    inner = searcher_of(spec.searcher).tell(spec.searcher, state.inner, trial, observation)
    landed = observation.status != "reported" and trial in state.in_flight
    return attrs.evolve(state, inner=inner, in_flight=state.in_flight.delete(trial) if landed else state.in_flight)


def _force(spec: Limit, state: _LimitState, trial: int, config: Json, key: int) -> _LimitState:
    force = searcher_of(spec.searcher).force
    inner = state.inner if force is None else force(spec.searcher, state.inner, trial, config, key)
    if trial < 0 or trial in state.in_flight:
        return attrs.evolve(state, inner=inner)
    return _LimitState(inner, state.in_flight.set(trial, None), (state.batch_count if state.in_flight else 0) + 1)


def _make_searcher(spec: Limit) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="limit",
        supports=attrs.evolve(inner.supports, pending=True),
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        force=None if inner.force is None and inner.learns else _force,
        validate=validate_inner,
        check_compatibility=check_inner_compatibility,
    )


register_combinator(Limit, "limit", _make_searcher)

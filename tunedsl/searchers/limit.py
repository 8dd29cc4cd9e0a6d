"""`limit`: limits a searcher's concurrent trials, or makes it propose in batches."""

from __future__ import annotations

from typing import Any

import attrs
import immutables

from tunedsl.base.arguments import as_bool, as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.references import call_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Objectives,
    Observation,
    Proposal,
    Searcher,
    SearcherState,
    Wait,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.delegation import ask_inner, delegate, force_inner, init_inner, tell_inner
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
    """The inner state, the running trials, and the number of proposals of the current batch."""

    inner: SearcherState
    running: immutables.Map[int, None] = attrs.field(factory=immutables.Map)
    batch_count: int = 0


@check_arguments
def limit(searcher: Any, n: int, batch: bool = False) -> Limit:
    """A searcher that proposes only while fewer than `n` of its trials run.

    Args:
        searcher: the spec of any searcher.
        n: at least 1.
        batch: whether all `n` trials of a batch must end before the next `n` are proposed.

    Raises:
        ArgumentError: for what is no searcher, or a wrong number.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> limit(tpe(), 4, batch=True)
        limit(tpe(), 4, batch=True)
    """
    searcher_of(searcher)
    return Limit(searcher, as_int("limit.n", n, minimum=1), as_bool("limit.batch", batch))


def _init(spec: Limit, space: Space, objectives: Objectives, key: int) -> _LimitState:
    return _LimitState(init_inner(spec, space, objectives, key))


def _ask(spec: Limit, state: _LimitState, trial: int, key: int) -> tuple[_LimitState, Answer]:
    started = state.batch_count if state.running else 0
    if len(state.running) >= spec.n or (spec.batch and started >= spec.n):
        return state, Wait()
    inner, answer = ask_inner(spec, state.inner, trial, key)
    if not isinstance(answer, Proposal):
        return attrs.evolve(state, inner=inner), answer
    return _LimitState(inner, state.running.set(trial, None), started + 1), answer


def _tell(spec: Limit, state: _LimitState, trial: int, observation: Observation) -> _LimitState:
    inner = tell_inner(spec, state.inner, trial, observation)
    ended = observation.status != "reported" and trial in state.running
    return attrs.evolve(state, inner=inner, running=state.running.delete(trial) if ended else state.running)


def _force(spec: Limit, state: _LimitState, trial: int, config: Json, key: int) -> _LimitState:
    inner = force_inner(spec, state.inner, trial, config, key)
    if trial < 0 or trial in state.running:
        return attrs.evolve(state, inner=inner)
    return _LimitState(inner, state.running.set(trial, None), (state.batch_count if state.running else 0) + 1)


def _make_searcher(spec: Limit) -> Searcher:
    supports = attrs.evolve(searcher_of(spec.searcher).supports, pending=True)
    return delegate(spec, "limit", init=_init, ask=_ask, tell=_tell, force=_force, keeps_forced=True, supports=supports)


register_combinator(Limit, "limit", _make_searcher)

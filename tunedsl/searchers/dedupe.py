"""`dedupe`: never proposes a configuration twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import immutables

from tunedsl.base import codec, keys
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.references import call_repr
from tunedsl.base.types import Config, Json
from tunedsl.searchers.contract import (
    Answer,
    Exhausted,
    Objectives,
    Observation,
    Proposal,
    Searcher,
    SearcherState,
    nested_specs,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.delegation import ask_inner, delegate, force_inner, init_inner, tell_inner, validate_inner
from tunedsl.searchers.repeat import Repeat
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.sampling import sample_with_rejections
from tunedsl.spaces.space import Space

_MAX_ASKS: Final = 10
_MIN_DRAWS: Final = 1_000
_DRAWS_PER_SEEN: Final = 10


@value(repr=False)
class Dedupe:
    """The spec of `dedupe`."""

    searcher: Any

    def __repr__(self) -> str:
        return call_repr("dedupe", self, 1)


@attrs.frozen(eq=False)
class _DedupeState:
    """The inner state, and the digests of all proposals."""

    inner: SearcherState
    layout: Layout
    seen: immutables.Map[str, None] = attrs.field(factory=immutables.Map)


@check_arguments
def dedupe(searcher: Any) -> Dedupe:
    """A searcher that never proposes the same configuration twice.

    It asks the inner searcher again after a repeated configuration, up to 10 times, then draws uniformly. The search
    ends when no new configuration is left.

    Args:
        searcher: the spec of any searcher.

    Raises:
        ArgumentError: for what is no searcher.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> dedupe(tpe())
        dedupe(tpe())
    """
    searcher_of(searcher)
    return Dedupe(searcher)


def _init(spec: Dedupe, space: Space, objectives: Objectives, key: int) -> _DedupeState:
    return _DedupeState(init_inner(spec, space, objectives, key), resolve_space(space))


def _ask(spec: Dedupe, state: _DedupeState, trial: int, key: int) -> tuple[_DedupeState, Answer]:
    first, rejected = state.inner, 0
    for attempt in range(_MAX_ASKS):
        inner, answer = ask_inner(spec, state.inner, trial, key if not attempt else keys.key(key, "dedupe", attempt))
        if not isinstance(answer, Proposal):
            return attrs.evolve(state, inner=inner), answer
        if not attempt:
            first = inner
        digest = codec.digest(answer.config)
        rejected += answer.rejected
        if digest not in state.seen:
            return _DedupeState(inner, state.layout, state.seen.set(digest, None)), Proposal(answer.config, rejected)
    for config, drawn in _draw_uniformly(state, keys.key(key, "dedupe", trial)):
        data = codec.encode(config)
        digest = codec.digest(data)
        if digest not in state.seen:
            inner = force_inner(spec, first, trial, data, key)
            return _DedupeState(inner, state.layout, state.seen.set(digest, None)), Proposal(data, rejected + drawn)
    return state, Exhausted()


def _draw_uniformly(state: _DedupeState, key: int) -> Iterator[tuple[Config, int]]:
    """Enough draws to find the last new configuration with high probability."""
    for begin in range(0, max(_MIN_DRAWS, _DRAWS_PER_SEEN * len(state.seen)), _MIN_DRAWS):
        yield from sample_with_rejections(state.layout, key, range(begin, begin + _MIN_DRAWS))


def _tell(spec: Dedupe, state: _DedupeState, trial: int, observation: Observation) -> _DedupeState:
    return attrs.evolve(state, inner=tell_inner(spec, state.inner, trial, observation))


def _force(spec: Dedupe, state: _DedupeState, trial: int, config: Json, key: int) -> _DedupeState:
    inner = force_inner(spec, state.inner, trial, config, key)
    return _DedupeState(inner, state.layout, state.seen.set(codec.digest(config), None))


def _validate(spec: Dedupe) -> Sequence[Diagnostic]:
    diagnostics = [*validate_inner(spec)]
    if any(isinstance(part, Repeat) for part in nested_specs(spec.searcher)):
        hint = "write repeat(dedupe(...), n): it repeats each of several different configurations"
        diagnostics.append(
            Diagnostic("E084", "searcher", f"dedupe would skip the repetitions of {spec.searcher!r}.", hint)
        )
    return diagnostics


def _make_searcher(spec: Dedupe) -> Searcher:
    return delegate(
        spec, "dedupe", init=_init, ask=_ask, tell=_tell, force=_force, keeps_forced=True, validate=_validate
    )


register_combinator(Dedupe, "dedupe", _make_searcher)

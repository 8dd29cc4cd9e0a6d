"""`dedupe`: no configuration twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import immutables

from tunedsl.base import codec, keys
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.objective import Objective
from tunedsl.base.references import call_repr
from tunedsl.base.types import Config, Json
from tunedsl.searchers.contract import (
    Answer,
    Exhausted,
    Observation,
    Proposal,
    Searcher,
    SearcherState,
    nested_specs,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.delegation import check_inner_compatibility, validate_inner
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
    """The inner state, and digests of what was proposed."""

    inner: SearcherState
    layout: Layout
    seen: immutables.Map[str, None] = attrs.field(factory=immutables.Map)


@check_arguments
def dedupe(searcher: Any) -> Dedupe:
    """A searcher that never proposes the same configuration twice.

    It is asked anew for one that was there before; if it insists, a new one is drawn evenly; where none is left, the
    search is at its end.

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


def _init(spec: Dedupe, space: Space, objectives: tuple[Objective, ...], key: int) -> _DedupeState:
    return _DedupeState(searcher_of(spec.searcher).init(spec.searcher, space, objectives, key), resolve_space(space))


def _ask(spec: Dedupe, state: _DedupeState, trial: int, key: int) -> tuple[_DedupeState, Answer]:
    searcher = searcher_of(spec.searcher)
    first, rejected = state.inner, 0
    for attempt in range(_MAX_ASKS):
        inner, answer = searcher.ask(
            spec.searcher, state.inner, trial, key if not attempt else keys.key(key, "dedupe", attempt)
        )
        if not isinstance(answer, Proposal):
            return attrs.evolve(state, inner=inner), answer
        if not attempt:
            first = inner
        mark = codec.digest(answer.config)
        rejected += answer.rejected
        if mark not in state.seen:
            return _DedupeState(inner, state.layout, state.seen.set(mark, None)), Proposal(answer.config, rejected)
    for config, drawn in _draw_uniformly(state, keys.key(key, "dedupe", trial)):
        data = codec.encode(config)
        mark = codec.digest(data)
        if mark not in state.seen:
            inner = first if searcher.force is None else searcher.force(spec.searcher, first, trial, data, key)
            return _DedupeState(inner, state.layout, state.seen.set(mark, None)), Proposal(data, rejected + drawn)
    return state, Exhausted()


def _draw_uniformly(state: _DedupeState, key: int) -> Iterator[tuple[Config, int]]:
    """So many draws that the last configuration of as many as were seen is hardly missed."""
    for begin in range(0, max(_MIN_DRAWS, _DRAWS_PER_SEEN * len(state.seen)), _MIN_DRAWS):
        yield from sample_with_rejections(state.layout, key, range(begin, begin + _MIN_DRAWS))


def _tell(spec: Dedupe, state: _DedupeState, trial: int, observation: Observation) -> _DedupeState:
    inner = searcher_of(spec.searcher).tell(spec.searcher, state.inner, trial, observation)
    return attrs.evolve(state, inner=inner)


def _force(spec: Dedupe, state: _DedupeState, trial: int, config: Json, key: int) -> _DedupeState:
    force = searcher_of(spec.searcher).force
    inner = state.inner if force is None else force(spec.searcher, state.inner, trial, config, key)
    return _DedupeState(inner, state.layout, state.seen.set(codec.digest(config), None))


def _validate(spec: Dedupe) -> Sequence[Diagnostic]:
    found = [*validate_inner(spec)]
    if any(isinstance(part, Repeat) for part in nested_specs(spec.searcher)):
        hint = "repeat(dedupe(...), n) repeats configurations of which no two are the same"
        found.append(Diagnostic("E084", "searcher", f"{spec!r} would undo repeat", "no repeat within dedupe", hint))
    return found


def _make_searcher(spec: Dedupe) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="dedupe",
        supports=inner.supports,
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        force=None if inner.force is None and inner.learns else _force,
        validate=_validate,
        check_compatibility=check_inner_compatibility,
    )


register_combinator(Dedupe, "dedupe", _make_searcher)

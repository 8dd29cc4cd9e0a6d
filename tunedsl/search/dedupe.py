"""`dedupe`: no configuration twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import immutables

from tunedsl.base import codec, keys
from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.literals import spell
from tunedsl.base.objective import Objective
from tunedsl.base.vocabulary import Config, Json
from tunedsl.search.contract import (
    Answer,
    Exhausted,
    Observation,
    Proposal,
    Searcher,
    State,
    enrol_combinator,
    parts,
    searcher_of,
)
from tunedsl.search.inside import fits, validate
from tunedsl.search.repeat import Repeat
from tunedsl.space.layout import Layout, lower
from tunedsl.space.sampling import counted
from tunedsl.space.space import Space

_ASKS: Final = 10
_DRAWS: Final = 1_000
_DRAWS_EACH: Final = 10


@value(repr=False)
class Dedupe:
    """The spec of `dedupe`."""

    searcher: Any

    def __repr__(self) -> str:
        return spell("dedupe", self, 1)


@attrs.frozen(eq=False)
class _State:
    """The inner state, and digests of what was proposed."""

    inner: State
    layout: Layout
    seen: immutables.Map[str, None] = attrs.field(factory=immutables.Map)


@checked
def dedupe(searcher: Any) -> Dedupe:
    """A searcher that never proposes the same configuration twice.

    It is asked anew for one that was there before; if it insists, a new one is drawn evenly; where none is left, the
    search is at its end.

    Args:
        searcher: the spec of any searcher.

    Raises:
        ArgumentError: for what is no searcher.

    Example:
        >>> from tunedsl.search import tpe
        >>> dedupe(tpe())
        dedupe(tpe())
    """
    searcher_of(searcher)
    return Dedupe(searcher)


def _init(spec: Dedupe, space: Space, objectives: tuple[Objective, ...], key: int) -> _State:
    return _State(searcher_of(spec.searcher).init(spec.searcher, space, objectives, key), lower(space))


def _ask(spec: Dedupe, state: _State, trial: int, key: int) -> tuple[_State, Answer]:
    searcher = searcher_of(spec.searcher)
    first, rejected = state.inner, 0
    for attempt in range(_ASKS):
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
            return _State(inner, state.layout, state.seen.set(mark, None)), Proposal(answer.config, rejected)
    for config, drawn in _even(state, keys.key(key, "dedupe", trial)):
        data = codec.encode(config)
        mark = codec.digest(data)
        if mark not in state.seen:
            inner = first if searcher.adopt is None else searcher.adopt(spec.searcher, first, trial, data, key)
            return _State(inner, state.layout, state.seen.set(mark, None)), Proposal(data, rejected + drawn)
    return state, Exhausted()


def _even(state: _State, key: int) -> Iterator[tuple[Config, int]]:
    """So many draws that the last configuration of as many as were seen is hardly missed."""
    for begin in range(0, max(_DRAWS, _DRAWS_EACH * len(state.seen)), _DRAWS):
        yield from counted(state.layout, key, range(begin, begin + _DRAWS))


def _tell(spec: Dedupe, state: _State, trial: int, observation: Observation) -> _State:
    inner = searcher_of(spec.searcher).tell(spec.searcher, state.inner, trial, observation)
    return attrs.evolve(state, inner=inner)


def _adopt(spec: Dedupe, state: _State, trial: int, config: Json, key: int) -> _State:
    adopt = searcher_of(spec.searcher).adopt
    inner = state.inner if adopt is None else adopt(spec.searcher, state.inner, trial, config, key)
    return _State(inner, state.layout, state.seen.set(codec.digest(config), None))


def _validate(spec: Dedupe) -> Sequence[Diagnostic]:
    found = [*validate(spec)]
    if any(isinstance(part, Repeat) for part in parts(spec.searcher)):
        hint = "repeat(dedupe(...), n) repeats configurations of which no two are the same"
        found.append(Diagnostic("E084", "searcher", f"{spec!r} would undo repeat", "no repeat within dedupe", hint))
    return found


def _made(spec: Dedupe) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="dedupe",
        takes=inner.takes,
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        adopt=None if inner.adopt is None and inner.learns else _adopt,
        validate=_validate,
        fits=fits,
    )


enrol_combinator(Dedupe, "dedupe", _made)

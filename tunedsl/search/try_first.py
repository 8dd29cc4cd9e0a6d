"""`try_first`: configurations that the user names are the first trials; the searcher learns from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tunedsl.base import codec
from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError, SpaceError
from tunedsl.base.literals import Literal, show
from tunedsl.base.objective import Objective
from tunedsl.base.vocabulary import Json
from tunedsl.search.contract import (
    Answer,
    Observation,
    Proposal,
    Searcher,
    State,
    enrol_combinator,
    searcher_of,
)
from tunedsl.search.given import completed, given
from tunedsl.search.inside import fits, validate
from tunedsl.space.layout import lower
from tunedsl.space.space import Space


@value(repr=False)
class TryFirst:
    """The spec of `try_first`."""

    searcher: Any
    configs: tuple[Literal, ...]

    def __repr__(self) -> str:
        return f"try_first({show(self.searcher)}, {show(list(self.configs))})"


@attrs.frozen(eq=False)
class _State:
    """The inner state, and the first trials' proposals."""

    inner: State
    proposals: tuple[Proposal, ...]


@checked
def try_first(searcher: Any, configs: Sequence[Mapping[str, Any]]) -> TryFirst:
    """A searcher before which some configurations are tried.

    With grids, each of the searches tries those that belong to its cell.

    Args:
        searcher: the spec of any searcher.
        configs: configurations of the space, nested as trainables get them; parameters left out are drawn.

    Raises:
        ArgumentError: for what is no searcher or no configuration. Whether they are of the space is said by `check`.

    Example:
        >>> from tunedsl.search import tpe
        >>> try_first(tpe(), [{"lr": 0.1}])
        try_first(tpe(), [{'lr': 0.1}])
    """
    searcher_of(searcher)
    if isinstance(configs, (str, Mapping)) or not isinstance(configs, Sequence):
        raise ArgumentError("E003", "try_first.configs", repr(configs), "a list of configurations")
    return TryFirst(searcher, tuple(given("try_first.configs", config) for config in configs))


def _init(spec: TryFirst, space: Space, objectives: tuple[Objective, ...], key: int) -> _State:
    layout = lower(space)
    proposals: list[Proposal] = []
    for literal in spec.configs:
        try:
            proposals.append(Proposal.of(completed(layout, literal.fresh(), len(proposals), key)))
        except SpaceError:
            continue  # of another cell of the grid: the compiler has found a place for each
    return _State(searcher_of(spec.searcher).init(spec.searcher, space, objectives, key), tuple(proposals))


def _ask(spec: TryFirst, state: _State, trial: int, key: int) -> tuple[_State, Answer]:
    searcher = searcher_of(spec.searcher)
    if trial >= len(state.proposals):
        inner, answer = searcher.ask(spec.searcher, state.inner, trial, key)
        return attrs.evolve(state, inner=inner), answer
    proposal = state.proposals[trial]
    if searcher.adopt is not None:
        inner = searcher.adopt(spec.searcher, state.inner, trial, proposal.config, key)
        state = attrs.evolve(state, inner=inner)
    return state, proposal


def _tell(spec: TryFirst, state: _State, trial: int, observation: Observation) -> _State:
    searcher = searcher_of(spec.searcher)
    if 0 <= trial < len(state.proposals) and searcher.adopt is None:
        return state
    return attrs.evolve(state, inner=searcher.tell(spec.searcher, state.inner, trial, observation))


def _adopt(spec: TryFirst, state: _State, trial: int, config: Json, key: int) -> _State:
    adopt = searcher_of(spec.searcher).adopt
    if adopt is None:
        return state
    return attrs.evolve(state, inner=adopt(spec.searcher, state.inner, trial, config, key))


def _fits(spec: TryFirst, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    found = [*fits(spec, space, objectives)]
    layout = lower(space)
    for literal in spec.configs:
        try:
            codec.encode(completed(layout, literal.fresh(), 0, 0))
        except SpaceError as error:
            expected = "a configuration of the space"
            found.append(Diagnostic("E081", "searcher", f"try_first of {literal!r}", expected, str(error)))
    return found


def _made(spec: TryFirst) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="try_first",
        takes=inner.takes,
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        adopt=None if inner.adopt is None else _adopt,
        validate=validate,
        fits=_fits,
    )


enrol_combinator(TryFirst, "try_first", _made)

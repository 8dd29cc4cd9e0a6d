"""`try_first`: configurations that the user names are the first trials; the searcher learns from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tunedsl.base import codec
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError, SpaceError
from tunedsl.base.objective import Objective
from tunedsl.base.references import Literal, source_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Observation,
    Proposal,
    Searcher,
    SearcherState,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.delegation import check_inner_compatibility, validate_inner
from tunedsl.searchers.user_configs import as_config_literal, fill_config
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space


@value(repr=False)
class TryFirst:
    """The spec of `try_first`."""

    searcher: Any
    configs: tuple[Literal, ...]

    def __repr__(self) -> str:
        return f"try_first({source_repr(self.searcher)}, {source_repr(list(self.configs))})"


@attrs.frozen(eq=False)
class _TryFirstState:
    """The inner state, and the first trials' proposals."""

    inner: SearcherState
    proposals: tuple[Proposal, ...]


@check_arguments
def try_first(searcher: Any, configs: Sequence[Mapping[str, Any]]) -> TryFirst:
    """A searcher before which some configurations are tried.

    With grids, each of the searches tries those that belong to its cell.

    Args:
        searcher: the spec of any searcher.
        configs: configurations of the space, nested as trainables get them; parameters left out are drawn.

    Raises:
        ArgumentError: for what is no searcher or no configuration. Whether they are of the space is said by `check`.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> try_first(tpe(), [{"lr": 0.1}])
        try_first(tpe(), [{'lr': 0.1}])
    """
    searcher_of(searcher)
    if isinstance(configs, (str, Mapping)) or not isinstance(configs, Sequence):
        raise ArgumentError("E003", "try_first.configs", repr(configs), "a list of configurations")
    return TryFirst(searcher, tuple(as_config_literal("try_first.configs", config) for config in configs))


def _init(spec: TryFirst, space: Space, objectives: tuple[Objective, ...], key: int) -> _TryFirstState:
    layout = resolve_space(space)
    proposals: list[Proposal] = []
    for literal in spec.configs:
        try:
            proposals.append(Proposal.of(fill_config(layout, literal.copy(), len(proposals), key)))
        except SpaceError:
            continue  # of another cell of the grid: the compiler has found a place for each
    return _TryFirstState(searcher_of(spec.searcher).init(spec.searcher, space, objectives, key), tuple(proposals))


def _ask(spec: TryFirst, state: _TryFirstState, trial: int, key: int) -> tuple[_TryFirstState, Answer]:
    searcher = searcher_of(spec.searcher)
    if trial >= len(state.proposals):
        inner, answer = searcher.ask(spec.searcher, state.inner, trial, key)
        return attrs.evolve(state, inner=inner), answer
    proposal = state.proposals[trial]
    if searcher.force is not None:
        inner = searcher.force(spec.searcher, state.inner, trial, proposal.config, key)
        state = attrs.evolve(state, inner=inner)
    return state, proposal


def _tell(spec: TryFirst, state: _TryFirstState, trial: int, observation: Observation) -> _TryFirstState:
    searcher = searcher_of(spec.searcher)
    if 0 <= trial < len(state.proposals) and searcher.force is None:
        return state
    return attrs.evolve(state, inner=searcher.tell(spec.searcher, state.inner, trial, observation))


def _force(spec: TryFirst, state: _TryFirstState, trial: int, config: Json, key: int) -> _TryFirstState:
    force = searcher_of(spec.searcher).force
    if force is None:
        return state
    return attrs.evolve(state, inner=force(spec.searcher, state.inner, trial, config, key))


def _check_compatibility(spec: TryFirst, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    found = [*check_inner_compatibility(spec, space, objectives)]
    layout = resolve_space(space)
    for literal in spec.configs:
        try:
            codec.encode(fill_config(layout, literal.copy(), 0, 0))
        except SpaceError as error:
            expected = "a configuration of the space"
            found.append(Diagnostic("E081", "searcher", f"try_first of {literal!r}", expected, str(error)))
    return found


def _make_searcher(spec: TryFirst) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="try_first",
        supports=inner.supports,
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        force=None if inner.force is None else _force,
        validate=validate_inner,
        check_compatibility=_check_compatibility,
    )


register_combinator(TryFirst, "try_first", _make_searcher)

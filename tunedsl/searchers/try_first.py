"""`try_first`: the first trials run configurations of the user; the searcher learns from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tunedsl.base import codec
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic, reason, shorten
from tunedsl.base.errors import SpaceError, wrong_value
from tunedsl.base.references import Literal, source_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Objectives,
    Observation,
    Proposal,
    Searcher,
    SearcherState,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.delegation import (
    ask_inner,
    check_inner_compatibility,
    delegate,
    force_inner,
    init_inner,
    tell_inner,
)
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
    """A searcher whose first trials run the given configurations.

    With grids, the search of each cell tries the configurations of its cell.

    Args:
        searcher: the spec of any searcher.
        configs: configurations of the space, nested as trainables receive them; missing parameters are drawn.

    Raises:
        ArgumentError: for what is no searcher or no configuration. `check` reports configurations outside the space.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> try_first(tpe(), [{"lr": 0.1}])
        try_first(tpe(), [{'lr': 0.1}])
    """
    searcher_of(searcher)
    if isinstance(configs, (str, Mapping)) or not isinstance(configs, Sequence):
        raise wrong_value("try_first.configs", configs, "a list of configurations")
    return TryFirst(searcher, tuple(as_config_literal("try_first.configs", config) for config in configs))


def _init(spec: TryFirst, space: Space, objectives: Objectives, key: int) -> _TryFirstState:
    layout = resolve_space(space)
    proposals: list[Proposal] = []
    for literal in spec.configs:
        try:
            proposals.append(Proposal.of(fill_config(layout, literal.copy(), len(proposals), key)))
        except SpaceError:
            continue  # it belongs to another cell; the compiler checked that each has one
    return _TryFirstState(init_inner(spec, space, objectives, key), tuple(proposals))


def _ask(spec: TryFirst, state: _TryFirstState, trial: int, key: int) -> tuple[_TryFirstState, Answer]:
    if trial >= len(state.proposals):
        inner, answer = ask_inner(spec, state.inner, trial, key)
        return attrs.evolve(state, inner=inner), answer
    proposal = state.proposals[trial]
    return attrs.evolve(state, inner=force_inner(spec, state.inner, trial, proposal.config, key)), proposal


def _tell(spec: TryFirst, state: _TryFirstState, trial: int, observation: Observation) -> _TryFirstState:
    if 0 <= trial < len(state.proposals) and searcher_of(spec.searcher).force is None:
        return state
    return attrs.evolve(state, inner=tell_inner(spec, state.inner, trial, observation))


def _force(spec: TryFirst, state: _TryFirstState, trial: int, config: Json, key: int) -> _TryFirstState:
    return attrs.evolve(state, inner=force_inner(spec, state.inner, trial, config, key))


def _check_compatibility(spec: TryFirst, space: Space, objectives: Objectives) -> Sequence[Diagnostic]:
    diagnostics = [*check_inner_compatibility(spec, space, objectives)]
    layout = resolve_space(space)
    for index, literal in enumerate(spec.configs):
        try:
            codec.encode(fill_config(layout, literal.copy(), 0, 0))
        except SpaceError as error:
            message = f"try_first(...) has {shorten(repr(literal))}, which is outside the space: {reason(error)}."
            hint = error.hint or "write a configuration of this space"
            diagnostics.append(Diagnostic("E081", f"searcher.try_first[{index}]", message, hint))
    return diagnostics


def _make_searcher(spec: TryFirst) -> Searcher:
    return delegate(
        spec,
        "try_first",
        init=_init,
        ask=_ask,
        tell=_tell,
        force=_force,
        check_compatibility=_check_compatibility,
    )


register_combinator(TryFirst, "try_first", _make_searcher)

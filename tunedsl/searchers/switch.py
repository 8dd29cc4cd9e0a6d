"""`switch`: one searcher for the first trials, another for the rest, which also learns from the first ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.objective import Objective
from tunedsl.base.references import source_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Observation,
    Proposal,
    Searcher,
    SearcherState,
    Supports,
    register_combinator,
    searcher_of,
)
from tunedsl.spaces.space import Space


@value(repr=False)
class Switch:
    """The spec of `switch`."""

    searcher: Any
    then: Any
    after: int

    def __repr__(self) -> str:
        return f"switch({source_repr(self.searcher)}, {source_repr(self.then)}, after={self.after})"


@attrs.frozen(eq=False)
class _SwitchState:
    first: SearcherState
    then: SearcherState


@check_arguments
def switch(searcher: Any, then: Any, after: int) -> Switch:
    """Uses one searcher for the first `after` trials, then another, which also learns from those first trials.

    Args:
        searcher: the spec of the first searcher.
        then: the spec of the second one.
        after: number of trials that the first one proposes, at least 1.

    Raises:
        ArgumentError: if `searcher` or `then` is not a searcher, or `after` is below 1.

    Example:
        >>> from tunedsl.searchers import random_search, tpe
        >>> switch(random_search(), tpe(), after=20)
        switch(random_search(), tpe(), after=20)
    """
    searcher_of(searcher)
    searcher_of(then)
    return Switch(searcher, then, as_int("switch.after", after, minimum=1))


def _init(spec: Switch, space: Space, objectives: tuple[Objective, ...], key: int) -> _SwitchState:
    first, then = searcher_of(spec.searcher), searcher_of(spec.then)
    return _SwitchState(
        first.init(spec.searcher, space, objectives, key),
        then.init(spec.then, space, objectives, key),
    )


def _ask(spec: Switch, state: _SwitchState, trial: int, key: int) -> tuple[_SwitchState, Answer]:
    then = searcher_of(spec.then)
    if trial >= spec.after:
        inner, answer = then.ask(spec.then, state.then, trial, key)
        return _SwitchState(state.first, inner), answer
    inner, answer = searcher_of(spec.searcher).ask(spec.searcher, state.first, trial, key)
    if isinstance(answer, Proposal) and then.force is not None:
        return _SwitchState(inner, then.force(spec.then, state.then, trial, answer.config, key)), answer
    return _SwitchState(inner, state.then), answer


def _tell(spec: Switch, state: _SwitchState, trial: int, observation: Observation) -> _SwitchState:
    first, then = searcher_of(spec.searcher), searcher_of(spec.then)
    running = observation.status == "reported"
    of_first = 0 <= trial < spec.after or (trial < 0 and first.force is not None)
    if of_first and (first.supports.intermediate or not running):
        state = attrs.evolve(state, first=first.tell(spec.searcher, state.first, trial, observation))
    of_then = trial >= spec.after or then.force is not None
    if of_then and (then.supports.intermediate or not running):
        state = attrs.evolve(state, then=then.tell(spec.then, state.then, trial, observation))
    return state


def _force(spec: Switch, state: _SwitchState, trial: int, config: Json, key: int) -> _SwitchState:
    first, then = searcher_of(spec.searcher), searcher_of(spec.then)
    if trial < spec.after and first.force is not None:
        state = attrs.evolve(state, first=first.force(spec.searcher, state.first, trial, config, key))
    if then.force is not None:
        state = attrs.evolve(state, then=then.force(spec.then, state.then, trial, config, key))
    return state


def _validate(spec: Switch) -> Sequence[Diagnostic]:
    first, then = searcher_of(spec.searcher), searcher_of(spec.then)
    diagnostics = [*first.validate(spec.searcher), *then.validate(spec.then)]
    if first.scope and then.scope and first.scope != then.scope:
        message = (
            f"switch(...) joins a searcher that learns from the {first.scope} report of a trial "
            f"with one that learns from the {then.scope}."
        )
        diagnostics.append(Diagnostic("E084", "searcher", message, "write scored(switch(...)) to choose one report"))
    return diagnostics


def _check_compatibility(spec: Switch, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    return [
        *searcher_of(spec.searcher).check_compatibility(spec.searcher, space, objectives),
        *searcher_of(spec.then).check_compatibility(spec.then, space, objectives),
    ]


def _make_searcher(spec: Switch) -> Searcher:
    first, then = searcher_of(spec.searcher), searcher_of(spec.then)
    both = {
        field.name: min(getattr(first.supports, field.name), getattr(then.supports, field.name))
        for field in attrs.fields(Supports)
    }
    # Only those of the two that support intermediate reports receive them.
    supports = Supports(**{**both, "intermediate": first.supports.intermediate or then.supports.intermediate})
    return Searcher(
        name="switch",
        supports=supports,
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=first.learns or then.learns,
        force=None if first.force is None and then.force is None else _force,
        validate=_validate,
        check_compatibility=_check_compatibility,
        scope=first.scope or then.scope,
    )


register_combinator(Switch, "switch", _make_searcher)

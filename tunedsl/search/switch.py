"""`switch`: one searcher first, another from some trial on, which knows what the first one found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from tunedsl.base.arguments import checked, whole
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.literals import show
from tunedsl.base.objective import Objective
from tunedsl.base.vocabulary import Json
from tunedsl.search.contract import (
    Answer,
    Observation,
    Proposal,
    Searcher,
    State,
    Takes,
    enrol_combinator,
    searcher_of,
)
from tunedsl.space.space import Space


@value(repr=False)
class Switch:
    """The spec of `switch`."""

    searcher: Any
    then: Any
    after: int

    def __repr__(self) -> str:
        return f"switch({show(self.searcher)}, {show(self.then)}, after={self.after})"


@attrs.frozen(eq=False)
class _State:
    first: State
    then: State


@checked
def switch(searcher: Any, then: Any, after: int) -> Switch:
    """The first `after` trials by one searcher, all later ones by another, which learns from the first ones too.

    Args:
        searcher, then: specs of searchers.
        after: how many trials the first one proposes, at least 1.

    Raises:
        ArgumentError: for what is no searcher, or a wrong number.

    Example:
        >>> from tunedsl.search import random_search, tpe
        >>> switch(random_search(), tpe(), after=20)
        switch(random_search(), tpe(), after=20)
    """
    searcher_of(searcher)
    searcher_of(then)
    return Switch(searcher, then, whole("switch.after", after, least=1))


def _init(spec: Switch, space: Space, objectives: tuple[Objective, ...], key: int) -> _State:
    first, then = searcher_of(spec.searcher), searcher_of(spec.then)
    return _State(
        first.init(spec.searcher, space, objectives, key),
        then.init(spec.then, space, objectives, key),
    )


def _ask(spec: Switch, state: _State, trial: int, key: int) -> tuple[_State, Answer]:
    then = searcher_of(spec.then)
    if trial >= spec.after:
        inner, answer = then.ask(spec.then, state.then, trial, key)
        return _State(state.first, inner), answer
    inner, answer = searcher_of(spec.searcher).ask(spec.searcher, state.first, trial, key)
    if isinstance(answer, Proposal) and then.adopt is not None:
        return _State(inner, then.adopt(spec.then, state.then, trial, answer.config, key)), answer
    return _State(inner, state.then), answer


def _tell(spec: Switch, state: _State, trial: int, observation: Observation) -> _State:
    first, then = searcher_of(spec.searcher), searcher_of(spec.then)
    running = observation.status == "reported"
    of_first = 0 <= trial < spec.after or (trial < 0 and first.adopt is not None)
    if of_first and (first.takes.intermediate or not running):
        state = attrs.evolve(state, first=first.tell(spec.searcher, state.first, trial, observation))
    of_then = trial >= spec.after or then.adopt is not None
    if of_then and (then.takes.intermediate or not running):
        state = attrs.evolve(state, then=then.tell(spec.then, state.then, trial, observation))
    return state


def _adopt(spec: Switch, state: _State, trial: int, config: Json, key: int) -> _State:
    first, then = searcher_of(spec.searcher), searcher_of(spec.then)
    if trial < spec.after and first.adopt is not None:
        state = attrs.evolve(state, first=first.adopt(spec.searcher, state.first, trial, config, key))
    if then.adopt is not None:
        state = attrs.evolve(state, then=then.adopt(spec.then, state.then, trial, config, key))
    return state


def _validate(spec: Switch) -> Sequence[Diagnostic]:
    first, then = searcher_of(spec.searcher), searcher_of(spec.then)
    found = [*first.validate(spec.searcher), *then.validate(spec.then)]
    if first.scope and then.scope and first.scope != then.scope:
        text = f"{spec!r}: one is told of the {first.scope} report, the other of the {then.scope}"
        found.append(Diagnostic("E084", "searcher", text, "one scope for both", "scored(switch(...))"))
    return found


def _fits(spec: Switch, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    return [
        *searcher_of(spec.searcher).fits(spec.searcher, space, objectives),
        *searcher_of(spec.then).fits(spec.then, space, objectives),
    ]


def _made(spec: Switch) -> Searcher:
    first, then = searcher_of(spec.searcher), searcher_of(spec.then)
    both = {
        field.name: min(getattr(first.takes, field.name), getattr(then.takes, field.name))
        for field in attrs.fields(Takes)
    }
    # Reports of running trials go to whom of them takes them.
    takes = Takes(**{**both, "intermediate": first.takes.intermediate or then.takes.intermediate})
    return Searcher(
        name="switch",
        takes=takes,
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=first.learns or then.learns,
        adopt=None if first.adopt is None and then.adopt is None else _adopt,
        validate=_validate,
        fits=_fits,
        scope=first.scope or then.scope,
    )


enrol_combinator(Switch, "switch", _made)

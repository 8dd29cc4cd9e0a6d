"""What a request means to a run as it stands: the event that it becomes, and what its maker is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tunedsl.base import codec
from tunedsl.base.errors import TunedslError
from tunedsl.base.keys import key
from tunedsl.base.literals import show
from tunedsl.base.names import did_you_mean
from tunedsl.engine.desk import Desk
from tunedsl.engine.requests import AddRequest, Refused, StopRequest
from tunedsl.kernel import Event, State, StopAsked, Trial
from tunedsl.kernel.events import FIRST_ADDED
from tunedsl.plan import Plan
from tunedsl.search.each_cell import cell_of
from tunedsl.search.given import completed
from tunedsl.space.layout import lower
from tunedsl.space.space import Space

LONGEST_TEXT: Final = 200
MOST_SUGGESTED: Final = 1_000
"""Trials among which a name that is near to a wrong one is looked for."""
_OVER: Final = ("TERMINATED", "ERRORED")


def stopping(request: StopRequest, state: State, seconds: float) -> tuple[Event | None, str]:
    """The event that ends what a request names, and its answer; no event where that has ended.

    Raises:
        Refused: when there is no such trial.
    """
    text = request.text[:LONGEST_TEXT]
    if request.trial is None:
        if state.closing or state.finished:
            return None, f"the experiment is ending already: {state.closing or 'all trials have ended'}"
        count = len(state.live) + len(state.paused) + len(state.waiting)
        said = f"the experiment ends; {count} trial{' is' if count == 1 else 's are'} stopped"
        return StopAsked(seconds, None, f"stopped by a user{f', {text}' if text else ''}"), said
    trial = _trial(request.trial, state)
    if trial.phase in _OVER:
        return None, f"trial {trial.name} is over already: {trial.phase} after iteration {trial.iteration}"
    return StopAsked(seconds, trial.number, text), f"trial {trial.name} is stopped after iteration {trial.iteration}"


def adding(
    request: AddRequest, name: str, plan: Plan, state: State, desk: Desk, objects: Mapping[str, Any], seconds: float
) -> tuple[Event, str]:
    """The event by which a user's configuration becomes a trial, and the answer.

    Args:
        name: of the request.
        objects: the live objects that configurations of the plan name.

    Raises:
        Refused: when it is no configuration of the space, or nothing is begun any more.
    """
    if state.closing or state.finished:
        raise Refused(f"the experiment is ending: {state.closing or 'all trials have ended'}")
    config = checked(plan.space, request.config, key(plan.seed, "added", state.added), objects)
    try:
        event = desk.added(seconds, FIRST_ADDED + state.added, config, name)
    except TunedslError as error:
        raise Refused(str(error)) from error
    places = state.width + state.ahead - len(state.live) - state.proposing
    when = "begins" if places > len(state.waiting) else "begins when a place is free"
    return event, f"trial {event.name} is added, and {when}"


def checked(space: Space, data: Any, seed: int, objects: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A whole configuration of a space, as canonical data, from what a user gave.

    Args:
        data: canonical data of what was given.
        seed: the key for functions of the space that draw.
        objects: the live objects that configurations may name; others are refused. Without it they stay names.

    Raises:
        Refused: when that is no configuration of the space; it says why.
    """
    try:
        config = codec.decode(data, None if objects is None else objects.__getitem__)
        if not isinstance(config, dict):
            raise Refused(f"{show(config):.200} is no configuration")
        layout = lower(space)
        cell = cell_of(layout, data) or 0  # with another one it differs, which is said
        made: dict[str, Any] = codec.encode(completed(layout, config, cell, seed, whole=True))
        return made
    except Refused:
        raise
    except TunedslError as error:
        raise Refused(f"no configuration of this space: {error}") from error
    except Exception as error:  # whatever the values of a stranger bring about
        raise Refused(f"no configuration of this space: {type(error).__name__}: {error}") from error


def _trial(named: str, state: State) -> Trial:
    """The trial with an id or number. Who asks is a person: looking through all trials is no step of the run's."""
    for trial in state.trials.values():
        if trial.name == named:
            return trial
    if named.isdecimal() and len(named) < 12 and int(named) in state.trials:
        return state.trials[int(named)]
    names = [trial.name for trial, _ in zip(state.trials.values(), range(MOST_SUGGESTED), strict=False)]
    near = did_you_mean(named[:LONGEST_TEXT], names)
    hint = f"; {near}" if near.startswith("did") else ""
    raise Refused(f"there is no trial {named[:LONGEST_TEXT]!r} among {len(state.trials)}{hint}")

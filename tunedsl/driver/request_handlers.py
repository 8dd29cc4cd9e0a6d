"""What a request means to a run as it stands: the event that it becomes, and what its maker is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tunedsl.base import codec
from tunedsl.base.errors import TunedslError
from tunedsl.base.keys import key
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import source_repr
from tunedsl.driver.searcher_session import SearcherSession
from tunedsl.journal.requests import AddRequest, RequestRefused, StopRequest
from tunedsl.kernel import Event, RunState, StopRequested, TrialState
from tunedsl.kernel.events import FIRST_USER_TRIAL
from tunedsl.plan import Plan
from tunedsl.searchers.per_grid_cell import cell_of
from tunedsl.searchers.user_configs import fill_config
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space

MAX_TEXT: Final = 200
MAX_SUGGESTED: Final = 1_000
"""Trials among which a name that is near to a wrong one is looked for."""
_ENDED_PHASES: Final = ("TERMINATED", "ERRORED")


def handle_stop(request: StopRequest, state: RunState, seconds: float) -> tuple[Event | None, str]:
    """The event that ends what a request names, and its answer; no event where that has ended.

    Raises:
        Refused: when there is no such trial.
    """
    text = request.text[:MAX_TEXT]
    if request.trial is None:
        if state.closing_reason or state.finished:
            return None, f"the experiment is ending already: {state.closing_reason or 'all trials have ended'}"
        count = len(state.live) + len(state.paused) + len(state.queued)
        said = f"the experiment ends; {count} trial{' is' if count == 1 else 's are'} stopped"
        return StopRequested(seconds, None, f"stopped by a user{f', {text}' if text else ''}"), said
    trial = _find_trial(request.trial, state)
    if trial.phase in _ENDED_PHASES:
        how = "failed" if trial.phase == "ERRORED" else "ended"
        return None, f"trial {trial.name} is over already: it {how} after iteration {trial.iteration}"
    return StopRequested(
        seconds, trial.number, text
    ), f"trial {trial.name} is stopped after iteration {trial.iteration}"


def handle_add(
    request: AddRequest,
    name: str,
    plan: Plan,
    state: RunState,
    desk: SearcherSession,
    objects: Mapping[str, Any],
    seconds: float,
) -> tuple[Event, str]:
    """The event by which a user's configuration becomes a trial, and the answer.

    Args:
        name: of the request.
        objects: the live objects that configurations of the plan name.

    Raises:
        Refused: when it is no configuration of the space, or nothing is begun any more.
    """
    if state.closing_reason or state.finished:
        raise RequestRefused(f"the experiment is ending: {state.closing_reason or 'all trials have ended'}")
    config = complete_config(plan.space, request.config, key(plan.seed, "added", state.user_trial_count), objects)
    try:
        event = desk.user_trial(seconds, FIRST_USER_TRIAL + state.user_trial_count, config, name)
    except TunedslError as error:
        raise RequestRefused(str(error)) from error
    places = state.width + state.ahead - len(state.live) - state.proposing
    when = "begins" if places > len(state.queued) else "begins when a place is free"
    return event, f"trial {event.name} is added, and {when}"


def complete_config(space: Space, data: Any, seed: int, objects: Mapping[str, Any] | None = None) -> dict[str, Any]:
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
            raise RequestRefused(f"{source_repr(config):.200} is no configuration")
        layout = resolve_space(space)
        cell = cell_of(layout, data) or 0  # with another one it differs, which is said
        made: dict[str, Any] = codec.encode(fill_config(layout, config, cell, seed, require_all=True))
        return made
    except RequestRefused:
        raise
    except TunedslError as error:
        raise RequestRefused(f"no configuration of this space: {error}") from error
    except Exception as error:  # whatever the values of a stranger bring about
        raise RequestRefused(f"no configuration of this space: {type(error).__name__}: {error}") from error


def _find_trial(named: str, state: RunState) -> TrialState:
    """The trial with an id or number. Who asks is a person: looking through all trials is no step of the run's."""
    for trial in state.trials.values():
        if trial.name == named:
            return trial
    if named.isdecimal() and len(named) < 12 and int(named) in state.trials:
        return state.trials[int(named)]
    names = [trial.name for trial, _ in zip(state.trials.values(), range(MAX_SUGGESTED), strict=False)]
    near = did_you_mean(named[:MAX_TEXT], names)
    hint = f"; {near}" if near.startswith("did") else ""
    raise RequestRefused(f"there is no trial {named[:MAX_TEXT]!r} among {len(state.trials)}{hint}")

"""Turns a control request into an event and a reply.

`driver` picks the handler of each request and handles a pause itself; amendments are in `live_amendments`. Reading
requests from disk and writing replies is in `journal.requests`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tunedsl.base import codec
from tunedsl.base.diagnostics import reason, with_help
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
"""Number of trials whose names are compared with a misspelled one."""
_ENDED_PHASES: Final = ("TERMINATED", "ERRORED")


def handle_stop(request: StopRequest, state: RunState, seconds: float) -> tuple[Event | None, str]:
    """The event that stops a trial or the experiment, and the reply; no event when it has already ended.

    Raises:
        RequestRefused: when there is no such trial.
    """
    text = request.text[:MAX_TEXT]
    if request.trial is None:
        if state.closing_reason or state.finished:
            return None, f"the experiment is already ending: {state.closing_reason or 'all trials have ended'}"
        count = len(state.live) + len(state.paused) + len(state.queued)
        reply = f"the experiment ends; {count} trial{' is' if count == 1 else 's are'} stopped"
        return StopRequested(seconds, None, f"stopped by a user{f', {text}' if text else ''}"), reply
    trial = find_trial(request.trial, state)
    if trial.phase in _ENDED_PHASES:
        how = "failed" if trial.phase == "ERRORED" else "finished"
        return None, f"trial {trial.name} has already ended: it {how} after iteration {trial.iteration}"
    return StopRequested(
        seconds, trial.number, text
    ), f"trial {trial.name} is stopped after iteration {trial.iteration}"


def handle_add(
    request: AddRequest,
    name: str,
    plan: Plan,
    state: RunState,
    searcher_session: SearcherSession,
    objects: Mapping[str, Any],
    seconds: float,
) -> tuple[Event, str]:
    """The event that adds a user's configuration as a trial, and the reply.

    Args:
        name: the request's name.
        objects: live objects by the references that configurations use.

    Raises:
        RequestRefused: when the configuration is not in the space, or the experiment starts no more trials.
    """
    if state.closing_reason or state.finished:
        raise RequestRefused(f"The experiment is ending: {state.closing_reason or 'all trials have ended'}.")
    config = complete_config(plan.space, request.config, key(plan.seed, "added", state.user_trial_count), objects)
    try:
        event = searcher_session.user_trial(seconds, FIRST_USER_TRIAL + state.user_trial_count, config, name)
        event = msgspec.structs.replace(event, text=request.text[:MAX_TEXT])
    except TunedslError as error:
        raise RequestRefused(str(error)) from error
    free_slots = state.width + state.ahead - len(state.live) - state.proposing
    when = "starts now" if free_slots > len(state.queued) else "starts when a slot is free"
    return event, f"trial {event.name} is added and {when}"


def complete_config(space: Space, data: Any, seed: int, objects: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Complete a user's configuration with the space's constants and expressions.

    Args:
        data: the user's configuration as canonical data.
        seed: the random key for functions of the space.
        objects: live objects by reference; other references are refused. Without it references are not resolved.

    Returns:
        The configuration as canonical data.

    Raises:
        RequestRefused: when the configuration is not in the space; the message says why.
    """
    try:
        config = codec.decode(data, None if objects is None else objects.__getitem__)
        if not isinstance(config, dict):
            raise RequestRefused(f"The value {source_repr(config):.200} is not a configuration.")
        layout = resolve_space(space)
        cell = cell_of(layout, data) or 0  # a wrong cell is reported as a difference
        complete: dict[str, Any] = codec.encode(fill_config(layout, config, cell, seed, require_all=True))
        return complete
    except RequestRefused:
        raise
    except TunedslError as error:
        raise RequestRefused(f"The space does not have this configuration: {error}") from error
    except Exception as error:  # untrusted values may raise anything
        what = f"{type(error).__name__}: {reason(error)}"
        raise RequestRefused(f"The space does not have this configuration: {what}.") from error


def find_trial(named: str, state: RunState) -> TrialState:
    """The trial with an id or number; a linear search, since requests are rare."""
    for trial in state.trials.values():
        if trial.name == named:
            return trial
    if named.isdecimal() and len(named) < 12 and int(named) in state.trials:
        return state.trials[int(named)]
    names = [trial.name for trial, _ in zip(state.trials.values(), range(MAX_SUGGESTED), strict=False)]
    near = did_you_mean(named[:MAX_TEXT], names)
    message = f"The {len(state.trials)} trials do not include {named[:MAX_TEXT]!r}."
    raise RequestRefused(with_help(message, near if near.startswith("did") else ""))

"""Suspends a run when the study condition of `until` is met, and lets a resume continue it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tunedsl.kernel.amending import max_trials
from tunedsl.kernel.commands import Command, Continue, Launch, Suspend
from tunedsl.kernel.events import Failed
from tunedsl.kernel.state import RunState
from tunedsl.plan import Plan
from tunedsl.stopping import error_signature, met_study


def count_alike(state: RunState, event: Failed) -> RunState:
    """The state after one more trial has failed without a retry left; errors count until a trial succeeds."""
    if state.succeeded_count:
        return state
    signature = error_signature(event.kind, event.message)
    return replace(state, failed_alike=state.failed_alike.set(signature, state.failed_alike.get(signature, 0) + 1))


def suspended_if_due(
    plan: Plan, state: RunState, event: Failed, commands: list[Command]
) -> tuple[RunState, list[Command]]:
    """Suspends the run if this failure was final and meets the study condition.

    Trials that are under way keep their phase, so that a resume continues them. If none is left, the run finishes.
    """
    if plan.until is None or state.suspended or state.trials[event.trial].phase != "ERRORED":
        return state, commands
    alike = 0 if state.succeeded_count else state.failed_alike[error_signature(event.kind, event.message)]
    if not met_study(plan.until, alike):
        return state, commands
    error = event.message.strip().partition("\n")[0]
    reason = f"{alike} trials failed with the same error and none has succeeded: {error or event.kind}"
    to_come = not state.exhausted and state.next_trial < max_trials(plan)
    if not (to_come or state.live or state.paused or state.queued or state.proposing):
        return replace(state, closing_reason=reason), commands
    kept: list[Any] = [command for command in commands if not isinstance(command, (Launch, Continue))]
    return replace(state, suspended=reason), [*kept, Suspend(reason)]


def unsuspended(state: RunState) -> RunState:
    """The state from which a suspended run continues; equal failures are counted from 0."""
    return replace(state, suspended="", failed_alike=type(state.failed_alike)()) if state.suspended else state

"""Ends a run when the condition of `until` is met: equal failures suspend it, anything else finishes it."""

from __future__ import annotations

import functools
from typing import Any

from msgspec.structs import replace

from tunedsl.kernel.amending import forget_failures, max_trials, study_condition
from tunedsl.kernel.commands import Command, Continue, Launch, Stop, Suspend
from tunedsl.kernel.events import Ended, Event, Failed, Reported
from tunedsl.kernel.feasibility import feasible_rows
from tunedsl.kernel.regret import regret_bound
from tunedsl.kernel.state import RunState
from tunedsl.plan import Plan
from tunedsl.stopping import StudySummary, describe_condition, error_signature
from tunedsl.stopping.tally import Improvement, TrialEnd


def count_alike(state: RunState, event: Failed) -> RunState:
    """The state after one more trial has failed without a retry left; errors count until a trial succeeds."""
    if state.succeeded_count:
        return state
    signature = error_signature(event.kind, event.message)
    return replace(state, failed_alike=state.failed_alike.set(signature, state.failed_alike.get(signature, 0) + 1))


def count_for_study(plan: Plan, state: RunState, event: Event, commands: list[Command]) -> RunState:
    """The state whose tally includes an event and the trials that it ended."""
    study = study_condition(plan)
    if study is None or state.study is None:
        return state
    tally = state.study
    if isinstance(event, Reported):
        feasible = feasible_rows(plan, event, state.trials[event.trial])
        tally = study.after_report(tally, event.trial, event.keys, event.rows, feasible)
    for end in _ends(state, event, commands):
        tally = study.after_end(tally, end)
        if study.bounds_regret:
            tally = study.with_bounds(tally, functools.partial(regret_bound, plan, state))
    return state if tally is state.study else replace(state, study=tally)


def _ends(state: RunState, event: Event, commands: list[Command]) -> list[TrialEnd]:
    """The trials that ended with an event."""
    if isinstance(event, Failed) and state.trials[event.trial].phase == "ERRORED":
        alike = 0 if state.succeeded_count else state.failed_alike[error_signature(event.kind, event.message)]
        ends = [TrialEnd(event.trial, failed=True, alike=alike)]
    elif isinstance(event, Ended) or (isinstance(event, Reported) and event.ends):
        ends = [TrialEnd(event.trial, succeeded=True)]
    else:
        ends = []
    stopped = (command.trial for command in commands if isinstance(command, Stop))
    return [*ends, *(TrialEnd(trial, succeeded=state.trials[trial].has_value) for trial in stopped)]


def reason_to_close(plan: Plan, state: RunState, event: Event) -> tuple[str, bool]:
    """The reason why `until` ends the run, empty if it does not, and whether equal failures alone ended it."""
    study = study_condition(plan)
    if study is None or state.suspended:
        return "", False
    if state.study is None:  # the condition only counts equal failures
        if not isinstance(event, Failed) or state.trials[event.trial].phase != "ERRORED":
            return "", False
        tally = study.after_end(study.initial(), _ends(state, event, [])[0])
    else:
        tally = state.study

    def summary(improvement: Improvement) -> StudySummary:
        return StudySummary(
            seconds=state.seconds,
            trials=len(state.trials),
            running=len(state.live),
            ended=state.terminated_count,
            failed=state.errored_count,
            iterations=state.iterations,
            best=improvement.value,
            trials_since_best=improvement.since,
        )

    met = study.met(tally, summary)
    if met is None:
        return "", False
    part, by_failures = met
    if by_failures and isinstance(event, Failed):
        alike = max(state.failed_alike.values(), default=0)
        error = event.message.strip().partition("\n")[0]
        return f"{alike} trials failed with the same error and none has succeeded: {error or event.kind}", True
    facts = study.facts(tally, part)
    return f"{describe_condition(part)}{f': {facts}' if facts else ''}", by_failures


def suspended_run(plan: Plan, state: RunState, reason: str, commands: list[Command]) -> tuple[RunState, list[Command]]:
    """Suspends the run. Trials in progress keep their phase, so that a resume continues them.

    If no trial is left, the run finishes.
    """
    to_come = not state.exhausted and state.next_trial < max_trials(plan)
    if not (to_come or state.live or state.paused or state.queued or state.proposing):
        return replace(state, closing_reason=reason), commands
    kept: list[Any] = [command for command in commands if not isinstance(command, (Launch, Continue))]
    return replace(state, suspended=reason), [*kept, Suspend(reason)]


def unsuspended(state: RunState) -> RunState:
    """The state from which a suspended run continues; equal failures are counted from 0."""
    return forget_failures(replace(state, suspended="")) if state.suspended else state

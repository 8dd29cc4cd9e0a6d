"""The one function that decides, and the rules it is made of: one function an event.

Each rule takes the state after `seconds` went forward and gives the next state and its commands.
The last thing each step does is `_fill_slots`: free places are filled, or the experiment is finished.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tunedsl.base.objective import not_in
from tunedsl.kernel.amending import apply_amendment, initial_scheduler_state, is_scheduled, max_trials
from tunedsl.kernel.commands import (
    Command,
    Continue,
    CopyCheckpoint,
    DeleteCheckpoints,
    Finish,
    GiveUp,
    Launch,
    Pause,
    Propose,
    SetResources,
    Stop,
)
from tunedsl.kernel.events import (
    Amended,
    CapacityChanged,
    ClockAdvanced,
    Ended,
    Event,
    Failed,
    ProposalPostponed,
    Proposed,
    Reported,
    RetryRequested,
    Saved,
    SearchExhausted,
    Started,
    StopRequested,
    UserTrialAdded,
    metric_value,
)
from tunedsl.kernel.rerunning import rerun
from tunedsl.kernel.retention import apply_retention, move_reference, skip_checkpoint
from tunedsl.kernel.retry_policy import (
    backoff_seconds,
    count_failure,
    crash_loop_reason,
    grown_resources,
    has_retries_left,
)
from tunedsl.kernel.state import RunState, SavedCheckpoint, TrialState
from tunedsl.kernel.suspending import count_alike, suspended_if_due, unsuspended
from tunedsl.kernel.transitions import Move, next_phase
from tunedsl.plan import Plan
from tunedsl.schedulers.contract import Decision, Exploit, Reason, Report, Resize, check_decision, scheduler_of

StepResult = tuple[RunState, list[Command]]


def initial(plan: Plan) -> RunState:
    """The state before the first event."""
    return RunState(scheduler=initial_scheduler_state(plan, plan.trials))


def step(plan: Plan, state: RunState, event: Event) -> StepResult:
    """What `event` makes of `state`, and what to do about it, by the plan of `plan_after(plan, event)`.

    Raises:
        IllegalMove: when the event cannot happen to its trial in that phase.
    """
    if event.seconds > state.seconds:
        state = replace(state, seconds=event.seconds)
    if state.postponed and isinstance(event, (Reported, Ended, Failed, StopRequested)):
        state = replace(state, postponed=False)
    state, commands = _HANDLERS[type(event)](plan, state, event)
    if not state.closing_reason:
        reason = _exhausted_budget(plan, state)
        if reason:
            state = _close_run(plan, state, reason, commands)
        elif isinstance(event, Failed):
            state, commands = suspended_if_due(plan, state, event, commands)
    return _fill_slots(plan, state, commands)


def _on_capacity_changed(plan: Plan, state: RunState, event: CapacityChanged) -> StepResult:
    state = replace(state, width=event.width, ahead=event.ahead, max_resources=event.max_resources)
    return unsuspended(state), []


def _on_proposed(plan: Plan, state: RunState, event: Proposed) -> StepResult:
    trial = _new_trial(plan, event)
    state = replace(state, proposing=state.proposing - 1, trials=state.trials.set(trial.number, trial))
    if state.closing_reason:
        return _set_phase(state, trial, "stop"), []
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.on_add is not None:
        state = replace(state, scheduler=scheduler.on_add(plan.scheduler, state.scheduler, trial.number, trial.config))
    state = replace(state, live=state.live.set(trial.number, None))
    return state, [Launch(trial.number, trial.attempt)]


def _on_user_trial_added(plan: Plan, state: RunState, event: UserTrialAdded) -> StepResult:
    trial = _new_trial(plan, event)
    state = replace(state, user_trial_count=state.user_trial_count + 1, trials=state.trials.set(trial.number, trial))
    if state.closing_reason or state.finished:
        return _stop_trial(
            state, trial, Reason("closing", {"reason": state.closing_reason or "the experiment is over"})
        )
    scheduler = scheduler_of(plan.scheduler)
    if state.all_proposed and scheduler.on_all_proposed is not None:
        state = replace(state, unscheduled=state.unscheduled.set(trial.number, None))
    elif scheduler.on_add is not None:
        state = replace(state, scheduler=scheduler.on_add(plan.scheduler, state.scheduler, trial.number, trial.config))
    return replace(state, queued=state.queued.set(trial.number, None)), []


def _new_trial(plan: Plan, event: Proposed) -> TrialState:
    objectives = tuple(goal.metric for goal in plan.objectives)
    return TrialState(event.trial, event.config, event.name, unreported=objectives)


def _on_search_exhausted(plan: Plan, state: RunState, event: SearchExhausted) -> StepResult:
    return replace(state, exhausted=True, proposing=0), []


def _on_proposal_postponed(plan: Plan, state: RunState, event: ProposalPostponed) -> StepResult:
    return replace(state, next_trial=state.next_trial - state.proposing, proposing=0, postponed=True), []


def _on_started(plan: Plan, state: RunState, event: Started) -> StepResult:
    return _set_phase(state, state.trials[event.trial], "start"), []


def _on_reported(plan: Plan, state: RunState, event: Reported) -> StepResult:
    trial = state.trials[event.trial]
    trial = replace(
        trial,
        phase=next_phase(trial.number, trial.phase, "report"),
        iteration=event.last,
        keys=event.keys,
        row=event.rows[-1],
        time=event.times[-1] if event.times else trial.time,
    )
    if trial.unreported:
        trial = replace(trial, unreported=not_in(trial.unreported, event.keys))
    commands: list[Command] = []
    if event.saved:
        state, trial, commands = _record_checkpoint(plan, state, trial, event.saved)
    state = replace(
        state,
        trials=state.trials.set(trial.number, trial),
        iterations=state.iterations + len(event.rows),
    )
    if event.ends:
        return _end_trial(plan, state, trial, commands)
    if not event.waits:
        return state, commands
    if not is_scheduled(state, trial):
        return state, [*commands, Continue(trial.number, trial.iteration)]
    scheduler = scheduler_of(plan.scheduler)
    given = scheduler.on_report(plan.scheduler, state.scheduler, _report_for_scheduler(plan, trial))
    policy, decision, note = check_decision(given, state.trials)
    state, decided = _apply_decision(replace(state, scheduler=policy), trial, decision, note)
    return _stop_culled(plan, state, [*commands, *decided])


def _on_saved(plan: Plan, state: RunState, event: Saved) -> StepResult:
    trial = state.trials[event.trial]
    state, trial, commands = _record_checkpoint(plan, state, trial, event.folder)
    return _set_phase(state, trial, "save"), commands


def _on_ended(plan: Plan, state: RunState, event: Ended) -> StepResult:
    return _end_trial(plan, state, state.trials[event.trial], [])


def _on_failed(plan: Plan, state: RunState, event: Failed) -> StepResult:
    trial = count_failure(state.trials[event.trial], event.kind)
    state, trial = skip_checkpoint(state, trial, event.unreadable_checkpoint)
    why = crash_loop_reason(plan.retry, trial, event.kind)
    if has_retries_left(plan.retry, trial, event.kind) and why is None:
        more = grown_resources(plan, state, trial, event)
        commands: list[Command] = [] if more is None else [SetResources(trial.number, more)]
        trial = trial if more is None else replace(trial, resources=more)
        wait = backoff_seconds(plan.retry, trial, event.kind)
        state, launched = _relaunch(_set_phase(state, trial, "retry"), trial, wait=wait)
        return state, [*commands, *launched]
    given_up: list[Command] = [] if why is None else [GiveUp(trial.number, why)]
    state, commands = _stop_culled(
        plan, _remove_from_scheduler(plan, _set_phase(state, trial, "error"), trial), given_up
    )
    state = count_alike(state, event)
    if plan.fail_fast and not state.closing_reason:
        state = _close_run(plan, state, f"trial {trial.number} failed, and fail_fast is set", commands)
    return state, commands


def _on_clock_advanced(plan: Plan, state: RunState, event: ClockAdvanced) -> StepResult:
    return state, []


def _on_stop_requested(plan: Plan, state: RunState, event: StopRequested) -> StepResult:
    commands: list[Command] = []
    if event.trial is None:
        return (state if state.closing_reason else _close_run(plan, state, event.text, commands)), commands
    if not any(event.trial in some for some in (state.live, state.paused, state.queued)):
        return state, commands
    trial = state.trials[event.trial]
    state, commands = _stop_trial(state, trial, Reason("asked", {"text": event.text}))
    return _stop_culled(plan, _remove_from_scheduler(plan, state, trial), commands)


_HANDLERS: dict[type, Callable[[Plan, RunState, Any], StepResult]] = {
    CapacityChanged: _on_capacity_changed,
    Proposed: _on_proposed,
    UserTrialAdded: _on_user_trial_added,
    SearchExhausted: _on_search_exhausted,
    ProposalPostponed: _on_proposal_postponed,
    Started: _on_started,
    Reported: _on_reported,
    Saved: _on_saved,
    Ended: _on_ended,
    Failed: _on_failed,
    ClockAdvanced: _on_clock_advanced,
    StopRequested: _on_stop_requested,
    Amended: apply_amendment,
    RetryRequested: rerun,
}


def _apply_decision(state: RunState, trial: TrialState, decision: Decision, note: Reason | None) -> StepResult:
    """Carries out what the scheduler said of the trial that waits."""
    if decision == "stop":
        return _stop_trial(state, trial, note or Reason("stop", {}))
    if decision == "continue" or not trial.folder:
        return state, [Continue(trial.number, trial.iteration, note)]
    if isinstance(decision, Exploit) and not state.trials[decision.donor].folder:
        return state, [Continue(trial.number, trial.iteration, note)]
    state = _set_phase(state, trial, "pause")
    commands: list[Command] = [Pause(trial.number, trial.attempt, note)]
    if decision == "pause":
        return replace(state, paused=state.paused.set(trial.number, None)), commands
    state, changed = _apply_change(state, trial.number, decision)
    state, launched = _relaunch(state, state.trials[trial.number])
    return state, [*commands, *changed, *launched]


def _apply_change(state: RunState, trial_number: int, decision: Exploit | Resize) -> StepResult:
    """A paused trial with what an exploit or a resize changes of it."""
    trial = state.trials[trial_number]
    if isinstance(decision, Resize):
        trial = replace(trial, resources=decision.resources)
        commands: list[Command] = [SetResources(trial.number, decision.resources)]
    else:
        folder = state.trials[decision.donor].folder
        state = move_reference(state, trial.folder, folder)
        trial = replace(
            trial, config=decision.config, folder=folder, checkpoint=trial.iteration, copied_at=trial.iteration
        )
        commands = [CopyCheckpoint(trial.number, decision.donor, decision.config)]
    return replace(state, trials=state.trials.set(trial.number, trial)), commands


def _relaunch(state: RunState, trial: TrialState, note: Reason | None = None, wait: float = 0.0) -> StepResult:
    """Launches a trial again, from its checkpoint if it has one, when it has waited."""
    due = state.seconds + wait if wait else 0.0
    trial = replace(state.trials[trial.number], attempt=trial.attempt + 1, not_before=due)
    state = replace(state, trials=state.trials.set(trial.number, trial), live=state.live.set(trial.number, None))
    return state, [Launch(trial.number, trial.attempt, trial.iteration, trial.checkpoint, note, wait)]


def _set_phase(state: RunState, trial: TrialState, move: Move) -> RunState:
    """The state with `trial` moved, and the sets and counts of it kept right."""
    phase = next_phase(trial.number, trial.phase, move)
    trials = state.trials.set(trial.number, replace(trial, phase=phase))
    if phase in ("PENDING", "RUNNING") or move == "retry":
        return replace(state, trials=trials)
    live = state.live.delete(trial.number) if trial.number in state.live else state.live
    if phase == "PAUSED":
        return replace(state, trials=trials, live=live)
    state = move_reference(state, trial.folder, "")
    paused = state.paused.delete(trial.number) if trial.number in state.paused else state.paused
    waiting = state.queued.delete(trial.number) if trial.number in state.queued else state.queued
    errored = phase == "ERRORED"
    return replace(
        state,
        trials=trials,
        live=live,
        paused=paused,
        queued=waiting,
        terminated_count=state.terminated_count + (not errored),
        errored_count=state.errored_count + errored,
        succeeded_count=state.succeeded_count + (move == "end" or (move == "stop" and trial.has_value)),
    )


def _record_checkpoint(
    plan: Plan, state: RunState, trial: TrialState, folder: str
) -> tuple[RunState, TrialState, list[Command]]:
    """A trial has a checkpoint of its last iteration, which it would start from; others may have to go."""
    state = move_reference(state, trial.folder, folder)
    kept = (
        *(item for item in trial.checkpoints if item.folder != folder),
        SavedCheckpoint(trial.iteration, folder, _objective_value(plan, trial)),
    )
    trial = replace(trial, checkpoint=trial.iteration, folder=folder, checkpoints=kept)
    trial, gone = apply_retention(plan, state, trial)
    return state, trial, [DeleteCheckpoints(gone)] if gone else []


def _end_trial(plan: Plan, state: RunState, trial: TrialState, commands: list[Command]) -> StepResult:
    """A trial ended by itself; the scheduler hears its last report."""
    state = _set_phase(state, trial, "end")
    if not trial.iteration:
        state = _remove_from_scheduler(plan, state, trial)
    elif is_scheduled(state, trial):
        policy = scheduler_of(plan.scheduler).on_end(
            plan.scheduler, state.scheduler, _report_for_scheduler(plan, trial)
        )
        state = replace(state, scheduler=policy)
    return _stop_culled(plan, state, commands)


def _remove_from_scheduler(plan: Plan, state: RunState, trial: TrialState) -> RunState:
    """A trial is gone without a last report for the scheduler."""
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.on_remove is None or not is_scheduled(state, trial):
        return state
    return replace(state, scheduler=scheduler.on_remove(plan.scheduler, state.scheduler, trial.number))


def _stop_trial(state: RunState, trial: TrialState, note: Reason) -> StepResult:
    return _set_phase(state, trial, "stop"), [Stop(trial.number, trial.attempt, note)]


def _stop_culled(plan: Plan, state: RunState, commands: list[Command]) -> StepResult:
    """Ends the paused trials that the scheduler gives up."""
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.cull is None:
        return state, commands
    policy, culled = scheduler.cull(plan.scheduler, state.scheduler)
    state = replace(state, scheduler=policy)
    for trial, note in culled:
        state, stopped = _stop_trial(state, state.trials[trial], note)
        commands = [*commands, *stopped]
    return state, commands


def _close_run(plan: Plan, state: RunState, reason: str, commands: list[Command]) -> RunState:
    """Stops every trial that has not ended; nothing new is proposed from here on."""
    commands[:] = [command for command in commands if not isinstance(command, (Launch, Continue))]
    for trial in sorted((*state.live, *state.paused, *state.queued)):
        state, stopped = _stop_trial(state, state.trials[trial], Reason("closing", {"reason": reason}))
        commands += stopped
    return replace(state, closing_reason=reason)


def _exhausted_budget(plan: Plan, state: RunState) -> str:
    """Which budget is used up, in words, or nothing."""
    budget = plan.budget
    if budget.seconds is not None and state.seconds >= budget.seconds:
        return f"the budget of {budget.seconds:g} seconds is used up"
    if budget.iterations is not None and state.iterations >= budget.iterations:
        return f"the budget of {budget.iterations} iterations is used up"
    if budget.failures is not None and state.errored_count >= budget.failures:
        return f"the budget of {budget.failures} failed trials is used up"
    return ""


def _fill_slots(plan: Plan, state: RunState, commands: list[Command]) -> StepResult:
    """Fills free places, by paused trials before new ones; or finishes."""
    if not state.width or state.finished or state.suspended:
        return state, commands
    most = max_trials(plan)
    more = not (state.exhausted or state.closing_reason) and state.next_trial < most
    if not more and not state.all_proposed and not state.proposing and not state.closing_reason:
        state, commands = _announce_all_proposed(plan, state, commands)
    free = state.width + state.ahead - len(state.live) - state.proposing
    if free > 0 and state.queued:
        state, commands, free = _launch_queued(state, commands, free)
    if free > 0 and state.paused:
        state, commands, free = _launch_paused(plan, state, commands, free)
    idle = not state.live and not state.proposing
    if more and state.postponed and idle and state.paused:
        state, commands = _stop_stranded(plan, state, commands)
        state, free = replace(state, postponed=False), state.width + state.ahead
    if more and not (state.postponed and idle):
        if free > state.ahead // 2 and not state.postponed:
            count = min(free, most - state.next_trial)
            commands.append(Propose(state.next_trial, count))
            state = replace(state, next_trial=state.next_trial + count, proposing=state.proposing + count)
        return state, commands
    if not idle:
        return state, commands
    state, commands = _stop_stranded(plan, state, commands)
    done = "the searcher has no more configurations" if state.exhausted else "all trials have ended"
    if state.postponed and not state.closing_reason:
        done = "the searcher waits for results, and no trial runs that could bring any"
    commands.append(Finish(state.closing_reason or done))
    return replace(state, finished=True), commands


def _stop_stranded(plan: Plan, state: RunState, commands: list[Command]) -> StepResult:
    """Ends the paused trials that nothing will bring back: no scheduler should leave any, none may wait for ever."""
    for paused in sorted(state.paused):
        if paused in state.paused:  # the scheduler may have culled it meanwhile
            trial = state.trials[paused]
            state, stopped = _stop_trial(state, trial, Reason("left over", {}))
            state, commands = _stop_culled(plan, _remove_from_scheduler(plan, state, trial), [*commands, *stopped])
    return state, commands


def _announce_all_proposed(plan: Plan, state: RunState, commands: list[Command]) -> StepResult:
    """Tells the scheduler, once, that no more trials come."""
    state = replace(state, all_proposed=True)
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.on_all_proposed is None:
        return state, commands
    state = replace(state, scheduler=scheduler.on_all_proposed(plan.scheduler, state.scheduler))
    return _stop_culled(plan, state, commands)


def _launch_queued(state: RunState, commands: list[Command], free: int) -> tuple[RunState, list[Command], int]:
    """Launches those that wait for nothing but a place, as far as there are places."""
    for waiting in sorted(state.queued)[:free]:
        trial = state.trials[waiting]
        state = replace(state, queued=state.queued.delete(waiting))
        if trial.phase == "PAUSED":
            state, launched = _relaunch(state, trial)
        else:
            state = replace(state, live=state.live.set(waiting, None))
            launched = [Launch(waiting, trial.attempt, trial.iteration, trial.checkpoint)]
        commands, free = [*commands, *launched], free - 1
    return state, commands, free


def _launch_paused(
    plan: Plan, state: RunState, commands: list[Command], free: int
) -> tuple[RunState, list[Command], int]:
    """Launches the paused trials that the scheduler chooses, as far as there are places."""
    scheduler = scheduler_of(plan.scheduler)
    while free > 0 and state.paused and scheduler.promote is not None:
        policy, chosen = scheduler.promote(plan.scheduler, state.scheduler)
        state = replace(state, scheduler=policy)
        if chosen is None:
            break
        trial, note, change = (*chosen, None)[:3]
        if trial not in state.paused:
            continue  # it had no checkpoint to pause with, and went on
        state = replace(state, paused=state.paused.delete(trial))
        if change is not None:
            state, changed = _apply_change(state, trial, change)
            commands = [*commands, *changed]
        state, launched = _relaunch(state, state.trials[trial], note)
        commands = [*commands, *launched]
        free -= 1
    return state, commands, free


def _objective_value(plan: Plan, trial: TrialState) -> float:
    """The objective at the last report, its sign set so that larger is better; NaN where it is missing."""
    if not plan.objectives:
        return math.nan
    objective = plan.objectives[0]
    for name, value in zip(trial.keys, trial.row, strict=True):
        if name == objective.metric:
            return objective.sign * metric_value(value)
    return math.nan


def _report_for_scheduler(plan: Plan, trial: TrialState) -> Report:
    """What the scheduler sees of a trial's last report."""
    return Report(trial.number, trial.iteration, _objective_value(plan, trial), trial.time, trial.metrics())

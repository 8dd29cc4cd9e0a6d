"""The function `step`, which makes every decision of a run, with one handler for each kind of event.

A handler receives the state with the event's time and returns the next state and its commands. Each step ends with
`_fill_slots`, which fills free slots or finishes the experiment. The parts that concern one trial are in `trial_steps`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tunedsl.base.objective import not_in
from tunedsl.kernel.amending import exhausted_budget, initial_scheduler_state, is_scheduled, max_trials, tally_after
from tunedsl.kernel.commands import (
    Command,
    Continue,
    Finish,
    GiveUp,
    Launch,
    Pause,
    Propose,
    SetResources,
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
)
from tunedsl.kernel.feasibility import constrained_after
from tunedsl.kernel.reopening import History, apply_amendment
from tunedsl.kernel.rerunning import rerun
from tunedsl.kernel.retention import skip_checkpoint
from tunedsl.kernel.retry_policy import (
    backoff_seconds,
    count_failure,
    crash_loop_reason,
    grown_resources,
    has_retries_left,
)
from tunedsl.kernel.state import EndedBy, RunState, TrialState
from tunedsl.kernel.suspending import count_alike, count_for_study, reason_to_close, suspended_run, unsuspended
from tunedsl.kernel.transitions import next_phase
from tunedsl.kernel.trial_steps import (
    StepResult,
    apply_change,
    end_trial,
    last_report,
    new_trial,
    record_checkpoint,
    relaunch,
    remove_from_scheduler,
    set_phase,
    stop_culled,
    stop_trial,
    with_curve,
)
from tunedsl.plan import Plan
from tunedsl.schedulers.contract import Decision, Exploit, Reason, check_decision, scheduler_of


def initial(plan: Plan) -> RunState:
    """The state before the first event."""
    return RunState(scheduler=initial_scheduler_state(plan, plan.trials), study=tally_after(plan))


def step(plan: Plan, state: RunState, event: Event, history: History | None = None) -> StepResult:
    """The state after an event, and the commands to carry out.

    Args:
        plan: the plan of `plan_after(plan, event)`.
        state: the state before the event.
        event: the event, which is already in the journal.
        history: returns all events before `event`; only needed for `Amended`.

    Raises:
        IllegalMove: if the event cannot happen to its trial in the trial's phase.
    """
    if event.seconds > state.seconds:
        state = replace(state, seconds=event.seconds)
    if state.postponed and _is_news(event):
        state = replace(state, postponed=False)
    if isinstance(event, Amended):
        state, commands = apply_amendment(plan, state, event, history)
    else:
        state, commands = _HANDLERS[type(event)](plan, state, event)
    if state.study is not None:
        state = count_for_study(plan, state, event, commands)
    if not state.closing_reason:
        reason, suspends = exhausted_budget(plan, state), False
        if not reason and (state.study is not None or isinstance(event, Failed)):
            reason, suspends = reason_to_close(plan, state, event)
        if suspends:
            state, commands = suspended_run(plan, state, reason, commands)
        elif reason:
            state = _close_run(plan, state, reason, commands, "budget")
    return _fill_slots(plan, state, commands)


def _is_news(event: Event) -> bool:
    """Whether a searcher that waited for results may propose after this event."""
    if isinstance(event, Failed):
        return event.kind != "preempted"
    return isinstance(event, (Reported, Ended, StopRequested))


def _on_capacity_changed(plan: Plan, state: RunState, event: CapacityChanged) -> StepResult:
    state = replace(state, width=event.width, ahead=event.ahead, max_resources=event.max_resources)
    return unsuspended(state), []


def _on_proposed(plan: Plan, state: RunState, event: Proposed) -> StepResult:
    trial = new_trial(plan, event)
    proposing = state.proposing - 1
    if state.closing_reason:
        return set_phase(replace(state, proposing=proposing), trial, "stop", state.closed_by), []
    trials, live = state.trials.set(trial.number, trial), state.live.set(trial.number, None)
    state = replace(state, proposing=proposing, trials=trials, live=live)
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.on_add is not None:
        state = replace(state, scheduler=scheduler.on_add(plan.scheduler, state.scheduler, trial.number, trial.config))
    return state, [Launch(trial.number, trial.attempt)]


def _on_user_trial_added(plan: Plan, state: RunState, event: UserTrialAdded) -> StepResult:
    trial = new_trial(plan, event)
    state = replace(state, user_trial_count=state.user_trial_count + 1, trials=state.trials.set(trial.number, trial))
    if state.closing_reason or state.finished:
        note = Reason("closing", {"reason": state.closing_reason or "the experiment is over"})
        return stop_trial(state, trial, note, state.closed_by or "user")
    scheduler = scheduler_of(plan.scheduler)
    if state.all_proposed and scheduler.on_all_proposed is not None:
        state = replace(state, unscheduled=state.unscheduled.set(trial.number, None))
    elif scheduler.on_add is not None:
        state = replace(state, scheduler=scheduler.on_add(plan.scheduler, state.scheduler, trial.number, trial.config))
    return replace(state, queued=state.queued.set(trial.number, None)), []


def _on_search_exhausted(plan: Plan, state: RunState, event: SearchExhausted) -> StepResult:
    return replace(state, exhausted=True, proposing=0), []


def _on_proposal_postponed(plan: Plan, state: RunState, event: ProposalPostponed) -> StepResult:
    return replace(state, next_trial=state.next_trial - state.proposing, proposing=0, postponed=True), []


def _on_started(plan: Plan, state: RunState, event: Started) -> StepResult:
    return set_phase(state, state.trials[event.trial], "start"), []


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
    if plan.constraints:
        trial = replace(trial, constrained=constrained_after(plan, trial.constrained, event))
    if trial.unreported:
        trial = replace(trial, unreported=not_in(trial.unreported, event.keys))
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.reads_curves:
        trial = with_curve(plan, trial, event)
    commands: list[Command] = []
    if event.saved:
        state, trial, commands = record_checkpoint(plan, state, trial, event.saved)
    iterations = state.iterations + len(event.rows)
    if event.ends:
        return end_trial(plan, replace(state, iterations=iterations), trial, commands, event.ends)
    trials = state.trials.set(trial.number, trial)
    if not (event.waits and is_scheduled(state, trial)):
        if event.waits:
            commands.append(Continue(trial.number, trial.iteration))
        return replace(state, trials=trials, iterations=iterations), commands
    answer = scheduler.on_report(plan.scheduler, state.scheduler, last_report(plan, trial))
    policy, decision, note = check_decision(answer, trials)
    state = replace(state, scheduler=policy, trials=trials, iterations=iterations)
    state, decided = _apply_decision(state, trial, decision, note)
    return stop_culled(plan, state, [*commands, *decided])


def _on_saved(plan: Plan, state: RunState, event: Saved) -> StepResult:
    trial = state.trials[event.trial]
    state, trial, commands = record_checkpoint(plan, state, trial, event.folder)
    return set_phase(state, trial, "save"), commands


def _on_ended(plan: Plan, state: RunState, event: Ended) -> StepResult:
    return end_trial(plan, state, state.trials[event.trial], [])


def _on_failed(plan: Plan, state: RunState, event: Failed) -> StepResult:
    trial = count_failure(state.trials[event.trial], event.kind)
    saved: list[Command] = []
    if event.saved and event.kind == "preempted":
        state, trial, saved = record_checkpoint(plan, state, trial, event.saved)
    state, trial = skip_checkpoint(state, trial, event.unreadable_checkpoint)
    why = crash_loop_reason(plan.retry, trial, event.kind)
    if has_retries_left(plan.retry, trial, event.kind) and why is None:
        more = grown_resources(plan, state, trial, event)
        commands = saved if more is None else [*saved, SetResources(trial.number, more)]
        trial = trial if more is None else replace(trial, resources=more)
        wait = backoff_seconds(plan.retry, trial, event.kind)
        state, launched = relaunch(set_phase(state, trial, "retry"), trial, wait=wait)
        return state, [*commands, *launched]
    given_up: list[Command] = [] if why is None else [GiveUp(trial.number, why)]
    state, commands = stop_culled(plan, remove_from_scheduler(plan, set_phase(state, trial, "error"), trial), given_up)
    state = count_alike(state, event)
    if plan.fail_fast and not state.closing_reason:
        state = _close_run(plan, state, f"trial {trial.number} failed, and fail_fast is set", commands, "fail_fast")
    return state, commands


def _on_clock_advanced(plan: Plan, state: RunState, event: ClockAdvanced) -> StepResult:
    return state, []


def _on_stop_requested(plan: Plan, state: RunState, event: StopRequested) -> StepResult:
    commands: list[Command] = []
    if event.trial is None:
        return (state if state.closing_reason else _close_run(plan, state, event.text, commands, "user")), commands
    if not any(event.trial in some for some in (state.live, state.paused, state.queued)):
        return state, commands
    trial = state.trials[event.trial]
    state, commands = stop_trial(state, trial, Reason("asked", {"text": event.text}), "user")
    return stop_culled(plan, remove_from_scheduler(plan, state, trial), commands)


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
    RetryRequested: rerun,
}


def _apply_decision(state: RunState, trial: TrialState, decision: Decision, note: Reason | None) -> StepResult:
    """Carries out the scheduler's decision about the trial that waits for it."""
    if decision == "stop":
        return stop_trial(state, trial, note or Reason("stop", {}))
    if decision == "continue" or not trial.folder:
        return state, [Continue(trial.number, trial.iteration, note)]
    if isinstance(decision, Exploit) and not state.trials[decision.donor].folder:
        return state, [Continue(trial.number, trial.iteration, note)]
    state = set_phase(state, trial, "pause")
    commands: list[Command] = [Pause(trial.number, trial.attempt, note)]
    if decision == "pause":
        return replace(state, paused=state.paused.set(trial.number, None)), commands
    state, changed = apply_change(state, trial.number, decision)
    state, launched = relaunch(state, state.trials[trial.number])
    return state, [*commands, *changed, *launched]


def _close_run(plan: Plan, state: RunState, reason: str, commands: list[Command], cause: EndedBy) -> RunState:
    """Stops every trial that has not ended; nothing is proposed after that."""
    commands[:] = [command for command in commands if not isinstance(command, (Launch, Continue))]
    for trial in sorted((*state.live, *state.paused, *state.queued)):
        state, stopped = stop_trial(state, state.trials[trial], Reason("closing", {"reason": reason}), cause)
        commands += stopped
    return replace(state, closing_reason=reason, closed_by=cause)


def _fill_slots(plan: Plan, state: RunState, commands: list[Command]) -> StepResult:
    """Fills free slots, with paused trials before new ones, or finishes the run."""
    if state.finished or state.suspended:
        return state, commands
    more = state.next_trial < max_trials(plan) and not (state.exhausted or state.closing_reason)
    if not state.width and (more or state.queued or state.paused):
        return state, commands  # the remaining trials wait for a slot
    if not more and not state.all_proposed and not state.proposing and not state.closing_reason:
        state, commands = _announce_all_proposed(plan, state, commands)
    free = state.width + state.ahead - len(state.live) - state.proposing
    if free <= 0 and (state.live or state.proposing):
        return state, commands
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
            count = min(free, max_trials(plan) - state.next_trial)
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
    """Stops paused trials that no later event can launch. Schedulers should not leave any."""
    for paused in sorted(state.paused):
        if paused in state.paused:  # the scheduler may have culled it meanwhile
            trial = state.trials[paused]
            state, stopped = stop_trial(state, trial, Reason("left over", {}))
            state, more = stop_culled(plan, remove_from_scheduler(plan, state, trial), stopped)
            commands += more
    return state, commands


def _announce_all_proposed(plan: Plan, state: RunState, commands: list[Command]) -> StepResult:
    """Notifies the scheduler, once, that no more trials will be proposed."""
    state = replace(state, all_proposed=True)
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.on_all_proposed is None:
        return state, commands
    state = replace(state, scheduler=scheduler.on_all_proposed(plan.scheduler, state.scheduler))
    return stop_culled(plan, state, commands)


def _launch_queued(state: RunState, commands: list[Command], free: int) -> tuple[RunState, list[Command], int]:
    """Launches queued trials while slots are free."""
    numbers, queued = state.queued.take(free)
    state = replace(state, queued=queued)
    for number in numbers:
        trial = state.trials[number]
        if trial.phase == "PAUSED":
            state, launched = relaunch(state, trial)
        else:
            state = replace(state, live=state.live.set(number, None))
            launched = [Launch(number, trial.attempt, trial.iteration, trial.checkpoint)]
        commands += launched
        free -= 1
    return state, commands, free


def _launch_paused(
    plan: Plan, state: RunState, commands: list[Command], free: int
) -> tuple[RunState, list[Command], int]:
    """Launches the paused trials that the scheduler promotes, while slots are free."""
    scheduler = scheduler_of(plan.scheduler)
    while free > 0 and state.paused and scheduler.promote is not None:
        policy, chosen = scheduler.promote(plan.scheduler, state.scheduler)
        state = replace(state, scheduler=policy)
        if chosen is None:
            break
        trial, note, change = (*chosen, None)[:3]
        if trial not in state.paused:
            continue  # it had no checkpoint to pause with, and continued
        state = replace(state, paused=state.paused.delete(trial))
        if change is not None:
            state, changed = apply_change(state, trial, change)
            commands += changed
        state, launched = relaunch(state, state.trials[trial], note)
        commands += launched
        free -= 1
    return state, commands, free

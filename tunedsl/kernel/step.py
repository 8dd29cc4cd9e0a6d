"""The one function that decides, and the rules it is made of: one function an event.

Each rule takes the state after `seconds` went forward and gives the next state and its commands.
The last thing each step does is `_fill`: free places are filled, or the experiment is finished.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tunedsl.kernel.amending import amended, first_policy, is_heard, total
from tunedsl.kernel.commands import (
    Adopt,
    Allot,
    Command,
    Continue,
    Discard,
    Finish,
    GiveUp,
    Launch,
    Pause,
    Propose,
    Stop,
)
from tunedsl.kernel.events import (
    Added,
    Amended,
    Ended,
    Event,
    Exhausted,
    Failed,
    Opened,
    Postponed,
    Proposed,
    Reported,
    Saved,
    Started,
    StopAsked,
    Ticked,
    number,
)
from tunedsl.kernel.failing import allowed, counted, delay, grown, poisoned
from tunedsl.kernel.retention import hold, passed_over, retained
from tunedsl.kernel.state import Kept, State, Trial
from tunedsl.kernel.transitions import Move, moved
from tunedsl.plan import Plan
from tunedsl.schedule.contract import Decision, Exploit, Note, Report, Resize, outcome_of, scheduler_of

Step = tuple[State, list[Command]]


def initial(plan: Plan) -> State:
    """The state before the first event."""
    return State(scheduler=first_policy(plan, plan.trials))


def step(plan: Plan, state: State, event: Event) -> Step:
    """What `event` makes of `state`, and what to do about it, by the plan of `plan_after(plan, event)`.

    Raises:
        IllegalMove: when the event cannot happen to its trial in that phase.
    """
    if event.seconds > state.seconds:
        state = replace(state, seconds=event.seconds)
    if state.postponed and isinstance(event, (Reported, Ended, Failed, StopAsked)):
        state = replace(state, postponed=False)
    state, commands = _RULES[type(event)](plan, state, event)
    if not state.closing:
        reason = _spent(plan, state)
        if reason:
            state = _close(plan, state, reason, commands)
    return _fill(plan, state, commands)


def _opened(plan: Plan, state: State, event: Opened) -> Step:
    return replace(state, width=event.width, ahead=event.ahead, most=event.most), []


def _proposed(plan: Plan, state: State, event: Proposed) -> Step:
    trial = Trial(event.trial, event.config, event.name)
    state = replace(state, proposing=state.proposing - 1, trials=state.trials.set(trial.number, trial))
    if state.closing:
        return _move(state, trial, "stop"), []
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.on_add is not None:
        state = replace(state, scheduler=scheduler.on_add(plan.scheduler, state.scheduler, trial.number, trial.config))
    state = replace(state, live=state.live.set(trial.number, None))
    return state, [Launch(trial.number, trial.attempt)]


def _added(plan: Plan, state: State, event: Added) -> Step:
    trial = Trial(event.trial, event.config, event.name)
    state = replace(state, added=state.added + 1, trials=state.trials.set(trial.number, trial))
    if state.closing or state.finished:
        return _stop(state, trial, Note("closing", {"reason": state.closing or "the experiment is over"}))
    scheduler = scheduler_of(plan.scheduler)
    if state.full and scheduler.on_full is not None:
        state = replace(state, own=state.own.set(trial.number, None))
    elif scheduler.on_add is not None:
        state = replace(state, scheduler=scheduler.on_add(plan.scheduler, state.scheduler, trial.number, trial.config))
    return replace(state, waiting=state.waiting.set(trial.number, None)), []


def _exhausted(plan: Plan, state: State, event: Exhausted) -> Step:
    return replace(state, exhausted=True, proposing=0), []


def _postponed(plan: Plan, state: State, event: Postponed) -> Step:
    return replace(state, next_trial=state.next_trial - state.proposing, proposing=0, postponed=True), []


def _started(plan: Plan, state: State, event: Started) -> Step:
    return _move(state, state.trials[event.trial], "start"), []


def _reported(plan: Plan, state: State, event: Reported) -> Step:
    trial = state.trials[event.trial]
    trial = replace(
        trial,
        phase=moved(trial.number, trial.phase, "report"),
        iteration=event.last,
        keys=event.keys,
        row=event.rows[-1],
        time=event.times[-1] if event.times else trial.time,
    )
    commands: list[Command] = []
    if event.saved:
        state, trial, commands = _keep(plan, state, trial, event.saved)
    state = replace(
        state,
        trials=state.trials.set(trial.number, trial),
        iterations=state.iterations + len(event.rows),
    )
    if event.ends:
        return _end(plan, state, trial, commands)
    if not event.waits:
        return state, commands
    if not is_heard(state, trial):
        return state, [*commands, Continue(trial.number, trial.iteration)]
    scheduler = scheduler_of(plan.scheduler)
    given = scheduler.on_report(plan.scheduler, state.scheduler, _report(plan, trial))
    policy, decision, note = outcome_of(given, state.trials)
    state, decided = _decided(replace(state, scheduler=policy), trial, decision, note)
    return _cull(plan, state, [*commands, *decided])


def _saved(plan: Plan, state: State, event: Saved) -> Step:
    trial = state.trials[event.trial]
    state, trial, commands = _keep(plan, state, trial, event.folder)
    return _move(state, trial, "save"), commands


def _ended(plan: Plan, state: State, event: Ended) -> Step:
    return _end(plan, state, state.trials[event.trial], [])


def _failed(plan: Plan, state: State, event: Failed) -> Step:
    trial = counted(state.trials[event.trial], event.kind)
    why = poisoned(plan.retry, trial, event.kind)
    if allowed(plan.retry, trial, event.kind) and why is None:
        more = grown(plan, state, trial, event)
        commands: list[Command] = [] if more is None else [Allot(trial.number, more)]
        trial = trial if more is None else replace(trial, resources=more)
        state, trial = passed_over(state, trial, event.unread)
        wait = delay(plan.retry, trial, event.kind)
        state, launched = _relaunch(_move(state, trial, "retry"), trial, wait=wait)
        return state, [*commands, *launched]
    given_up: list[Command] = [] if why is None else [GiveUp(trial.number, why)]
    state, commands = _cull(plan, _leave(plan, _move(state, trial, "error"), trial), given_up)
    if plan.fail_fast and not state.closing:
        state = _close(plan, state, f"trial {trial.number} failed, and fail_fast is set", commands)
    return state, commands


def _ticked(plan: Plan, state: State, event: Ticked) -> Step:
    return state, []


def _amended(plan: Plan, state: State, event: Amended) -> Step:
    return amended(plan, state, event), []


def _stop_asked(plan: Plan, state: State, event: StopAsked) -> Step:
    commands: list[Command] = []
    if event.trial is None:
        return (state if state.closing else _close(plan, state, event.text, commands)), commands
    if not any(event.trial in some for some in (state.live, state.paused, state.waiting)):
        return state, commands
    trial = state.trials[event.trial]
    state, commands = _stop(state, trial, Note("asked", {"text": event.text}))
    return _cull(plan, _leave(plan, state, trial), commands)


_RULES: dict[type, Callable[[Plan, State, Any], Step]] = {
    Opened: _opened,
    Proposed: _proposed,
    Added: _added,
    Exhausted: _exhausted,
    Postponed: _postponed,
    Started: _started,
    Reported: _reported,
    Saved: _saved,
    Ended: _ended,
    Failed: _failed,
    Ticked: _ticked,
    StopAsked: _stop_asked,
    Amended: _amended,
}


def _decided(state: State, trial: Trial, decision: Decision, note: Note | None) -> Step:
    """Carries out what the scheduler said of the trial that waits."""
    if decision == "stop":
        return _stop(state, trial, note or Note("stop", {}))
    if decision == "continue" or not trial.folder:
        return state, [Continue(trial.number, trial.iteration, note)]
    if isinstance(decision, Exploit) and not state.trials[decision.donor].folder:
        return state, [Continue(trial.number, trial.iteration, note)]
    state = _move(state, trial, "pause")
    commands: list[Command] = [Pause(trial.number, trial.attempt, note)]
    if decision == "pause":
        return replace(state, paused=state.paused.set(trial.number, None)), commands
    state, changed = _changed(state, trial.number, decision)
    state, launched = _relaunch(state, state.trials[trial.number])
    return state, [*commands, *changed, *launched]


def _changed(state: State, trial_number: int, decision: Exploit | Resize) -> Step:
    """A paused trial with what an exploit or a resize changes of it."""
    trial = state.trials[trial_number]
    if isinstance(decision, Resize):
        trial = replace(trial, resources=decision.resources)
        commands: list[Command] = [Allot(trial.number, decision.resources)]
    else:
        folder = state.trials[decision.donor].folder
        state = hold(state, trial.folder, folder)
        trial = replace(
            trial, config=decision.config, folder=folder, checkpoint=trial.iteration, adopted=trial.iteration
        )
        commands = [Adopt(trial.number, decision.donor, decision.config)]
    return replace(state, trials=state.trials.set(trial.number, trial)), commands


def _relaunch(state: State, trial: Trial, note: Note | None = None, wait: float = 0.0) -> Step:
    """Launches a trial again, from its checkpoint if it has one, when it has waited."""
    due = state.seconds + wait if wait else 0.0
    trial = replace(state.trials[trial.number], attempt=trial.attempt + 1, due=due)
    state = replace(state, trials=state.trials.set(trial.number, trial), live=state.live.set(trial.number, None))
    return state, [Launch(trial.number, trial.attempt, trial.iteration, trial.checkpoint, note, wait)]


def _move(state: State, trial: Trial, move: Move) -> State:
    """The state with `trial` moved, and the sets and counts of it kept right."""
    phase = moved(trial.number, trial.phase, move)
    trials = state.trials.set(trial.number, replace(trial, phase=phase))
    if phase in ("PENDING", "RUNNING") or move == "retry":
        return replace(state, trials=trials)
    live = state.live.delete(trial.number) if trial.number in state.live else state.live
    if phase == "PAUSED":
        return replace(state, trials=trials, live=live)
    state = hold(state, trial.folder, "")
    paused = state.paused.delete(trial.number) if trial.number in state.paused else state.paused
    waiting = state.waiting.delete(trial.number) if trial.number in state.waiting else state.waiting
    errored = phase == "ERRORED"
    return replace(
        state,
        trials=trials,
        live=live,
        paused=paused,
        waiting=waiting,
        ended=state.ended + (not errored),
        errored=state.errored + errored,
    )


def _keep(plan: Plan, state: State, trial: Trial, folder: str) -> tuple[State, Trial, list[Command]]:
    """A trial has a checkpoint of its last iteration, which it would start from; others may have to go."""
    state = hold(state, trial.folder, folder)
    kept = (*(item for item in trial.kept if item.folder != folder), Kept(trial.iteration, folder, _value(plan, trial)))
    trial = replace(trial, checkpoint=trial.iteration, folder=folder, kept=kept)
    trial, gone = retained(plan, state, trial)
    return state, trial, [Discard(gone)] if gone else []


def _end(plan: Plan, state: State, trial: Trial, commands: list[Command]) -> Step:
    """A trial ended by itself; the scheduler hears its last report."""
    state = _move(state, trial, "end")
    if not trial.iteration:
        state = _leave(plan, state, trial)
    elif is_heard(state, trial):
        policy = scheduler_of(plan.scheduler).on_end(plan.scheduler, state.scheduler, _report(plan, trial))
        state = replace(state, scheduler=policy)
    return _cull(plan, state, commands)


def _leave(plan: Plan, state: State, trial: Trial) -> State:
    """A trial is gone without a last report for the scheduler."""
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.on_leave is None or not is_heard(state, trial):
        return state
    return replace(state, scheduler=scheduler.on_leave(plan.scheduler, state.scheduler, trial.number))


def _stop(state: State, trial: Trial, note: Note) -> Step:
    return _move(state, trial, "stop"), [Stop(trial.number, trial.attempt, note)]


def _cull(plan: Plan, state: State, commands: list[Command]) -> Step:
    """Ends the paused trials that the scheduler gives up."""
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.cull is None:
        return state, commands
    policy, culled = scheduler.cull(plan.scheduler, state.scheduler)
    state = replace(state, scheduler=policy)
    for trial, note in culled:
        state, stopped = _stop(state, state.trials[trial], note)
        commands = [*commands, *stopped]
    return state, commands


def _close(plan: Plan, state: State, reason: str, commands: list[Command]) -> State:
    """Stops every trial that has not ended; nothing new is proposed from here on."""
    commands[:] = [command for command in commands if not isinstance(command, (Launch, Continue))]
    for trial in sorted((*state.live, *state.paused, *state.waiting)):
        state, stopped = _stop(state, state.trials[trial], Note("closing", {"reason": reason}))
        commands += stopped
    return replace(state, closing=reason)


def _spent(plan: Plan, state: State) -> str:
    """Which budget is used up, in words, or nothing."""
    budget = plan.budget
    if budget.seconds is not None and state.seconds >= budget.seconds:
        return f"the budget of {budget.seconds:g} seconds is used up"
    if budget.iterations is not None and state.iterations >= budget.iterations:
        return f"the budget of {budget.iterations} iterations is used up"
    if budget.failures is not None and state.errored >= budget.failures:
        return f"the budget of {budget.failures} failed trials is used up"
    return ""


def _fill(plan: Plan, state: State, commands: list[Command]) -> Step:
    """Fills free places, by paused trials before new ones; or finishes."""
    if not state.width or state.finished:
        return state, commands
    most = total(plan)
    more = not (state.exhausted or state.closing) and state.next_trial < most
    if not more and not state.full and not state.proposing and not state.closing:
        state, commands = _full(plan, state, commands)
    free = state.width + state.ahead - len(state.live) - state.proposing
    if free > 0 and state.waiting:
        state, commands, free = _bring_in(state, commands, free)
    if free > 0 and state.paused:
        state, commands, free = _promote(plan, state, commands, free)
    idle = not state.live and not state.proposing
    if more and state.postponed and idle and state.paused:
        state, commands = _let_go(plan, state, commands)
        state, free = replace(state, postponed=False), state.width + state.ahead
    if more and not (state.postponed and idle):
        if free > state.ahead // 2 and not state.postponed:
            count = min(free, most - state.next_trial)
            commands.append(Propose(state.next_trial, count))
            state = replace(state, next_trial=state.next_trial + count, proposing=state.proposing + count)
        return state, commands
    if not idle:
        return state, commands
    state, commands = _let_go(plan, state, commands)
    done = "the searcher has no more configurations" if state.exhausted else "all trials have ended"
    if state.postponed and not state.closing:
        done = "the searcher waits for results, and no trial runs that could bring any"
    commands.append(Finish(state.closing or done))
    return replace(state, finished=True), commands


def _let_go(plan: Plan, state: State, commands: list[Command]) -> Step:
    """Ends the paused trials that nothing will bring back: no scheduler should leave any, none may wait for ever."""
    for paused in sorted(state.paused):
        if paused in state.paused:  # the scheduler may have culled it meanwhile
            trial = state.trials[paused]
            state, stopped = _stop(state, trial, Note("left over", {}))
            state, commands = _cull(plan, _leave(plan, state, trial), [*commands, *stopped])
    return state, commands


def _full(plan: Plan, state: State, commands: list[Command]) -> Step:
    """Tells the scheduler, once, that no more trials come."""
    state = replace(state, full=True)
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.on_full is None:
        return state, commands
    state = replace(state, scheduler=scheduler.on_full(plan.scheduler, state.scheduler))
    return _cull(plan, state, commands)


def _bring_in(state: State, commands: list[Command], free: int) -> tuple[State, list[Command], int]:
    """Launches those that wait for nothing but a place, as far as there are places."""
    for waiting in sorted(state.waiting)[:free]:
        trial = state.trials[waiting]
        state = replace(state, waiting=state.waiting.delete(waiting))
        if trial.phase == "PAUSED":
            state, launched = _relaunch(state, trial)
        else:
            state, launched = replace(state, live=state.live.set(waiting, None)), [Launch(waiting, trial.attempt)]
        commands, free = [*commands, *launched], free - 1
    return state, commands, free


def _promote(plan: Plan, state: State, commands: list[Command], free: int) -> tuple[State, list[Command], int]:
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
            state, changed = _changed(state, trial, change)
            commands = [*commands, *changed]
        state, launched = _relaunch(state, state.trials[trial], note)
        commands = [*commands, *launched]
        free -= 1
    return state, commands, free


def _value(plan: Plan, trial: Trial) -> float:
    """The objective at the last report, its sign set so that larger is better; NaN where it is missing."""
    if not plan.objectives:
        return math.nan
    objective = plan.objectives[0]
    for name, value in zip(trial.keys, trial.row, strict=True):
        if name == objective.metric:
            return objective.sign * number(value)
    return math.nan


def _report(plan: Plan, trial: Trial) -> Report:
    """What the scheduler sees of a trial's last report."""
    return Report(trial.number, trial.iteration, _value(plan, trial), trial.time, trial.metrics())

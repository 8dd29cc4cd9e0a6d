"""The one function that decides, and the rules it is made of: one function an event.

Each rule takes the state after `seconds` went forward and gives the next state and its commands.
The last thing each step does is `_fill`: free places are filled, or the experiment is finished.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tunedsl.base.keys import key
from tunedsl.base.vocabulary import FAILURE_KINDS
from tunedsl.kernel.commands import Command, Continue, Finish, Launch, Propose, Stop
from tunedsl.kernel.events import (
    Ended,
    Event,
    Exhausted,
    Failed,
    Opened,
    Proposed,
    Reported,
    Saved,
    Started,
    StopAsked,
    Ticked,
    number,
)
from tunedsl.kernel.state import State, Trial
from tunedsl.kernel.transitions import Move, moved
from tunedsl.plan import Plan
from tunedsl.schedule.contract import Note, Report, Setting, scheduler_of

Step = tuple[State, list[Command]]


def initial(plan: Plan) -> State:
    """The state before the first event."""
    setting = Setting(
        key=key(plan.seed, "scheduler"),
        trials=plan.trials,
        objective=plan.objectives[0] if plan.objectives else None,
    )
    return State(scheduler=scheduler_of(plan.scheduler).init(plan.scheduler, setting))


def step(plan: Plan, state: State, event: Event) -> Step:
    """What `event` makes of `state`, and what to do about it.

    Raises:
        IllegalMove: when the event cannot happen to its trial in that phase.
    """
    if event.seconds > state.seconds:
        state = replace(state, seconds=event.seconds)
    state, commands = _RULES[type(event)](plan, state, event)
    if not state.closing:
        reason = _spent(plan, state)
        if reason:
            state = _close(state, reason, commands)
    return _fill(plan, state, commands)


def _opened(plan: Plan, state: State, event: Opened) -> Step:
    return replace(state, width=event.width, ahead=event.ahead), []


def _proposed(plan: Plan, state: State, event: Proposed) -> Step:
    trial = Trial(event.trial, event.config, event.name)
    state = replace(state, proposing=state.proposing - 1, trials=state.trials.set(trial.number, trial))
    if state.closing:
        return _move(state, trial, "stop"), []
    state = replace(state, live=state.live.set(trial.number, None))
    return state, [Launch(trial.number, trial.attempt)]


def _exhausted(plan: Plan, state: State, event: Exhausted) -> Step:
    return replace(state, exhausted=True, proposing=0), []


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
    state = replace(
        state,
        trials=state.trials.set(trial.number, trial),
        iterations=state.iterations + len(event.rows),
    )
    if event.ends:
        return _end(plan, state, trial), []
    if not event.waits:
        return state, []
    scheduler = scheduler_of(plan.scheduler)
    policy, decision, note = scheduler.on_report(plan.scheduler, state.scheduler, _report(plan, trial))
    state = replace(state, scheduler=policy)
    if decision == "stop":
        return _stop(state, trial, note or Note(scheduler.name, {}))
    return state, [Continue(trial.number, trial.iteration, note)]


def _saved(plan: Plan, state: State, event: Saved) -> Step:
    trial = replace(state.trials[event.trial], checkpoint=event.iteration)
    return _move(state, trial, "save"), []


def _ended(plan: Plan, state: State, event: Ended) -> Step:
    return _end(plan, state, state.trials[event.trial]), []


def _failed(plan: Plan, state: State, event: Failed) -> Step:
    trial = state.trials[event.trial]
    place = FAILURE_KINDS.index(event.kind)
    count = trial.failures[place] + 1
    failures = (*trial.failures[:place], count, *trial.failures[place + 1 :])
    limit: int = getattr(plan.retry, event.kind)
    if limit >= 0 and count > limit:
        state = _move(state, replace(trial, failures=failures), "error")
        reason = f"trial {trial.number} failed, and fail_fast is set" if plan.fail_fast else ""
        commands: list[Command] = []
        return (_close(state, reason, commands) if reason and not state.closing else state), commands
    trial = replace(trial, failures=failures, attempt=trial.attempt + 1)
    launch = Launch(trial.number, trial.attempt, trial.iteration, trial.checkpoint)
    return _move(state, trial, "retry"), [launch]


def _ticked(plan: Plan, state: State, event: Ticked) -> Step:
    return state, []


def _stop_asked(plan: Plan, state: State, event: StopAsked) -> Step:
    commands: list[Command] = []
    if event.trial is None:
        return (state if state.closing else _close(state, event.text, commands)), commands
    if event.trial not in state.live:
        return state, commands
    return _stop(state, state.trials[event.trial], Note("asked", {"text": event.text}))


_RULES: dict[type, Callable[[Plan, State, Any], Step]] = {
    Opened: _opened,
    Proposed: _proposed,
    Exhausted: _exhausted,
    Started: _started,
    Reported: _reported,
    Saved: _saved,
    Ended: _ended,
    Failed: _failed,
    Ticked: _ticked,
    StopAsked: _stop_asked,
}


def _move(state: State, trial: Trial, move: Move) -> State:
    """The state with `trial` moved, and the counts of the live and the ended kept right."""
    phase = moved(trial.number, trial.phase, move)
    trials = state.trials.set(trial.number, replace(trial, phase=phase))
    if phase not in ("TERMINATED", "ERRORED"):
        return replace(state, trials=trials)
    live = state.live.delete(trial.number) if trial.number in state.live else state.live
    errored = phase == "ERRORED"
    return replace(state, trials=trials, live=live, ended=state.ended + (not errored), errored=state.errored + errored)


def _end(plan: Plan, state: State, trial: Trial) -> State:
    """The state after a trial's own end, which the scheduler hears of if it ever reported."""
    if trial.iteration:
        policy = scheduler_of(plan.scheduler).on_end(plan.scheduler, state.scheduler, _report(plan, trial))
        state = replace(state, scheduler=policy)
    return _move(state, trial, "end")


def _stop(state: State, trial: Trial, note: Note) -> Step:
    return _move(state, trial, "stop"), [Stop(trial.number, note)]


def _close(state: State, reason: str, commands: list[Command]) -> State:
    """Stops every live trial; nothing new is proposed from here on."""
    commands[:] = [command for command in commands if not isinstance(command, (Launch, Continue))]
    for live in sorted(state.live):
        state, stopped = _stop(state, state.trials[live], Note("closing", {"reason": reason}))
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
    """Asks for as many proposals as there are free places, or finishes."""
    total = plan.trials if plan.budget.trials is None else min(plan.trials, plan.budget.trials)
    if not state.exhausted and not state.closing and state.next_trial < total:
        free = state.width + state.ahead - len(state.live) - state.proposing
        count = min(free, total - state.next_trial)
        if count > 0:
            commands.append(Propose(state.next_trial, count))
            state = replace(state, next_trial=state.next_trial + count, proposing=state.proposing + count)
        return state, commands
    if state.width and not state.live and not state.proposing and not state.finished:
        done = "the searcher has no more configurations" if state.exhausted else "all trials have ended"
        commands.append(Finish(state.closing or done))
        state = replace(state, finished=True)
    return state, commands


def _report(plan: Plan, trial: Trial) -> Report:
    """What the scheduler sees of a trial's last report."""
    metrics = trial.metrics()
    value = math.nan
    if plan.objectives:
        objective = plan.objectives[0]
        value = objective.sign * number(metrics.get(objective.metric))
    return Report(trial.number, trial.iteration, value, trial.time, metrics)

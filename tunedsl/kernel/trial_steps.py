"""What happens to one trial: phases, launches, checkpoints, and its part in the scheduler's state.

Which trial it happens to is decided in `step`.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from tunedsl.kernel.amending import is_scheduled
from tunedsl.kernel.commands import Command, CopyCheckpoint, DeleteCheckpoints, Launch, SetResources, Stop
from tunedsl.kernel.events import Number, Proposed, Reported, row_to_metrics
from tunedsl.kernel.feasibility import signed_value
from tunedsl.kernel.retention import apply_retention, move_reference
from tunedsl.kernel.state import EndedBy, RunState, SavedCheckpoint, TrialState
from tunedsl.kernel.transitions import Move, next_phase
from tunedsl.plan import Plan
from tunedsl.schedulers.contract import Exploit, Reason, Report, Resize, ignore_end, scheduler_of

StepResult = tuple[RunState, list[Command]]


def new_trial(plan: Plan, event: Proposed) -> TrialState:
    objectives = tuple(goal.metric for goal in plan.objectives)
    return TrialState(event.trial, event.config, event.name, unreported=objectives)


def apply_change(state: RunState, trial_number: int, decision: Exploit | Resize) -> StepResult:
    """Applies an exploit or a resize to a paused trial."""
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


def relaunch(state: RunState, trial: TrialState, note: Reason | None = None, wait: float = 0.0) -> StepResult:
    """Launches a trial again, from its checkpoint if it has one, after `wait` seconds."""
    due = state.seconds + wait if wait else 0.0
    trial = replace(state.trials[trial.number], attempt=trial.attempt + 1, not_before=due)
    state = replace(state, trials=state.trials.set(trial.number, trial), live=state.live.set(trial.number, None))
    return state, [Launch(trial.number, trial.attempt, trial.iteration, trial.checkpoint, note, wait)]


def set_phase(state: RunState, trial: TrialState, move: Move, ended_by: EndedBy = "") -> RunState:
    """The state after a move of a trial, with its sets and counts updated."""
    number = trial.number
    phase = next_phase(number, trial.phase, move)
    trials = state.trials.set(number, replace(trial, phase=phase, ended_by=ended_by))
    if phase in ("PENDING", "RUNNING") or move == "retry":
        return replace(state, trials=trials)
    live = state.live
    if number in live:
        live = live.delete(number)
    elif number in state.paused:
        state = replace(state, paused=state.paused.delete(number))
    elif number in state.queued:
        state = replace(state, queued=state.queued.delete(number))
    if phase == "PAUSED":
        return replace(state, trials=trials, live=live)
    state = move_reference(state, trial.folder, "")
    if phase == "ERRORED":
        return replace(state, trials=trials, live=live, errored_count=state.errored_count + 1)
    succeeded = state.succeeded_count + (move == "end" or trial.has_value)
    terminated = state.terminated_count + 1
    return replace(state, trials=trials, live=live, terminated_count=terminated, succeeded_count=succeeded)


def record_checkpoint(
    plan: Plan, state: RunState, trial: TrialState, folder: str
) -> tuple[RunState, TrialState, list[Command]]:
    """Records the checkpoint of a trial's last iteration, and deletes those that the policy does not keep."""
    state = move_reference(state, trial.folder, folder)
    saved = (
        *(item for item in trial.checkpoints if item.folder != folder),
        SavedCheckpoint(trial.iteration, folder, objective_value(plan, trial)),
    )
    trial = replace(trial, checkpoint=trial.iteration, folder=folder, checkpoints=saved)
    trial, deleted = apply_retention(plan, state, trial)
    return state, trial, [DeleteCheckpoints(deleted)] if deleted else []


def end_trial(
    plan: Plan, state: RunState, trial: TrialState, commands: list[Command], ended_by: EndedBy = "returned"
) -> StepResult:
    """Ends a trial whose code ended; the scheduler receives its last report."""
    state = set_phase(state, trial, "end", ended_by)
    if not trial.iteration:
        state = remove_from_scheduler(plan, state, trial)
    elif (on_end := scheduler_of(plan.scheduler).on_end) is not ignore_end and is_scheduled(state, trial):
        policy = on_end(plan.scheduler, state.scheduler, last_report(plan, trial))
        state = replace(state, scheduler=policy)
    return stop_culled(plan, state, commands)


def remove_from_scheduler(plan: Plan, state: RunState, trial: TrialState) -> RunState:
    """Removes a trial that has no last report from the scheduler's state."""
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.on_remove is None or not is_scheduled(state, trial):
        return state
    return replace(state, scheduler=scheduler.on_remove(plan.scheduler, state.scheduler, trial.number))


def stop_trial(state: RunState, trial: TrialState, note: Reason, ended_by: EndedBy = "scheduler") -> StepResult:
    return set_phase(state, trial, "stop", ended_by), [Stop(trial.number, trial.attempt, note)]


def stop_culled(plan: Plan, state: RunState, commands: list[Command]) -> StepResult:
    """Stops the paused trials that the scheduler culls."""
    scheduler = scheduler_of(plan.scheduler)
    if scheduler.cull is None:
        return state, commands
    policy, culled = scheduler.cull(plan.scheduler, state.scheduler)
    state, stops = replace(state, scheduler=policy), list[Command]()
    for trial, note in culled:
        state, stopped = stop_trial(state, state.trials[trial], note)
        stops += stopped
    return state, [*commands, *stops]


def objective_value(plan: Plan, trial: TrialState) -> float:
    """The first objective at the last report, as schedulers compare it; NaN if it was not reported."""
    if not plan.objectives:
        return math.nan
    return signed_value(plan, plan.objectives[0], trial.keys, trial.row, trial.constrained)


def last_report(plan: Plan, trial: TrialState) -> Report:
    """A trial's last report in the form that schedulers receive."""
    report = report_for_scheduler(
        plan, trial.number, trial.iteration, trial.keys, trial.row, trial.time, trial.constrained
    )
    return replace(report, curve=trial.curve) if trial.curve else report


def with_curve(plan: Plan, trial: TrialState, event: Reported) -> TrialState:
    """The trial with the objectives of new iterations; those that it repeats after a failure replace the old ones."""
    missing = (math.nan,) * len(plan.objectives)
    known = trial.curve[: event.first - 1]
    known += (missing,) * (event.first - 1 - len(known))

    def signed(row: tuple[Number, ...]) -> tuple[float, ...]:
        return tuple(signed_value(plan, goal, event.keys, row, trial.constrained) for goal in plan.objectives)

    return replace(trial, curve=(*known, *map(signed, event.rows)))


def report_for_scheduler(
    plan: Plan,
    trial: int,
    iteration: int,
    keys: tuple[str, ...],
    row: tuple[Number, ...],
    time: float,
    constrained: tuple[float, ...],
) -> Report:
    """One report of a trial in the form that schedulers receive."""
    values = tuple(signed_value(plan, goal, keys, row, constrained) for goal in plan.objectives)
    several = values if len(values) > 1 else ()
    return Report(trial, iteration, values[0] if values else math.nan, time, row_to_metrics(keys, row), several)

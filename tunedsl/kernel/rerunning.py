"""Runs failed trials again: where they start, and whether the scheduler decides about them."""

from __future__ import annotations

from msgspec.structs import replace

from tunedsl.base.types import FAILURE_KINDS
from tunedsl.kernel.amending import initial_scheduler_state, reopened
from tunedsl.kernel.commands import Command
from tunedsl.kernel.events import RetryRequested
from tunedsl.kernel.retention import move_reference
from tunedsl.kernel.state import RunState, TrialState
from tunedsl.kernel.transitions import Move, next_phase
from tunedsl.plan import Plan
from tunedsl.schedulers.contract import scheduler_of


def rerun(plan: Plan, state: RunState, event: RetryRequested) -> tuple[RunState, list[Command]]:
    """The state in which failed trials are queued, with all their retries; it has no slots yet.

    A scheduler that was notified that all trials were proposed starts from its first state if no other trial is under
    way. Otherwise these trials run to their stop rule without the scheduler.
    """
    saved = {item.folder for trial in state.trials.values() for item in trial.checkpoints}.difference(event.missing)
    for number in event.trials:
        trial = replace(reset_trial(state.trials[number], "rerun", saved), failures=(0,) * len(FAILURE_KINDS))
        state = move_reference(state, "", trial.folder)
        state = replace(state, trials=state.trials.set(number, trial), errored_count=state.errored_count - 1)
    state = _add_to_scheduler(plan, state, event.trials)
    return reopened(plan, replace(state, queued=state.queued.update(dict.fromkeys(event.trials)))), []


def reset_trial(trial: TrialState, move: Move, saved: set[str]) -> TrialState:
    """An ended trial for its next launch: from its newest existing checkpoint, else from the start."""
    phase = next_phase(trial.number, trial.phase, move)
    return replace(
        with_checkpoints(trial, saved),
        phase=phase,
        attempt=trial.attempt + 1,
        consecutive_losses=0,
        lost_at=-1,
        not_before=0.0,
        ended_by="",
    )


def with_checkpoints(trial: TrialState, saved: set[str]) -> TrialState:
    """The trial with those of its checkpoints that exist; its next launch starts from the newest one."""
    folder, checkpoint = trial.folder, trial.checkpoint
    kept = tuple(item for item in trial.checkpoints if item.folder in saved)
    if folder not in saved:  # a donor's checkpoint that was deleted or is missing
        newest = next((item for item in reversed(kept) if item.iteration > trial.copied_at), None)
        folder, checkpoint = ("", 0) if newest is None else (newest.folder, newest.iteration)
    return replace(trial, folder=folder, checkpoint=checkpoint, checkpoints=kept)


def _add_to_scheduler(plan: Plan, state: RunState, trials: tuple[int, ...]) -> RunState:
    """The state in which the scheduler has trials again that were removed from it."""
    scheduler = scheduler_of(plan.scheduler)
    notified = state.all_proposed and scheduler.on_all_proposed is not None
    if notified and (state.live or state.paused or state.queued):
        return replace(state, unscheduled=state.unscheduled.update(dict.fromkeys(trials)))
    if notified:
        state = replace(state, scheduler=initial_scheduler_state(plan, len(trials)), all_proposed=False)
    unscheduled = state.unscheduled.mutate()
    for number in trials:
        unscheduled.pop(number, None)
        if scheduler.on_add is not None:
            config = state.trials[number].config
            state = replace(state, scheduler=scheduler.on_add(plan.scheduler, state.scheduler, number, config))
    return replace(state, unscheduled=unscheduled.finish())

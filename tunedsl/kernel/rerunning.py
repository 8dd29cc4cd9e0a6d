"""What it means to run failed trials again: where they start, and whether the scheduler decides about them."""

from __future__ import annotations

from msgspec.structs import replace

from tunedsl.base.types import FAILURE_KINDS
from tunedsl.kernel.amending import initial_scheduler_state, reopened
from tunedsl.kernel.commands import Command
from tunedsl.kernel.events import RetryRequested
from tunedsl.kernel.retention import move_reference
from tunedsl.kernel.state import RunState, TrialState
from tunedsl.kernel.transitions import next_phase
from tunedsl.plan import Plan
from tunedsl.schedulers.contract import scheduler_of


def rerun(plan: Plan, state: RunState, event: RetryRequested) -> tuple[RunState, list[Command]]:
    """The state in which failed trials wait for a place, with all their retries; it has no places yet.

    A scheduler that was told that no more trials come begins anew with these, where no others are under way; where
    some are, these run to their stop rule.
    """
    saved = {item.folder for trial in state.trials.values() for item in trial.checkpoints}.difference(event.missing)
    for number in event.trials:
        trial = _renewed(state.trials[number], saved)
        state = move_reference(state, "", trial.folder)
        state = replace(state, trials=state.trials.set(number, trial), errored_count=state.errored_count - 1)
    state = _enlisted(plan, state, event.trials)
    return reopened(plan, replace(state, queued=state.queued.update(dict.fromkeys(event.trials)))), []


def _renewed(trial: TrialState, saved: set[str]) -> TrialState:
    """A failed trial as it is launched next: from its newest checkpoint that is there, else from the start."""
    phase = next_phase(trial.number, trial.phase, "rerun")
    folder, checkpoint = trial.folder, trial.checkpoint
    kept = tuple(item for item in trial.checkpoints if item.folder in saved)
    if folder not in saved:  # it was a donor's that has been removed since, or is missing
        newest = next((item for item in reversed(kept) if item.iteration > trial.copied_at), None)
        folder, checkpoint = ("", 0) if newest is None else (newest.folder, newest.iteration)
    return replace(
        trial,
        phase=phase,
        attempt=trial.attempt + 1,
        folder=folder,
        checkpoint=checkpoint,
        checkpoints=kept,
        failures=(0,) * len(FAILURE_KINDS),
        consecutive_losses=0,
        lost_at=-1,
        not_before=0.0,
    )


def _enlisted(plan: Plan, state: RunState, trials: tuple[int, ...]) -> RunState:
    """The state in which the scheduler knows of trials that it was told had left."""
    scheduler = scheduler_of(plan.scheduler)
    told = state.all_proposed and scheduler.on_all_proposed is not None
    if told and (state.live or state.paused or state.queued):
        return replace(state, unscheduled=state.unscheduled.update(dict.fromkeys(trials)))
    if told:
        state = replace(state, scheduler=initial_scheduler_state(plan, len(trials)), all_proposed=False)
    own = state.unscheduled.mutate()
    for number in trials:
        own.pop(number, None)
        if scheduler.on_add is not None:
            config = state.trials[number].config
            state = replace(state, scheduler=scheduler.on_add(plan.scheduler, state.scheduler, number, config))
    return replace(state, unscheduled=own.finish())

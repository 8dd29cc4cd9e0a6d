"""Which checkpoints are kept: those that the policy keeps, and those that some trial would start from."""

from __future__ import annotations

import math

from msgspec.structs import replace

from tunedsl.kernel.state import RunState, SavedCheckpoint, TrialState
from tunedsl.plan import Plan
from tunedsl.schedulers.contract import scheduler_of


def move_reference(state: RunState, before: str, after: str) -> RunState:
    """The state in which a trial starts from folder `after` instead of `before`."""
    if before == after:
        return state
    refs = state.checkpoint_refs
    if before:
        count = refs[before] - 1
        refs = refs.set(before, count) if count else refs.delete(before)
    if after:
        refs = refs.set(after, refs.get(after, 0) + 1)
    return replace(state, checkpoint_refs=refs)


def skip_checkpoint(state: RunState, trial: TrialState, folder: str) -> tuple[RunState, TrialState]:
    """The trial without an unreadable checkpoint: it starts from the previous one, or from the beginning.

    Checkpoints from before the trial copied a donor's checkpoint are not used.
    """
    before = tuple(item for item in trial.checkpoints if item.folder != folder)
    if not folder or folder != trial.folder or len(before) == len(trial.checkpoints):
        return state, trial
    newest = next((item for item in reversed(before) if item.iteration > trial.copied_at), None)
    if newest is None and trial.copied_at:
        return state, trial
    folder, iteration = ("", 0) if newest is None else (newest.folder, newest.iteration)
    return move_reference(state, trial.folder, folder), replace(
        trial, checkpoints=before, folder=folder, checkpoint=iteration
    )


def apply_retention(plan: Plan, state: RunState, trial: TrialState) -> tuple[TrialState, tuple[str, ...]]:
    """The trial with the checkpoints that are kept, and the folders of the others."""
    policy = plan.checkpoint
    keep = _keep_count(plan)
    if keep is None or len(trial.checkpoints) <= keep:
        return trial, ()
    older, newest = trial.checkpoints[:-keep], trial.checkpoints[-keep:]
    best = _best_checkpoint(trial.checkpoints) if policy.best is not None else None
    kept = [item for item in older if item is best or item.folder in state.checkpoint_refs]
    deleted = tuple(item.folder for item in older if not (item is best or item.folder in state.checkpoint_refs))
    return replace(trial, checkpoints=(*kept, *newest)), deleted


def _keep_count(plan: Plan) -> int | None:
    """How many of a trial's newest checkpoints are kept, None for all.

    Without a policy, all checkpoints that a function reports are kept, and one of those that a scheduler asks for.
    """
    policy = plan.checkpoint
    if policy.keep is not None:
        return policy.keep
    forced = policy.every is None and scheduler_of(plan.scheduler).requirements(plan.scheduler).checkpoints
    return 1 if forced or policy.best is not None else None


def _best_checkpoint(kept: tuple[SavedCheckpoint, ...]) -> SavedCheckpoint | None:
    """The checkpoint with the largest value, the newest among equals."""
    known = [item for item in kept if not math.isnan(item.value)]
    return max(reversed(known), key=lambda item: item.value, default=None)

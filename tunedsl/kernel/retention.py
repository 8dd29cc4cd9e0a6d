"""Which checkpoints stay: those that the policy keeps, and those that some trial would start from."""

from __future__ import annotations

import math

from msgspec.structs import replace

from tunedsl.kernel.state import Kept, State, Trial
from tunedsl.plan import Plan
from tunedsl.schedule.contract import scheduler_of


def hold(state: State, before: str, after: str) -> State:
    """The state in which a trial starts from folder `after` and no longer from `before`."""
    if before == after:
        return state
    held = state.held
    if before:
        count = held[before] - 1
        held = held.set(before, count) if count else held.delete(before)
    if after:
        held = held.set(after, held.get(after, 0) + 1)
    return replace(state, held=held)


def passed_over(state: State, trial: Trial, folder: str) -> tuple[State, Trial]:
    """The trial without a checkpoint that cannot be read: it starts from the newest one before, or the beginning.

    What was trained before a donor's checkpoint was taken over is no part of the trial any more.
    """
    before = tuple(item for item in trial.kept if item.folder != folder)
    if not folder or folder != trial.folder or len(before) == len(trial.kept):
        return state, trial
    newest = next((item for item in reversed(before) if item.iteration > trial.adopted), None)
    if newest is None and trial.adopted:
        return state, trial
    folder, iteration = ("", 0) if newest is None else (newest.folder, newest.iteration)
    return hold(state, trial.folder, folder), replace(trial, kept=before, folder=folder, checkpoint=iteration)


def retained(plan: Plan, state: State, trial: Trial) -> tuple[Trial, tuple[str, ...]]:
    """The trial with the checkpoints that stay, and the folders of the others."""
    policy = plan.checkpoint
    keep = _number_kept(plan)
    if keep is None or len(trial.kept) <= keep:
        return trial, ()
    older, newest = trial.kept[:-keep], trial.kept[-keep:]
    best = _best(trial.kept) if policy.best is not None else None
    stay = [item for item in older if item is best or item.folder in state.held]
    gone = tuple(item.folder for item in older if not (item is best or item.folder in state.held))
    return replace(trial, kept=(*stay, *newest)), gone


def _number_kept(plan: Plan) -> int | None:
    """How many of a trial's newest checkpoints stay, None for all.

    Without a policy all stay that a function reports, and one of those that only a scheduler asks for.
    """
    policy = plan.checkpoint
    if policy.keep is not None:
        return policy.keep
    forced = policy.every is None and scheduler_of(plan.scheduler).needs(plan.scheduler).checkpoints
    return 1 if forced or policy.best is not None else None


def _best(kept: tuple[Kept, ...]) -> Kept | None:
    """The checkpoint with the largest value, the newest among equals."""
    known = [item for item in kept if not math.isnan(item.value)]
    return max(reversed(known), key=lambda item: item.value, default=None)

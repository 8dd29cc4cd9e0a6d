"""What the kernel knows: persistent values, so that an old state stays what it was."""

from __future__ import annotations

from typing import Any

import immutables
import msgspec

from tunedsl.base.types import FAILURE_KINDS, Json
from tunedsl.kernel.events import Number, row_to_metrics
from tunedsl.kernel.transitions import Phase


class SavedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint that is on disk: the trial's iteration, its folder, and the objective there."""

    iteration: int
    folder: str
    value: float = float("nan")


class TrialState(msgspec.Struct, frozen=True):
    """One trial.

    Attributes:
        attempt: how often it was launched before.
        iteration: the last iteration reported.
        keys, row: names and values of the last report.
        time: seconds of training at the last report.
        checkpoint: the trial's iteration at the checkpoint that a launch starts from, 0 without one.
        folder: where that checkpoint is; a donor's, until the trial has saved one of its own.
        checkpoints: its own checkpoints that are on disk, the newest last.
        resources: what it is given instead of what the plan says, once a scheduler has said so.
        failures: how often it failed, by kind, in the order of `FAILURE_KINDS`.
        consecutive_losses, lost_at: how often its worker died in a row without a report between, and the iteration then.
        not_before: the second of the experiment before which it is not launched again.
        copied_at: the iteration at which it last took over a donor's checkpoint, 0 if never.
        unreported: the objectives that it has not reported yet.
    """

    number: int
    config: dict[str, Json]
    name: str = ""
    phase: Phase = "PENDING"
    attempt: int = 0
    iteration: int = 0
    keys: tuple[str, ...] = ()
    row: tuple[Number, ...] = ()
    time: float = 0.0
    checkpoint: int = 0
    folder: str = ""
    checkpoints: tuple[SavedCheckpoint, ...] = ()
    resources: dict[str, float] | None = None
    failures: tuple[int, ...] = (0,) * len(FAILURE_KINDS)
    consecutive_losses: int = 0
    lost_at: int = -1
    not_before: float = 0.0
    copied_at: int = 0
    unreported: tuple[str, ...] = ()

    @property
    def has_value(self) -> bool:
        """Whether it has reported all objectives."""
        return self.iteration > 0 and not self.unreported

    def metrics(self) -> dict[str, Any]:
        """The last report's numbers."""
        return row_to_metrics(self.keys, self.row)


class RunState(msgspec.Struct, frozen=True):
    """The whole experiment, at one event.

    Attributes:
        width, ahead: how many trials may run, and how many more may be launched in advance.
        max_resources: the largest amounts that a trial can be given, where that is known.
        next_trial: the number that the next proposal gets.
        proposing: proposals asked for and not yet answered.
        live: launched trials that have neither ended nor been paused.
        paused: paused trials that wait to be launched again.
        queued: trials that run as soon as a place is free, whatever the scheduler says: those that users added, and
            those that a scheduler of before has left paused.
        unscheduled: trials that the scheduler has no say over, ended ones among them; they run to their stop rule.
        user_trial_count: how many trials users have added.
        checkpoint_refs: how many trials would start from a checkpoint's folder, where any would.
        all_proposed: whether the scheduler was told that no more trials come.
        terminated_count, errored_count: counts of TERMINATED and ERRORED trials.
        iterations: iterations reported, all trials together.
        postponed: whether the searcher waits to hear of a trial before it proposes.
        exhausted: whether the searcher has nothing more.
        closing_reason: why the experiment ends early, or empty.
        finished: whether `Finish` was given.
        succeeded_count: how many trials completed, or were stopped once they had reported all objectives.
        failed_alike: how many trials failed for good with each error, as long as none has succeeded.
        suspended: why the run ended by `Suspend`, or empty.
        scheduler: the scheduler's own state.
    """

    scheduler: Any
    width: int = 0
    ahead: int = 0
    seconds: float = 0.0
    next_trial: int = 0
    proposing: int = 0
    trials: immutables.Map[int, TrialState] = immutables.Map()
    live: immutables.Map[int, None] = immutables.Map()
    paused: immutables.Map[int, None] = immutables.Map()
    checkpoint_refs: immutables.Map[str, int] = immutables.Map()
    all_proposed: bool = False
    terminated_count: int = 0
    errored_count: int = 0
    iterations: int = 0
    postponed: bool = False
    exhausted: bool = False
    closing_reason: str = ""
    finished: bool = False
    max_resources: dict[str, float] = {}
    queued: immutables.Map[int, None] = immutables.Map()
    unscheduled: immutables.Map[int, None] = immutables.Map()
    user_trial_count: int = 0
    succeeded_count: int = 0
    failed_alike: immutables.Map[str, int] = immutables.Map()
    suspended: str = ""

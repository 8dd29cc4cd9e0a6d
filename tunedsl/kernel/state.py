"""The state of a run: persistent values, so that an earlier state never changes."""

from __future__ import annotations

from typing import Any, Literal

import immutables
import msgspec

from tunedsl.base.types import FAILURE_KINDS, Json
from tunedsl.kernel.events import Number, row_to_metrics
from tunedsl.kernel.queue import TrialQueue
from tunedsl.kernel.transitions import Phase
from tunedsl.stopping.tally import StudyTally

EndedBy = Literal["", "rule", "returned", "scheduler", "budget", "fail_fast", "user"]
"""The cause of a trial's end: its stop rule, its own code, the scheduler, a budget, `fail_fast`, or a user."""


class SavedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint on disk: the trial's iteration, the folder, and the objective at that iteration."""

    iteration: int
    folder: str
    value: float = float("nan")


class TrialState(msgspec.Struct, frozen=True):
    """The state of one trial.

    Attributes:
        attempt: how many launches came before the current one.
        iteration: the last iteration reported.
        keys, row: names and values of the last report.
        time: seconds of training at the last report.
        checkpoint: the trial's iteration at the checkpoint that a launch starts from, 0 without one.
        folder: the folder of that checkpoint; a donor's until the trial has saved one itself.
        checkpoints: its own checkpoints on disk, the newest last.
        resources: its resources if they differ from the plan's, else None.
        failures: how often it failed, by kind, in the order of `FAILURE_KINDS`.
        consecutive_losses, lost_at: how often its worker died in a row with no report in between, and where.
        not_before: time of the experiment, in seconds, before which it is not launched again.
        copied_at: the iteration at which it last copied a donor's checkpoint, 0 if never.
        unreported: the objectives that it has not reported yet.
        ended_by: the cause of its end; empty before the end, and for a trial that failed.
        curve: the signed objectives at each iteration, if the scheduler reads curves.
        constrained: the newest values of the metrics of the outcome constraints.
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
    ended_by: EndedBy = ""
    curve: tuple[tuple[float, ...], ...] = ()
    constrained: tuple[float, ...] = ()

    @property
    def has_value(self) -> bool:
        """Whether it has reported all objectives."""
        return self.iteration > 0 and not self.unreported

    def metrics(self) -> dict[str, Any]:
        """The numbers of the last report, by metric."""
        return row_to_metrics(self.keys, self.row)


class RunState(msgspec.Struct, frozen=True):
    """The state of a run after one event.

    Attributes:
        width, ahead: how many trials may run, and how many more may be launched in advance.
        max_resources: the largest amounts that a trial can get, if known.
        next_trial: the number that the next proposal gets.
        proposing: how many proposals were requested and not answered yet.
        live: launched trials that have neither ended nor been paused.
        paused: paused trials, which the scheduler may promote.
        queued: trials that are launched when a slot is free, without the scheduler: trials that users added, failed
            trials to run again, trials that a replaced scheduler had paused, and ended trials that an amended plan
            continues, the latter by their place.
        unscheduled: trials that the scheduler does not decide about, ended ones included; they run to their stop rule.
        user_trial_count: how many trials users have added.
        checkpoint_refs: how many trials would start from a checkpoint's folder.
        all_proposed: whether the scheduler was notified that all trials were proposed.
        terminated_count, errored_count: counts of TERMINATED and ERRORED trials.
        iterations: iterations reported, all trials together.
        postponed: whether the searcher waits for a result before it proposes.
        exhausted: whether the searcher has no more configurations.
        closing_reason: why the experiment ends early, or empty.
        closed_by: the cause of its early end.
        finished: whether the kernel has returned `Finish`.
        succeeded_count: how many trials completed, or were stopped once they had reported all objectives.
        failed_alike: how many trials failed with each error and had no retry left, until a trial succeeds.
        suspended: why the run ended by `Suspend`, or empty.
        study: the tally of the condition of `until`; None without one, and if it counts equal failures alone.
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
    queued: TrialQueue = TrialQueue()
    unscheduled: immutables.Map[int, None] = immutables.Map()
    user_trial_count: int = 0
    succeeded_count: int = 0
    failed_alike: immutables.Map[str, int] = immutables.Map()
    suspended: str = ""
    closed_by: EndedBy = ""
    study: StudyTally | None = None

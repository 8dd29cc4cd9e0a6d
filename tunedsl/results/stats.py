"""Counts of an experiment: trials by status, attempts, iterations and seconds."""

from __future__ import annotations

import attrs
from toolz import countby

from tunedsl.base.types import TrialStatus
from tunedsl.journal import STATUSES
from tunedsl.results.trial_history import RunHistory


@attrs.frozen
class Stats:
    """Counts of an experiment.

    Attributes:
        trials: number of proposed trials.
        statuses: trials by status: `completed`, `stopped`, `failed`, `running`, `paused`, `pending`, `cancelled`.
        attempts: launches, including retries and launches after a pause.
        iterations: reports of all trials.
        seconds: time from the start of the experiment to its last event, downtime excluded.
        training_seconds: training time of all trials together.
        checkpoints: number of stored checkpoints.
    """

    trials: int
    statuses: dict[TrialStatus, int]
    attempts: int
    iterations: int
    seconds: float
    training_seconds: float
    checkpoints: int

    @staticmethod
    def of(history: RunHistory) -> Stats:
        """Count the trials of a run."""
        records = history.records.values()
        counts = countby(lambda record: record.status, records)
        return Stats(
            trials=len(records),
            statuses={status: counts[status] for status in STATUSES if status in counts},
            attempts=sum(record.attempts for record in records),
            iterations=sum(record.iterations for record in records),
            seconds=history.seconds,
            training_seconds=float(sum(record.times[-1] for record in records if record.iterations)),
            checkpoints=sum(len(record.checkpoints) for record in records),
        )

    @property
    def ended(self) -> int:
        """Trials that completed, were stopped or failed; cancelled trials are not counted."""
        return sum(self.statuses.get(status, 0) for status in ("completed", "stopped", "failed"))

    @property
    def said(self) -> str:
        """The trials as text: `4 trials: 3 completed, 1 failed`."""
        counts = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items())
        return f"{self.trials:,} trial{'' if self.trials == 1 else 's'}{f': {counts}' if counts else ''}"

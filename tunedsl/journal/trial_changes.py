"""Derives the status of each trial from the journal's records, once for all readers.

It only interprets events and commands; decisions are the kernel's part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, get_args

import msgspec

from tunedsl.base.types import TrialStatus
from tunedsl.journal.records import Line
from tunedsl.kernel import (
    Command,
    Ended,
    Event,
    Failed,
    Launch,
    Pause,
    Proposed,
    Reopen,
    Reported,
    RetryRequested,
    Started,
    Stop,
    UserTrialAdded,
)

STATUSES: Final[tuple[TrialStatus, ...]] = get_args(TrialStatus)
CLOSING: Final = "closing"
"""The kernel's rule for a trial that is stopped because the experiment ends."""
ENDED: Final[frozenset[TrialStatus]] = frozenset({"completed", "stopped", "failed", "cancelled"})


class TrialChange(msgspec.Struct, frozen=True, gc=False):
    """A trial's change of status.

    Attributes:
        trial: the trial's number.
        status: its new status.
        cause: the event or command that changed it.
    """

    trial: int
    status: TrialStatus
    cause: Event | Command


def trial_changes(line: Line) -> list[TrialChange]:
    """The changes of status in one record, in order; a later change of a trial replaces an earlier one.

    A record does not tell whether a stopped trial had started: `TrialStatuses` does, and calls others `cancelled`.
    """
    if line.e is None:
        return []
    found = _of_event(line.e, line.c)
    for command in line.c:
        if isinstance(command, Launch):
            found.append(TrialChange(command.trial, "pending", command))
        elif isinstance(command, Stop):
            status: TrialStatus = "cancelled" if command.reason.rule == CLOSING else "stopped"
            found.append(TrialChange(command.trial, status, command))
        elif isinstance(command, Pause):
            found.append(TrialChange(command.trial, "paused", command))
        elif isinstance(command, Reopen):
            found.append(TrialChange(command.trial, "pending", command))
    return found


def _of_event(event: Event, commands: Sequence[Command]) -> list[TrialChange]:
    if isinstance(event, Reported):
        return [TrialChange(event.trial, "completed", event)] if event.ends else []
    if isinstance(event, Started):
        return [TrialChange(event.trial, "running", event)]
    if isinstance(event, Proposed):
        proposed = TrialChange(event.trial, "pending", event)
        if isinstance(event, UserTrialAdded) or _has_command(event.trial, commands):
            return [proposed]
        return [proposed, TrialChange(event.trial, "cancelled", event)]  # the experiment was ending
    if isinstance(event, Ended):
        return [TrialChange(event.trial, "completed", event)]
    if isinstance(event, Failed) and not _has_command(event.trial, commands):
        return [TrialChange(event.trial, "failed", event)]
    if isinstance(event, RetryRequested):
        return [TrialChange(trial, "pending", event) for trial in event.trials]
    return []


def _has_command(trial: int, commands: Sequence[Command]) -> bool:
    """Whether a command launches or stops this trial."""
    return any(isinstance(command, (Launch, Stop)) and command.trial == trial for command in commands)


class TrialStatuses:
    """The status of each trial, updated record by record.

    Attributes:
        counts: trials by status.
        open: the status of each trial that has not ended.
    """

    def __init__(self) -> None:
        self.counts: Counter[TrialStatus] = Counter()
        self.open: dict[int, TrialStatus] = {}
        self._started: set[int] = set()

    def take(self, line: Line) -> list[TrialChange]:
        """Applies one record and returns its changes of status."""
        return [self._changed(change) for change in trial_changes(line)]

    def _changed(self, change: TrialChange) -> TrialChange:
        trial, status = change.trial, change.status
        if status == "stopped" and trial not in self._started:
            change = TrialChange(trial, "cancelled", change.cause)
            status = "cancelled"
        before = self.open.get(trial)
        if before is not None:
            self.counts[before] -= 1
        elif isinstance(change.cause, RetryRequested):
            self.counts["failed"] -= 1
            self._started.add(trial)
        elif isinstance(change.cause, Reopen):
            self.counts[change.cause.status] -= 1
            if change.cause.iteration:
                self._started.add(trial)
        self.counts[status] += 1
        if status in ENDED:
            self.open.pop(trial, None)
            self._started.discard(trial)
        else:
            self.open[trial] = status
            if status == "running":
                self._started.add(trial)
        return change

    @property
    def over(self) -> int:
        """How many trials ended after they had started; cancelled ones do not count."""
        return self.counts["completed"] + self.counts["stopped"] + self.counts["failed"]

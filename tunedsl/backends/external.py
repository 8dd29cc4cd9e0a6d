"""The external engine, for ask and tell: an asker takes a trial, evaluates it and tells the result.

The engine runs no code and never waits: `runs.study` calls it for the askers, between the steps of the driver. A trial
may have a lease. Leases use the run's clock, as the other time limits do, so that they continue without a driver.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from tunedsl.backends.delay_queue import DelayQueue
from tunedsl.backends.protocol import SHUTDOWN_SECONDS, Capacity
from tunedsl.base.errors import ReportError
from tunedsl.base.types import FailureKind
from tunedsl.kernel import Command, Event, Failed, Launch, Reported, RunState, Started
from tunedsl.plan import Plan
from tunedsl.plan.settings import EXTERNAL
from tunedsl.worker import Assignment, Message, Notice, Shipment
from tunedsl.worker.api import GivenCheckpoint
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.commands import Assign, Halt, WorkerCommand
from tunedsl.worker.folder_copy import copy_from
from tunedsl.worker.report_batch import Report
from tunedsl.worker.report_engine import ReportEngine

MAX_MESSAGE: Final = 2_000
"""Maximum length of an asker's message about a failure."""


class AskedAttempt:
    """One attempt at a trial, assigned to an asker.

    Args:
        shipment: the data that every worker receives.
        assignment: the attempt.
        asker: the name of its asker.
        now: the run's clock.

    Attributes:
        active: the time of its last message or of its start, on the run's clock.
        reports: evaluates its reports.
        checkpoint, saved_at: its newest checkpoint, empty without one, and that checkpoint's iteration.
    """

    def __init__(self, shipment: Shipment, assignment: Assignment, asker: str, now: float) -> None:
        self.assignment, self.asker, self.active = assignment, asker, now
        self.reports = ReportEngine(shipment, assignment)
        self._shipment = shipment
        self._began = now
        self._elapsed = assignment.elapsed
        self.checkpoint, self.saved_at = assignment.checkpoint, assignment.iteration

    @property
    def is_repeating(self) -> bool:
        """Whether the journal has its last report already, from an earlier attempt."""
        return 0 < self.reports.iteration <= self.assignment.known

    def report(
        self, metrics: Mapping[str, Any], now: float, checkpoint: GivenCheckpoint, last: bool
    ) -> list[Event | Notice]:
        """Process one report; an invalid one raises `ReportError` and changes nothing.

        Args:
            now: the run's clock.
            checkpoint: a folder to copy, or a function that writes one.
            last: whether the trial ends with this report.
        """
        reports = self.reports
        missing = [name for name in reports.unreported if last and name not in metrics]
        if missing:
            self._refuse_end(missing)
        report = reports.receive(metrics, self._elapsed + now - self._began, now - self.active, last)
        self.active = now
        events: list[Event | Notice] = []
        if not report.is_known:
            try:
                reports.batch.add(report, self._save(report, checkpoint))
            except BaseException:
                reports.withdraw()
                raise
            warning = reports.first_warning()
            events = [reports.batch.take_event(), *([] if warning is None else [warning])]
        return events if report.outcome is None else [*events, report.outcome]

    def end(self) -> Event:
        """Return the event of an end without another report; raise `ReportError` if an objective is missing."""
        if self.reports.unreported:
            self._refuse_end(self.reports.unreported)
        return self.reports.end()

    def fail(self, message: object) -> Event:
        """Return the event of a failure that the asker reports."""
        return Failed(0.0, self.assignment.trial, "crash", str(message)[:MAX_MESSAGE])

    def limit(self, lease: float | None) -> float:
        """Return the time, on the run's clock, at which the attempt fails without another report."""
        timeout = self.reports.next_limit(self.active - self._began)
        return self.active + min(math.inf if lease is None else lease, math.inf if timeout is None else timeout[0])

    def failure(self, now: float, lease: float | None) -> Failed:
        """Return the failure of an attempt that has exceeded its limit."""
        kind: FailureKind = "lost"
        text = f"The lease of {lease:g} s has expired without a report or a tell." if lease is not None else ""
        if lease is None or now - self.active < lease:
            kind, text = self.reports.exceeded_limit(self.active - self._began, math.inf) or (kind, text)
        return Failed(0.0, self.assignment.trial, kind, text)

    def resume(self, past: _Past, position: int) -> None:
        """Continue an attempt from an earlier driver, after its report number `position`."""
        self.asker, self.active, self._began = past.asker, past.active, past.started
        self._elapsed = past.elapsed
        self.reports.iteration = past.launch.checkpoint if past.launch is not None else 0
        for event in past.reports:
            self.reports.follow(event, position)
        self.reports.iteration = position

    def _refuse_end(self, missing: Sequence[str]) -> None:
        names = ", ".join(map(repr, missing))
        raise ReportError(
            f"Trial {self.assignment.name} cannot end: it has not reported the objective {names}.\n"
            f"  help: tell(trial, {missing[0]}=...), or trial.fail(...) for a trial without a result"
        )

    def _save(self, report: Report, checkpoint: GivenCheckpoint) -> str:
        storage, place = CheckpointStorage(self._shipment.storage), self.reports.checkpoint_path()
        if callable(checkpoint):
            fill = checkpoint if self.reports.is_checkpoint_due(report) else None
        elif checkpoint is not None and self.reports.takes_folder(report):
            kept = storage.local_checkpoints(self.assignment.name)
            fill = copy_from(checkpoint, Path(self._shipment.root), kept)
        else:
            fill = None
        if fill is None:
            self.reports.check_unsaved(report)
            return ""
        storage.write(place, fill, self.checkpoint or None)
        self.checkpoint, self.saved_at = place, self.reports.iteration
        return place


@attrs.define
class _Past:
    """A live trial in the journal: its last launch, and its reports after that launch's checkpoint."""

    launch: Launch | None = None
    asker: str = ""
    started: float = 0.0
    active: float = 0.0
    elapsed: float = 0.0
    has_reported: bool = False
    reports: list[Reported] = attrs.field(factory=list)


class OutstandingTrials:
    """A listener that collects the trials that are outstanding in the journal when the engine is opened.

    Attributes:
        trials: the last launch and the reports of each live trial.
        is_open: whether the engine is open, so that later events are ignored.
    """

    def __init__(self) -> None:
        self.trials: dict[int, _Past] = {}
        self.is_open = False

    def on_event(self, event: Event, commands: Sequence[Command], state: RunState) -> None:
        if self.is_open:
            return
        number = getattr(event, "trial", None)
        past = self.trials.get(number)  # type: ignore[arg-type]  # some events have no trial
        if past is not None and isinstance(event, Started):
            past.asker, past.started, past.active, past.has_reported = event.worker, event.seconds, event.seconds, False
            past.elapsed = state.trials[event.trial].time
        elif past is not None and isinstance(event, Reported):
            past.active, past.has_reported = event.seconds, True
            past.reports.append(event)
        for command in commands:
            if isinstance(command, Launch):
                past = self.trials.setdefault(command.trial, _Past())
                past.launch = command
                past.reports = [kept for kept in past.reports if kept.last > command.checkpoint]
        if number in self.trials and state.trials[number].phase in ("TERMINATED", "ERRORED"):
            del self.trials[number]

    def on_wait(self, state: RunState) -> None: ...
    def on_notice(self, text: str) -> None: ...
    def on_warning(self, text: str) -> None: ...
    def close(self, state: RunState) -> None: ...


class ExternalEngine:
    """Hands launched trials to askers, and their reports to the driver.

    Args:
        lease: seconds without a report after which a trial is available again; None for no limit.

    Attributes:
        clock: the run's clock.
        width: how many trials may be outstanding at once if the plan has no limit.
        attempts: the outstanding attempts, by trial.
        before: the trials that were outstanding under an earlier driver.
        repeated: the number, the attempt and the repeated reports of each trial.
    """

    name = EXTERNAL

    def __init__(self, lease: float | None = None) -> None:
        self.lease = lease
        self.clock: Callable[[], float] = time.monotonic
        self.width = 1
        self.attempts: dict[int, AskedAttempt] = {}
        self.repeated: Mapping[int, tuple[int, int, int]] = {}
        self.shipment: Shipment | None = None
        self._ready: dict[int, Assignment] = {}
        self._delayed = DelayQueue()
        self._messages: list[Message] = []
        self._due = math.inf
        self.before = OutstandingTrials()

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        self.shipment = shipment
        self.before.is_open = True
        return Capacity(plan.parallel or self.width)

    def now(self) -> float:
        return time.monotonic()

    def wall_clock(self) -> float:
        """Return seconds on a clock that all drivers of a run share."""
        return time.time()

    def apply(self, commands: Sequence[WorkerCommand]) -> None:
        for command in commands:
            if isinstance(command, Assign):
                if not self._delayed.push(command, self.now()):
                    self._receive(command.assignment)
            elif isinstance(command, Halt):
                self._halt(command.trial, command.attempt)

    def poll(self, seconds: float) -> list[Message]:
        for command in self._delayed.due(self.now()):
            self._receive(command.assignment)
        if self.is_due():
            self._expire(self.clock())
        messages, self._messages = self._messages, []
        return messages

    def is_due(self) -> bool:
        """Return whether an attempt may have exceeded a limit."""
        return self._due < math.inf and self.clock() >= self._due

    def has_ready(self) -> bool:
        """Return whether a launched trial can be claimed."""
        return bool(self._ready)

    def claim(self, asker: str) -> AskedAttempt | None:
        """Assign the launched trial with the lowest number to an asker, an order that a resume keeps; None without one.

        The next `poll` returns its start.
        """
        if not self._ready:
            return None
        assert self.shipment is not None  # the driver calls `open` first
        assignment = self._ready.pop(min(self._ready))
        attempt = AskedAttempt(self.shipment, assignment, asker, self.clock())
        self._assign(attempt)
        self.send(attempt, [Started(0.0, assignment.trial, assignment.attempt, asker)])
        return attempt

    def send(self, attempt: AskedAttempt, events: Sequence[Event | Notice], ends: bool = False) -> None:
        """Add events of an attempt for the next `poll`.

        Args:
            ends: whether the attempt ends with them.
        """
        assignment = attempt.assignment
        self._messages += [Message(assignment.trial, assignment.attempt, event) for event in events]
        if ends:
            self._halt(assignment.trial, assignment.attempt)

    def interrupt(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        """Do nothing: trials stay assigned to their askers."""

    def close(self) -> None:
        """Do nothing: the engine has no resources to free."""

    def abandon(self) -> None:
        """Do nothing, as `close`."""

    def _receive(self, assignment: Assignment) -> None:
        if not assignment.begun:
            self._ready[assignment.trial] = assignment
            return
        assert self.shipment is not None  # the driver calls `open` first
        past, number = self.before.trials.pop(assignment.trial, _Past()), assignment.trial
        attempt = AskedAttempt(self.shipment, assignment, past.asker, past.active)
        position = assignment.known
        if past.launch is not None and not past.has_reported:
            repeated = self.repeated.get(number, (number, -1, 0))
            is_current = repeated[1] == assignment.attempt
            position = repeated[2] if is_current else past.launch.checkpoint
        attempt.resume(past, position)
        self._assign(attempt)

    def _assign(self, attempt: AskedAttempt) -> None:
        self.attempts[attempt.assignment.trial] = attempt
        self._due = min(self._due, attempt.limit(self.lease))

    def _halt(self, trial: int, attempt: int) -> None:
        held = self.attempts.get(trial)
        if held is not None and held.assignment.attempt == attempt:
            del self.attempts[trial]
            return
        self._delayed.drop(trial, attempt)
        if trial in self._ready and self._ready[trial].attempt == attempt:
            del self._ready[trial]

    def _expire(self, now: float) -> None:
        """Fail the attempts that have exceeded their limit."""
        self._due = math.inf
        for attempt in list(self.attempts.values()):
            limit = attempt.limit(self.lease)
            if limit <= now:
                self.send(attempt, [attempt.failure(now, self.lease)], ends=True)
            else:
                self._due = min(self._due, limit)

"""One attempt at a trial on its worker: runs the clock, saves checkpoints, sends events, waits for decisions.

What a report means is decided in `report_engine`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeVar

from tunedsl.base.errors import ReportError, StorageError
from tunedsl.base.retry import retry_transient
from tunedsl.base.types import FailureKind
from tunedsl.kernel.events import Ended, Event, Failed, Saved
from tunedsl.worker import tracing
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.data import DataViews
from tunedsl.worker.execution_lock import NoLock
from tunedsl.worker.folder_copy import copy_from
from tunedsl.worker.grace import Grace
from tunedsl.worker.messages import Assignment, Notice, Shipment, TrialStopped, started_event
from tunedsl.worker.outbox import Outbox
from tunedsl.worker.report_batch import Report
from tunedsl.worker.report_engine import ReportEngine
from tunedsl.worker.trial_info import TrialInfo

Verdict = Literal["continue", "stop"]
T = TypeVar("T")

FLUSH_AFTER_SECONDS: Final = 2.0
"""Trials that ran at least this long send their end at once; the ends of shorter trials are sent in groups."""
FLUSH_SECONDS: Final = 0.1
"""How long the end of a trial waits until another thread fetches it."""
SEND_SECONDS: Final = 0.005
"""How long the end of a trial waits until it has left the process."""
_FULL: Final = "waits: it reports faster than its reports are written. Its time limits do not count the wait."


class Session:
    """The worker's side of one attempt at a trial.

    Args:
        shipment: what workers need of the plan.
        assignment: the attempt.
        outbox: receives the events.
        turn: the lock that is released while the trial waits.
        data: the objects of `.data(...)`; the attempts of one worker share it.

    Attributes:
        unreadable_checkpoint: the checkpoint that is being read, or could not be read; empty once it was read.
        forked: whether this is the copy in a forked child, which cannot report.
        grace: the grace period of the user's code after the end of the trial.
    """

    def __init__(
        self,
        shipment: Shipment,
        assignment: Assignment,
        outbox: Outbox,
        turn: NoLock,
        data: DataViews | None = None,
    ) -> None:
        self.number, self.attempt = assignment.trial, assignment.attempt
        self.shipment, self.assignment, self.outbox = shipment, assignment, outbox
        self.halted = False
        self.is_over = self.forked = False
        self.unreadable_checkpoint = ""
        self.grace = Grace(shipment.grace)
        self._reports = ReportEngine(shipment, assignment)
        self._turn = turn
        self._thread = threading.get_ident()
        self._under_way = False
        self._failure: Failed | None = None
        self._verdict: Verdict | None = None
        self._preemption = ""
        self._data_views = data or DataViews(shipment.data)
        self._storage = CheckpointStorage(shipment.storage)
        self._checkpoint = assignment.checkpoint or None
        self._copy: Path | None = None
        self._began = self._before = time.perf_counter()
        self._paused = 0.0
        self._lock = outbox.ready

    def begin(self) -> None:
        """Send the start of the attempt, fetch its checkpoint, and start its clock."""
        assignment = self.assignment
        if not assignment.begun:
            self.send(started_event(assignment))
        self.info = TrialInfo(
            id=assignment.name,
            number=assignment.trial,
            config=self.shipment.config(assignment),
            seed=assignment.seed,
            resources=assignment.resources,
            attempt=assignment.attempt,
            iteration=assignment.iteration,
            checkpoint=self._fetch_checkpoint(assignment.checkpoint) if assignment.checkpoint else None,
            root=self.shipment.root,
            params=assignment.config,
        )
        self._began = self._before = time.perf_counter()
        self._under_way = True

    def send(self, event: Event | Notice) -> None:
        """Put an event of this attempt into the outbox. Called from any thread."""
        self.outbox.put(self.number, self.attempt, event)

    def data(self) -> dict[str, Any]:
        """Return the objects of `.data(...)` for this attempt."""
        return self._data_views.fresh()

    def report(
        self,
        metrics: Mapping[str, Any],
        checkpoint: str | os.PathLike[str] | None = None,
        save: Callable[[Path], object] | None = None,
        last: bool = False,
    ) -> None:
        """Process one report; raise `TrialStopped` when the trial ends with it.

        Args:
            checkpoint: a user's folder to copy.
            save: writes a checkpoint into a folder; called when a checkpoint is due.
            last: whether the user's code returned this report.
        """
        if self.forked:
            raise ReportError(
                f"report() was called in a process that trial {self.info.id} forked.\n"
                f"  help: return the metrics to the trial's own process, and report them there"
            )
        if self.halted or self.is_over:  # over: the code has swallowed TrialStopped before
            self._finish()
        now = time.perf_counter()
        since_last = now - self._before
        report = self._reports.receive(metrics, self.assignment.elapsed + now - self._began, since_last, last)
        overdue = self.exceeded_limit(now)
        self._before = now
        if report.is_known:
            if report.outcome is not None:
                self._end_with(report.outcome)
                self._finish()
            return
        if overdue is not None:
            self.fail_for_timeout(*overdue)
            self._finish()
        saved = ""
        if checkpoint is not None or save is not None or report.waits:
            try:
                saved = self._save_with_report(report, checkpoint, save)
            except (ReportError, StorageError):
                self._reports.withdraw()
                raise
        self._collect(report, saved)
        self._follow(report, saved, save)

    def takes_step(self, step: int | None) -> bool:
        """Return whether to pass on the report of a program's iteration `step`, given those in the journal.

        The program may be ahead of its checkpoint, or behind it. So its reports are not counted from there: a repeated
        one is never new, and a new one follows the last one in the journal.
        """
        last = self.assignment.last_step
        if step is None or last is None:
            return True
        if step > last:
            self._reports.skip_known()
            return True
        return self._reports.iteration < self.assignment.known

    def _follow(self, report: Report, saved: str, save: Callable[[Path], object] | None) -> None:
        """After a report: end the trial, wait for a decision, let other trials run, or leave a draining node."""
        warning = self._reports.first_warning()
        if warning is not None:
            self.send(warning)
        if report.outcome is not None:
            self._end_with(report.outcome)
        if report.ends or report.outcome is not None:
            self._finish()
        can_leave = saved != "" or save is not None
        if report.waits:
            self._wait(can_leave)
        elif self.outbox.is_full:
            self._wait_for_room()
        elif self._turn.wanted:
            self._pass_turn()
        if self._preemption and can_leave:
            checkpoint = "" if saved or save is None else self._save(save)
            self._end_with(Failed(0.0, self.number, "preempted", self._preemption, saved=checkpoint))
            self._finish()

    def _save_with_report(
        self, report: Report, checkpoint: str | os.PathLike[str] | None, save: Callable[[Path], object] | None
    ) -> str:
        """Save the checkpoint of a report, if any; return its path in the storage, or an empty text."""
        if checkpoint is not None and self._reports.takes_folder(report):
            kept = self._storage.local_checkpoints(self.assignment.name)
            return self._save(copy_from(checkpoint, Path(self.shipment.root), kept))
        if save is not None and self._reports.is_checkpoint_due(report):
            return self._save(save)
        self._reports.check_unsaved(report)
        return ""

    def _collect(self, report: Report, saved: str) -> None:
        """Add a report to the batch; close the batch where a decision, an end or a checkpoint depends on it."""
        batch = self._reports.batch
        with self._lock:
            if not batch.fits(report):
                self.outbox.seal()
            if not batch:
                self.outbox.collect(batch)
            batch.add(report, saved)
            self.outbox.size += report.bytes
            if report.waits:
                self._verdict = "stop" if self.halted else None
                self.outbox.wake_fetch()
            if batch.is_closed:
                self.outbox.seal()

    def check_running(self) -> None:
        """End the trial if it was halted or has exceeded a time limit; for code that waits without reporting."""
        if self.halted or self.is_over:
            self._finish()
        overdue = self.exceeded_limit(time.perf_counter())
        if overdue is not None:
            self.fail_for_timeout(*overdue)
            self._finish()

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Let other trials run while this one waits for another process; the time limits count this time."""
        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()

    def fork(self) -> None:
        """Disable this copy in a forked child: no thread fetches its events."""
        self.is_over = self.forked = True

    def save(self, write: Callable[[Path], object]) -> None:
        """Save the checkpoint at the end of a trial that ends after its last report, where the plan asks for it."""
        iteration = self._reports.iteration
        if self.shipment.save_at_end and iteration > self.assignment.known:
            self.send(Saved(0.0, self.number, iteration, self._save(write)))

    def is_attempt(self, trial: int, attempt: int) -> bool:
        """Return whether this is the session of an attempt."""
        return self.number == trial and self.attempt == attempt

    def change_settings(self, shipment: Shipment) -> None:
        """Use the settings of an amended plan from the next report. Called from another thread."""
        self.shipment = shipment
        self._reports.change_settings(shipment)

    def proceed(self) -> None:
        """Continue the trial that waits for a decision. Called from another thread."""
        self._set_verdict("continue")

    def halt(self) -> None:
        """End the trial at its next report, without an event. Called from another thread."""
        self.halted = True
        self.grace.begin(time.perf_counter())
        self._set_verdict("stop")

    def preempt(self, text: str) -> None:
        """End the attempt at its next report with a checkpoint, to continue elsewhere. Called from another thread.

        A class with `save` writes that checkpoint. A trial without checkpoints continues as long as its node does.

        Args:
            text: the reason.
        """
        with self._lock:
            self._preemption = text
            self._lock.notify_all()

    def end(self) -> None:
        """End the attempt after the user's code has returned; it fails where an objective is missing."""
        self._end_with(self._reports.end())

    def fail(self, event: Failed) -> None:
        """End the attempt with a failure."""
        self._end_with(event)

    def _end_with(self, event: Failed | Ended) -> None:
        self.grace.begin(time.perf_counter())
        if not self.is_over:
            self.is_over = True
            self.send(event)

    def clean_up(self, failure: Failed | None) -> None:
        """Start the clean-up of the user's code, after the attempt has succeeded or ended with `failure`."""
        self._under_way, self._failure = False, failure
        self.grace.begin(time.perf_counter())
        self._send_end()

    def excess(self) -> str:
        """Describe how the user's code exceeds the grace period, and where it is; empty while it does not."""
        excess = self.grace.excess(time.perf_counter())
        if not excess:
            return ""
        line = tracing.line_of_thread(self._thread)
        return f"trial {self.assignment.name} {excess}, {f'at {line}' if line else 'outside of Python code'}"

    def abandon(self) -> None:
        """Stop waiting for the user's code; the result of the trial stays. Called from another thread."""
        self.grace.abandoned = True
        if self._failure is not None:
            self.fail(self._failure)
        self.end()

    def exceeded_limit(self, now: float) -> tuple[FailureKind, str] | None:
        """Return the time limit that the attempt has exceeded, and a message. `now` is from `time.perf_counter`."""
        if self.is_over or not self._under_way:
            return None
        return self._reports.exceeded_limit(self._before - self._began - self._paused, now - self._before)

    def fail_for_timeout(self, kind: FailureKind, text: str) -> None:
        """Fail the attempt for a time limit, with the current line of its code. Called from any thread."""
        where = tracing.format_thread(self._thread)
        self.halted = True
        self.fail(Failed(0.0, self.number, kind, text, where and f"{where}{kind}: {text}\n"))

    def _finish(self) -> NoReturn:
        first, self.is_over = not self.is_over, True
        if first:
            self._send_end()
        self.grace.stop(time.perf_counter())
        raise TrialStopped

    def _send_end(self) -> None:
        """Flush events before the user's code cleans up: it may be C code during which no other thread runs."""
        if not self._turn.shared and time.perf_counter() - self._began >= FLUSH_AFTER_SECONDS:
            self.outbox.flush(FLUSH_SECONDS)
            time.sleep(SEND_SECONDS)

    def _wait(self, can_leave: bool) -> None:
        """Wait for the decision about the last report; the time limits do not count this time.

        Args:
            can_leave: whether a preempted trial need not wait, because this report has a checkpoint.
        """
        self._under_way, since = False, time.perf_counter()
        self._turn.release()
        with self._lock:
            self._lock.wait_for(lambda: self._verdict is not None or (can_leave and self._preemption))
        self._turn.acquire()
        if self._verdict == "stop":
            self._finish()
        self._resume_clock(since)

    def _wait_for_room(self) -> None:
        """Wait until the driver has fetched the reports; the time limits do not count this time."""
        self._under_way, since = False, time.perf_counter()
        self.send(Notice("full outbox", f"trial {self.assignment.name} {_FULL}"))
        self._turn.release()
        with self._lock:
            self.outbox.wake_fetch()
            self._lock.wait_for(lambda: self.halted or not self.outbox.is_full)
        self._turn.acquire()
        if self.halted:
            self._finish()
        self._resume_clock(since)

    def _pass_turn(self) -> None:
        """Let other trials run; the time limits do not count this time."""
        self._under_way, since = False, time.perf_counter()
        self._turn.rotate()
        if self.halted:
            self._finish()
        self._resume_clock(since)

    def _resume_clock(self, since: float) -> None:
        """Continue the clock of the user's code; it was stopped at `since`."""
        self._before = time.perf_counter()
        self._paused += self._before - since
        self._under_way = True

    def _set_verdict(self, verdict: Verdict) -> None:
        with self._lock:
            self._verdict = verdict
            self._lock.notify_all()

    def _save(self, write: Callable[[Path], object]) -> str:
        """Write a checkpoint; return its path in the storage. The time limits do not count this time."""
        path = self._reports.checkpoint_path()
        self._under_way, since = False, time.perf_counter()
        try:
            self._retry_storage(lambda: self._storage.write(path, write, self._checkpoint))
        finally:
            self._resume_clock(since)
        self._checkpoint = path
        return path

    def release_checkpoint(self) -> None:
        """Remove the downloaded copy of the checkpoint that the attempt started from, if any."""
        if self._copy is not None:
            self._storage.release(self._copy)

    def _fetch_checkpoint(self, path: str) -> Path:
        self.unreadable_checkpoint = path
        self._copy = self._retry_storage(lambda: self._storage.fetch(path))
        self.unreadable_checkpoint = ""
        return self._copy

    def load(self, load: Callable[[Path], None], checkpoint: Path) -> None:
        """Call the user's code to read the checkpoint that the attempt starts from."""
        self.unreadable_checkpoint = self.assignment.checkpoint
        load(checkpoint)
        self.unreadable_checkpoint = ""

    def _retry_storage(self, action: Callable[[], T]) -> T:
        """Retry an action on the storage. A trial that was halted meanwhile ends without a failure."""
        try:
            return retry_transient(action, lambda: self.halted, self._sleep, self._notify_storage_full)
        except StorageError:
            if self.halted:
                self._finish()
            raise

    def _notify_storage_full(self, text: str) -> None:
        self.send(Notice("full storage", text))

    def _sleep(self, seconds: float) -> None:
        self._turn.release()
        time.sleep(seconds)
        self._turn.acquire()

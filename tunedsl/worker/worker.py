"""A worker: one thread that runs trials in sequence, and the queue of its commands.

The inline backend runs workers in this process, and the Ray backend runs them in actors.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from tunedsl.kernel.events import Failed
from tunedsl.worker.commands import Assign, ChangeSettings, Halt, Proceed, WorkerCommand
from tunedsl.worker.current import ACTIVE
from tunedsl.worker.data import DataViews
from tunedsl.worker.execution_lock import NoLock
from tunedsl.worker.messages import Assignment, Message, Notice, Shipment
from tunedsl.worker.outbox import Outbox
from tunedsl.worker.output import Capture
from tunedsl.worker.run import run_trial
from tunedsl.worker.session import Session
from tunedsl.worker.worker_cleanup import WorkerCleanup

BATCH_SECONDS: Final = 0.03
"""How long reports collect before they are sent, unless a decision depends on one."""


class Worker:
    """Runs its assignments in order, until `shut`.

    Args:
        shipment: what workers need of the plan.
        outbox: receives the events; workers of one process may share it.
        turn: the lock that the worker holds while a trial runs.
        cleans_up: whether to undo the trials' changes to this process, which is the worker's own.
        capture: redirects the output of trials.

    Attributes:
        replace: why a new worker has to replace this one; empty while it can run trials.
    """

    def __init__(
        self,
        shipment: Shipment,
        outbox: Outbox | None = None,
        turn: NoLock | None = None,
        cleans_up: bool = False,
        capture: Capture | None = None,
    ) -> None:
        self.outbox = outbox or Outbox()
        self.replace = ""
        self._cleans_up = cleans_up
        self._shipment = shipment
        self._data = DataViews(shipment.data)
        self._turn = turn or NoLock()
        self._capture = capture or Capture()
        self._change = threading.Condition()
        self._queue: deque[Assignment] = deque()
        self._session: Session | None = None
        self._low = 0
        self._shut = False
        self._thread = threading.Thread(target=self._main, name="tunedsl-trials", daemon=True)
        self._thread.start()

    def push(self, commands: Sequence[WorkerCommand]) -> None:
        """Receive commands; a command for a trial that is not here is ignored."""
        with self._change:
            for command in commands:
                if isinstance(command, Assign):
                    self._queue.append(command.assignment)
                elif isinstance(command, ChangeSettings):
                    self._shipment = command.applied(self._shipment)
                    if self._session is not None:
                        self._session.change_settings(self._shipment)
                elif self._session is not None and self._session.is_attempt(command.trial, command.attempt):
                    if isinstance(command, Proceed):
                        self._session.proceed()
                    else:
                        self._session.halt()
                elif isinstance(command, Halt):
                    self._drop(command)
            self._low = len(self._queue) // 2
            self._change.notify_all()

    def drain(self, seconds: float) -> list[Message]:
        """Return the messages: urgent ones at once, others in groups, none after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (self.watch() or self.outbox.wait(min(seconds, BATCH_SECONDS))) and time.monotonic() < deadline:
            pass
        return self.outbox.take()

    def watch(self, shared: bool = False) -> bool:
        """Fail the running trial when it exceeds a time limit; abandon one whose code continues after its end.

        Args:
            shared: whether the process is the user's own, so that nothing can end the code of a trial. A trial that
                exceeds a limit then has the grace period to end.

        Returns:
            Whether this worker starts no further trial.
        """
        with self._change:
            session = self._session
            if session is None or self.replace:
                return bool(self.replace)
            overdue = session.exceeded_limit(time.perf_counter())
            if overdue is not None:
                session.fail_for_timeout(*overdue)
                if not shared:
                    self._retire(f"trial {session.assignment.name} {overdue[1]}")
                    return True
            excess = session.excess()
            if excess:
                self._give_up(session, excess, shared)
            return bool(excess)

    def _give_up(self, session: Session, excess: str, shared: bool) -> None:
        """Stop waiting for the code of a trial that ended, and warn where it hangs."""
        session.abandon()
        if self._thread.ident is not None:
            ACTIVE.discard(self._thread.ident)
        what = "its thread continues in the background" if shared else "its worker was replaced"
        hint = "do not catch TrialStopped, and give every wait after it a timeout; .timeout(grace=...) allows more time"
        notice = Notice(f"keeps running {session.assignment.name}", f"{excess}: {what}\n  help: {hint}", urgent=True)
        session.send(notice)
        self.outbox.worker_freed(session.number, session.attempt, urgent=True)
        self._retire(excess)

    def _retire(self, reason: str) -> None:
        """Start no further trial; the queued ones go to other workers."""
        self.replace = reason
        self._queue.clear()
        self._shut = True

    def halt(self) -> None:
        """End the running trial at its next report, and drop the queued ones."""
        with self._change:
            self._queue.clear()
            if self._session is not None:
                self._session.halt()

    def preempt(self, text: str) -> None:
        """Move the trials to another node: the running one at its next report with a checkpoint, queued ones at once.

        Args:
            text: the reason.
        """
        with self._change:
            queued = list(self._queue)
            self._queue.clear()
            if self._session is not None:
                self._session.preempt(text)
        for assignment in queued:
            failed = Failed(0.0, assignment.trial, "preempted", text)
            self.outbox.put(assignment.trial, assignment.attempt, failed)
            self.outbox.worker_freed(assignment.trial, assignment.attempt)

    def shut(self) -> None:
        """Halt, and end the thread after that."""
        self.halt()
        with self._change:
            self._shut = True
            self._change.notify_all()

    @property
    def thread(self) -> threading.Thread:
        """The thread that runs the trials."""
        return self._thread

    def join(self, seconds: float) -> bool:
        """Wait at most `seconds` for the thread to end; return whether it did."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _drop(self, command: Halt) -> None:
        for assignment in self._queue:
            if (assignment.trial, assignment.attempt) == (command.trial, command.attempt):
                self._queue.remove(assignment)
                self.outbox.worker_freed(assignment.trial, assignment.attempt)
                return

    def _main(self) -> None:
        cleanup = WorkerCleanup() if self._cleans_up else None
        while True:
            with self._change:
                self._change.wait_for(lambda: self._queue or self._shut)
                if self._shut:
                    return
                session = Session(self._shipment, self._queue.popleft(), self.outbox, self._turn, self._data)
                self._session = session
            self._turn.acquire()
            try:
                with self._capture.of(session):
                    run_trial(session)
            finally:
                self._turn.release()
            reason = self._clean_up(session, cleanup) if cleanup is not None else ""
            with self._change:
                self._session = None
                few = len(self._queue) <= self._low
            self.outbox.worker_freed(session.number, session.attempt, urgent=few)
            if reason:  # only now: the driver must know first that the trial is over
                with self._change:
                    self._retire(reason)
                self.outbox.wake_fetch()

    def _clean_up(self, session: Session, cleanup: WorkerCleanup) -> str:
        """Undo the trial's changes to this process; return why the worker must be replaced, if it must."""
        notices, reason = cleanup.clean_after(session.assignment.name)
        for notice in notices:
            session.send(notice)
        return reason

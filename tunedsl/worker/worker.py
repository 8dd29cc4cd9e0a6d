"""A worker: one thread that runs trials one after the other, and the desk where orders arrive.

The same worker serves the inline engine, in this process, and the Ray engine, in an actor.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from tunedsl.worker.commands import Assign, Halt, Proceed, WorkerCommand
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
"""How long reports that nobody waits for may collect before they travel."""


class Worker:
    """Runs what it is assigned, in order, until it is shut.

    Args:
        shipment: what the plan ships.
        outbox: where events go; workers of one process may share it.
        turn: held while a trial runs.
        tidy: whether to look at what trials leave behind in this process, which is the worker's own.
        capture: where trials' output goes.

    Attributes:
        replace: why this worker should make room for a new one, or empty. It begins no further trial then.
    """

    def __init__(
        self,
        shipment: Shipment,
        outbox: Outbox | None = None,
        turn: NoLock | None = None,
        tidy: bool = False,
        capture: Capture | None = None,
    ) -> None:
        self.outbox = outbox or Outbox()
        self.replace = ""
        self._looks_after = tidy
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

    def push(self, orders: Sequence[WorkerCommand]) -> None:
        """Takes orders; an order for a trial that is not here is passed over."""
        with self._change:
            for order in orders:
                if isinstance(order, Assign):
                    self._queue.append(order.assignment)
                elif self._session is not None and self._session.is_attempt(order.trial, order.attempt):
                    if isinstance(order, Proceed):
                        self._session.proceed()
                    else:
                        self._session.halt()
                elif isinstance(order, Halt):
                    self._drop(order)
            self._low = len(self._queue) // 2
            self._change.notify_all()

    def drain(self, seconds: float) -> list[Message]:
        """What happened, at once when somebody waits for it, else gathered; empty after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (self.watch() or self.outbox.wait(min(seconds, BATCH_SECONDS))) and time.monotonic() < deadline:
            pass
        return self.outbox.take()

    def watch(self, shared: bool = False) -> bool:
        """Fails the running trial where it is over its time, and gives up one whose code runs on after its end.

        Args:
            shared: whether this process is not the worker's own, so that nothing can end the code of a trial: one that
                is over its time has the grace period to end.

        Returns:
            Whether this worker begins no further trial.
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
        """Waits no longer for the code of a trial that is over; says where it hangs."""
        session.abandon()
        if self._thread.ident is not None:
            ACTIVE.discard(self._thread.ident)
        what = "its thread was left to itself, and runs on beside the others" if shared else "its worker was replaced"
        hint = "let TrialStopped pass, and wait for nothing without end after it; .timeout(grace=...) allows more"
        notice = Notice(f"ran on {session.assignment.name}", f"{excess}: {what}\nhelp: {hint}", urgent=True)
        session.send(notice)
        self.outbox.worker_freed(session.number, session.attempt, urgent=True)
        self._retire(excess)

    def _retire(self, why: str) -> None:
        """Begins no further trial; what is queued goes to other workers."""
        self.replace = why
        self._queue.clear()
        self._shut = True

    def halt(self) -> None:
        """Ends the running trial at its next report and drops the queued ones."""
        with self._change:
            self._queue.clear()
            if self._session is not None:
                self._session.halt()

    def shut(self) -> None:
        """Halts, and ends the thread after that."""
        self.halt()
        with self._change:
            self._shut = True
            self._change.notify_all()

    @property
    def thread(self) -> threading.Thread:
        """The thread that runs its trials."""
        return self._thread

    def join(self, seconds: float) -> bool:
        """Waits for the thread to end; says whether it did."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _drop(self, order: Halt) -> None:
        for assignment in self._queue:
            if (assignment.trial, assignment.attempt) == (order.trial, order.attempt):
                self._queue.remove(assignment)
                self.outbox.worker_freed(assignment.trial, assignment.attempt)
                return

    def _main(self) -> None:
        tidy = WorkerCleanup() if self._looks_after else None
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
            why = self._clean_up(session, tidy) if tidy is not None else ""
            with self._change:
                self._session = None
                few = len(self._queue) <= self._low
            self.outbox.worker_freed(session.number, session.attempt, urgent=few)
            if why:  # after that: whoever hears of it must know that the trial is over
                with self._change:
                    self._retire(why)
                self.outbox.wake_fetch()

    def _clean_up(self, session: Session, tidy: WorkerCleanup) -> str:
        """Puts back what the trial changed of this process; says why that is not enough, where it is not."""
        notices, why = tidy.clean_after(session.assignment.name)
        for notice in notices:
            session.send(notice)
        return why

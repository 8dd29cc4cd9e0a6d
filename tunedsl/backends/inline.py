"""The inline engine: runs the code of one trial at a time in this process, without Ray.

Each slot has a worker thread. The threads and the driver share one lock, so that only one of them runs at a time and
`breakpoint()` works. Each trial keeps its own global random state. Two trials run at the same time in one case only:
the code of a trial that ended exceeds the grace period and is abandoned.
"""

from __future__ import annotations

import threading
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from tunedsl.backends.delay_queue import DelayQueue
from tunedsl.backends.protocol import SHUTDOWN_SECONDS, Capacity
from tunedsl.base.keys import global_state, restore_globals
from tunedsl.base.machine import usable_memory
from tunedsl.plan import Plan
from tunedsl.worker import Message, NoLock, Notice, Outbox, Shipment, started_event
from tunedsl.worker.commands import Assign, ChangeSettings, WorkerCommand
from tunedsl.worker.output import Capture, capture
from tunedsl.worker.worker import Worker

WATCH_SECONDS: Final = 0.05
"""How often the driver checks the running trial while it waits for the lock."""


class ExecutionLock(NoLock):
    """A fair lock that keeps the global random state of each thread that holds it."""

    shared = True

    def __init__(self) -> None:
        self._served = threading.Condition()
        self._next = self._serving = 0
        self._cancelled: set[int] = set()
        self._abandoned: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self.holder: int | None = None
        self._local = threading.local()

    @property
    def wanted(self) -> bool:  # type: ignore[override]  # an attribute there
        return self._next > self._serving + 1

    def acquire(self, watch: Callable[[], None] | None = None) -> None:
        """Acquire the lock; `watch` is called periodically meanwhile. An abandoned thread never returns from here."""
        with self._served:
            ticket, self._next = self._next, self._next + 1
        try:
            while not self._is_served(ticket, None if watch is None else WATCH_SECONDS):
                if watch is not None:
                    watch()
        except BaseException:
            with self._served:
                self._return_ticket(ticket)
            raise
        state = getattr(self._local, "state", None)
        if state is not None:
            restore_globals(state)

    def _is_served(self, ticket: int, seconds: float | None) -> bool:
        with self._served:
            if self._is_abandoned():
                self._return_ticket(ticket)
                self._served.wait_for(lambda: False)
            served = self._served.wait_for(lambda: self._serving == ticket, seconds)
            if served:
                self.holder = threading.get_ident()
            return served

    def _return_ticket(self, ticket: int) -> None:
        if self._serving == ticket:
            self._serve_next()
        else:
            self._cancelled.add(ticket)  # skipped, so that the next one is served

    def release(self) -> None:
        state = global_state()
        with self._served:
            if self._is_abandoned():
                return  # `abandon` released it already
            self._local.state = state
            self._serve_next()

    def abandon(self, thread: threading.Thread) -> None:
        """Release the lock of a thread that can never acquire it again."""
        with self._served:
            self._abandoned.add(thread)
            if self.holder == thread.ident:
                self.holder = None
                self._serve_next()

    def _is_abandoned(self) -> bool:
        return bool(self._abandoned) and threading.current_thread() in self._abandoned

    def _serve_next(self) -> None:
        self._serving += 1
        while self._serving in self._cancelled:
            self._cancelled.discard(self._serving)
            self._serving += 1
        self._served.notify_all()

    def rotate(self) -> None:
        if self.wanted:
            self.release()
            self.acquire()


class InlineEngine:
    """Runs trials in this process, one at a time; `parallel(n)` interleaves n of them."""

    name = "inline"

    def __init__(self) -> None:
        self.tell: Callable[[str], None] = lambda text: None
        self._outbox = Outbox()
        self._turn = ExecutionLock()
        self._capture = Capture()
        self._leaving = False
        self._shipment: Shipment | None = None
        self._workers: list[Worker] = []
        self._idle: list[int] = []
        self._slots: dict[tuple[int, int], int] = {}
        self._waiting: list[Assign] = []
        self._started: list[Message] = []
        self._delayed = DelayQueue()
        self._before: tuple[Any, ...] | None = None

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        self.tell("running in this process, one trial at a time")
        self._before = global_state()
        width = plan.parallel or 1
        self._shipment = shipment
        self._turn.acquire()
        self._capture = capture(shipment.output, alone=False, holder=lambda: self._turn.holder)
        self._workers = [self._worker() for _ in range(width)]
        self._idle = list(reversed(range(width)))
        return Capacity(width, max_resources={"memory": usable_memory()} if plan.retry.grow > 1 else {})

    def now(self) -> float:
        return time.monotonic()

    def apply(self, commands: Sequence[WorkerCommand]) -> None:
        for command in commands:
            if isinstance(command, Assign):
                if not self._delayed.push(command, self.now()):
                    self._waiting.append(command)
            elif isinstance(command, ChangeSettings):
                assert self._shipment is not None  # the driver calls `open` first
                self._shipment = command.applied(self._shipment)
                for worker in self._workers:
                    worker.push([command])
            elif (command.trial, command.attempt) in self._slots:
                self._workers[self._slots[command.trial, command.attempt]].push([command])
            else:
                self._waiting = [wait for wait in self._waiting if wait.assignment.trial != command.trial]
                self._delayed.drop(command.trial, command.attempt)
        self._start_waiting()

    def poll(self, seconds: float) -> list[Message]:
        if not self._started:
            due = self._delayed.next()
            self._turn.release()
            self._outbox.wait(seconds if due is None else max(0.0, min(seconds, due - self.now())))
            self._turn.acquire(self._watch)
        messages, self._started = [*self._started, *self._outbox.take()], []
        for message in messages:
            slot = self._slots.pop((message.trial, message.attempt), None) if message.event is None else None
            if slot is not None:  # None for an abandoned attempt that ended later
                self._idle.append(slot)
        self._start_waiting()
        return messages

    def interrupt(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        self._leave(seconds)

    def abandon(self) -> None:
        """Close without waiting for trials; they end at their next report, or with the process."""
        for worker in self._workers:
            worker.shut()
        self._capture.close()
        if self._before is not None:
            restore_globals(self._before)

    def close(self) -> None:
        self._leave(SHUTDOWN_SECONDS)
        for message in self._outbox.take():
            if isinstance(message.event, Notice) and message.event.urgent:  # the driver receives no more messages
                warnings.warn(message.event.text, RuntimeWarning, stacklevel=2)
        self._capture.close()
        if self._before is not None:
            restore_globals(self._before)

    def _leave(self, seconds: float) -> None:
        """Wait for the halted trials to end."""
        self._leaving = True
        for worker in self._workers:
            worker.shut()
        self._turn.release()
        deadline = time.monotonic() + seconds
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        self._turn.acquire(self._watch)  # a trial releases it at its next report, or loses it after its grace period

    def _watch(self) -> None:
        """Check the running trial for its time limits, and for code that continues after its end."""
        for slot, worker in enumerate(self._workers):
            if worker.thread.ident == self._turn.holder and worker.watch(shared=True):
                self._turn.abandon(worker.thread)
                self._workers[slot] = self._worker()
                if self._leaving:
                    self._workers[slot].shut()

    def _worker(self) -> Worker:
        assert self._shipment is not None  # the driver calls `open` first
        return Worker(self._shipment, self._outbox, self._turn, capture=self._capture)

    def _start_waiting(self) -> None:
        self._waiting += self._delayed.due(self.now())
        while self._waiting and self._idle:
            assignment, slot = self._waiting.pop(0).assignment, self._idle.pop()
            self._slots[assignment.trial, assignment.attempt] = slot
            if not assignment.begun:
                # Sent before the trial runs, since its first report may take long.
                self._started.append(Message(assignment.trial, assignment.attempt, started_event(assignment)))
            self._workers[slot].push([Assign(replace(assignment, begun=True))])

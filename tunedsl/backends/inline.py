"""The inline engine: real work in this process, one trial's code at a time, no Ray.

Each place has a worker thread; a turn passes among them and the driver, so that never two run at
once, `breakpoint()` works, and a trial's global random state is put back before it goes on. A trial
whose code does not end in time after the trial has is left to itself: the only way in which two may run at once.
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
from tunedsl.backends.protocol import SHUTDOWN_SECONDS, Capacity, machine_memory
from tunedsl.base.keys import global_state, restore_globals
from tunedsl.plan import Plan
from tunedsl.worker import Message, NoLock, Notice, Outbox, Shipment, started_event
from tunedsl.worker.commands import Assign, WorkerCommand
from tunedsl.worker.output import Capture, capture
from tunedsl.worker.worker import Worker

WATCH_SECONDS: Final = 0.05
"""Between two looks at the trial that has the turn, while the driver waits for it."""


class ExecutionLock(NoLock):
    """One lock, first come first served, that carries the global random state of its holder."""

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
        """Waits for the turn; `watch` is called again and again meanwhile. A thread that was abandoned stays here."""
        with self._served:
            ticket, self._next = self._next, self._next + 1
        try:
            while not self._is_served(ticket, None if watch is None else WATCH_SECONDS):
                if watch is not None:
                    watch()
        except BaseException:
            with self._served:
                self._give_back(ticket)
            raise
        state = getattr(self._local, "state", None)
        if state is not None:
            restore_globals(state)

    def _is_served(self, ticket: int, seconds: float | None) -> bool:
        with self._served:
            if self._is_abandoned():
                self._give_back(ticket)
                self._served.wait_for(lambda: False)
            served = self._served.wait_for(lambda: self._serving == ticket, seconds)
            if served:
                self.holder = threading.get_ident()
            return served

    def _give_back(self, ticket: int) -> None:
        if self._serving == ticket:
            self._serve_next()
        else:
            self._cancelled.add(ticket)  # whoever waits behind is served all the same

    def release(self) -> None:
        state = global_state()
        with self._served:
            if self._is_abandoned():
                return  # it was taken away already
            self._local.state = state
            self._serve_next()

    def abandon(self, thread: threading.Thread) -> None:
        """Takes the turn away from a thread, which never has it again."""
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
    """Runs trials in this process. `parallel(n)` interleaves n of them; without it, one at a time."""

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
        self._place: dict[tuple[int, int], int] = {}
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
        return Capacity(width, max_resources={"memory": machine_memory()} if plan.retry.grow > 1 else {})

    def now(self) -> float:
        return time.monotonic()

    def apply(self, orders: Sequence[WorkerCommand]) -> None:
        for order in orders:
            if isinstance(order, Assign):
                if not self._delayed.push(order, self.now()):
                    self._waiting.append(order)
            elif (order.trial, order.attempt) in self._place:
                self._workers[self._place[order.trial, order.attempt]].push([order])
            else:
                self._waiting = [wait for wait in self._waiting if wait.assignment.trial != order.trial]
                self._delayed.drop(order.trial, order.attempt)
        self._place_waiting()

    def poll(self, seconds: float) -> list[Message]:
        if not self._started:
            due = self._delayed.next()
            self._turn.release()
            self._outbox.wait(seconds if due is None else max(0.0, min(seconds, due - self.now())))
            self._turn.acquire(self._watch)
        messages, self._started = [*self._started, *self._outbox.take()], []
        for message in messages:
            place = self._place.pop((message.trial, message.attempt), None) if message.event is None else None
            if place is not None:  # None for one that was abandoned, and has ended after all
                self._idle.append(place)
        self._place_waiting()
        return messages

    def interrupt(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        self._leave(seconds)

    def abandon(self) -> None:
        """Leaves without waiting for trials; they end at their next report, or with the process."""
        for worker in self._workers:
            worker.shut()
        self._capture.close()
        if self._before is not None:
            restore_globals(self._before)

    def close(self) -> None:
        self._leave(SHUTDOWN_SECONDS)
        for message in self._outbox.take():
            if isinstance(message.event, Notice) and message.event.urgent:  # the driver has heard its last
                warnings.warn(message.event.text, RuntimeWarning, stacklevel=2)
        self._capture.close()
        if self._before is not None:
            restore_globals(self._before)

    def _leave(self, seconds: float) -> None:
        """Lets the trials that were halted come to their end, so that none of them runs after this."""
        self._leaving = True
        for worker in self._workers:
            worker.shut()
        self._turn.release()
        deadline = time.monotonic() + seconds
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        self._turn.acquire(self._watch)  # from a trial that runs to its next report, or beyond its grace period

    def _watch(self) -> None:
        """Looks after the trial that has the turn: its limits of time, and whether it runs on after its end."""
        for place, worker in enumerate(self._workers):
            if worker.thread.ident == self._turn.holder and worker.watch(shared=True):
                self._turn.abandon(worker.thread)
                self._workers[place] = self._worker()
                if self._leaving:
                    self._workers[place].shut()

    def _worker(self) -> Worker:
        assert self._shipment is not None  # the driver opens an engine before it uses it
        return Worker(self._shipment, self._outbox, self._turn, capture=self._capture)

    def _place_waiting(self) -> None:
        self._waiting += self._delayed.due(self.now())
        while self._waiting and self._idle:
            order, place = self._waiting.pop(0), self._idle.pop()
            assignment = order.assignment
            self._place[assignment.trial, assignment.attempt] = place
            if not assignment.begun:
                # The driver hears of it before the trial has its turn: the first report may be long in coming.
                self._started.append(Message(assignment.trial, assignment.attempt, started_event(assignment)))
            self._workers[place].push([Assign(replace(assignment, begun=True))])

"""The inline engine: real work in this process, one trial's code at a time, no Ray.

Each place has a worker thread; a turn passes among them and the driver, so that never two run at
once, `breakpoint()` works, and a trial's global random state is put back before it goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from tunedsl.backends.delay_queue import DelayQueue
from tunedsl.backends.protocol import SHUTDOWN_SECONDS, Capacity, machine_memory
from tunedsl.base.keys import global_state, restore_globals
from tunedsl.plan import Plan
from tunedsl.worker import Message, NoLock, Outbox, Shipment, started_event
from tunedsl.worker.commands import Assign, WorkerCommand
from tunedsl.worker.output import Capture, capture
from tunedsl.worker.worker import Worker


class ExecutionLock(NoLock):
    """One lock, first come first served, that carries the global random state of its holder."""

    def __init__(self) -> None:
        self._served = threading.Condition()
        self._next = self._serving = 0
        self._cancelled: set[int] = set()
        self.holder: int | None = None
        self._local = threading.local()

    def acquire(self) -> None:
        with self._served:
            ticket, self._next = self._next, self._next + 1
            try:
                self._served.wait_for(lambda: self._serving == ticket)
            except BaseException:
                if self._serving == ticket:
                    self._serve_next()
                else:
                    self._cancelled.add(ticket)  # whoever waits behind is served all the same
                raise
            self.holder = threading.get_ident()
        state = getattr(self._local, "state", None)
        if state is not None:
            restore_globals(state)

    def release(self) -> None:
        self._local.state = global_state()
        with self._served:
            self._serve_next()

    def _serve_next(self) -> None:
        self._serving += 1
        while self._serving in self._cancelled:
            self._cancelled.discard(self._serving)
            self._serving += 1
        self._served.notify_all()

    def rotate(self) -> None:
        if self._next > self._serving + 1:
            self.release()
            self.acquire()


class InlineEngine:
    """Runs trials in this process. `parallel(n)` interleaves n of them; without it, one at a time."""

    name = "inline"

    def __init__(self) -> None:
        self._outbox = Outbox()
        self._turn = ExecutionLock()
        self._capture = Capture()
        self._workers: list[Worker] = []
        self._idle: list[int] = []
        self._place: dict[tuple[int, int], int] = {}
        self._waiting: list[Assign] = []
        self._started: list[Message] = []
        self._delayed = DelayQueue()
        self._before: tuple[Any, ...] | None = None

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        self._before = global_state()
        width = plan.parallel or 1
        self._turn.acquire()
        self._capture = capture(shipment.output, alone=False, holder=lambda: self._turn.holder)
        self._workers = [Worker(shipment, self._outbox, self._turn, capture=self._capture) for _ in range(width)]
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
            self._turn.acquire()
        messages, self._started = [*self._started, *self._outbox.take()], []
        for message in messages:
            if message.event is None:
                self._idle.append(self._place.pop((message.trial, message.attempt)))
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
        self._capture.close()
        if self._before is not None:
            restore_globals(self._before)

    def _leave(self, seconds: float) -> None:
        """Lets the trials that were halted come to their end, so that none of them runs after this."""
        for worker in self._workers:
            worker.shut()
        self._turn.release()
        deadline = time.monotonic() + seconds
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        self._turn.acquire()

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

"""The events of a worker that wait for the driver. The trial's thread and the driver's thread share nothing else."""

from __future__ import annotations

import threading
from typing import Final

from tunedsl.kernel.events import Event
from tunedsl.worker.messages import Message, Notice
from tunedsl.worker.report_batch import ReportBatch

MAX_BYTES: Final = 2**23
"""Bytes of collected reports from which a trial waits until they are fetched, as while the driver's disk is full."""


class Outbox:
    """A queue of messages, with a signal for the thread that fetches them.

    Attributes:
        ready: the condition that guards the queue and the batches of its sessions.
        size: bytes of the reports in it, about.
    """

    def __init__(self) -> None:
        self.ready = threading.Condition()
        self.size = 0
        self._urgent = False
        self._fetched = 0
        self._messages: list[Message] = []
        self._open_batch: ReportBatch | None = None

    def put(self, trial: int, attempt: int, event: Event | Notice) -> None:
        """Add an event after the reports collected so far."""
        self._append(Message(trial, attempt, event))

    def worker_freed(self, trial: int, attempt: int, urgent: bool = False) -> None:
        """Add the message that an attempt no longer occupies its worker."""
        with self.ready:
            self._append(Message(trial, attempt, None))
            if urgent:
                self.wake_fetch()

    def _append(self, message: Message) -> None:
        with self.ready:
            self.seal()
            self._messages.append(message)

    def collect(self, batch: ReportBatch) -> None:
        """Register a batch that collects reports; the next `seal` makes it an event."""
        with self.ready:
            self.seal()
            self._open_batch = batch

    def seal(self) -> None:
        """Make one event of the reports collected so far."""
        with self.ready:
            batch, self._open_batch = self._open_batch, None
            if batch is not None:
                self._messages.append(Message(batch.trial, batch.attempt, batch.take_event()))

    @property
    def is_full(self) -> bool:
        """Whether trials must wait before they report again."""
        return self.size >= MAX_BYTES

    def wake_fetch(self) -> None:
        """Let a waiting fetch return now."""
        with self.ready:
            self._urgent = True
            self.ready.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for an urgent message; return whether the outbox has any message."""
        with self.ready:
            self.ready.wait_for(lambda: self._urgent, seconds)
            return self._urgent or bool(self._messages) or self._open_batch is not None

    def flush(self, seconds: float) -> None:
        """Wait at most `seconds` until another thread has fetched the messages."""
        with self.ready:
            self.wake_fetch()
            before = self._fetched
            self.ready.wait_for(lambda: self._fetched != before, seconds)

    def take(self) -> list[Message]:
        """Remove and return all messages."""
        with self.ready:
            self._fetched += 1
            self.ready.notify_all()
            self.seal()
            messages, self._messages, self._urgent = self._messages, [], False
            self.size = 0
            return messages

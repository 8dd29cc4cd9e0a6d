"""Between the engine and the journal: in which order events are taken.

Under `arrival` they are taken as they come. Under `logical` each trial has a virtual clock that
goes forward by one for each iteration, beginning where its launch stands; the event with the
smallest (time, trial) is taken next, and not before no running trial can yield an earlier one.
What fails and is run again takes no virtual time: the experiment goes on as if nothing had failed.
So the order depends on what the trials report and never on how fast they are.
Source: conservative parallel discrete-event simulation (Chandy and Misra 1979).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec.structs import replace

from tunedsl.kernel import Command, Ended, Event, Failed, Launch, Pause, Proposed, Reported, Started, Stop


class Sequencer(Protocol):
    """Takes the engine's events in, gives them out in order; is told what became of each."""

    def push(self, events: Iterable[tuple[int, Event]]) -> None:
        """Takes events in, each with its trial."""

    def next(self) -> Event | None:
        """The next event in order, or None while it is not known yet."""

    def follow(self, event: Event, commands: Sequence[Command]) -> None:
        """Follows one record of the journal: an event and its commands."""


class ArrivalOrder:
    """First come, first served."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()

    def push(self, events: Iterable[tuple[int, Event]]) -> None:
        self._events.extend(event for _, event in events)

    def next(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def follow(self, event: Event, commands: Sequence[Command]) -> None:
        """Arrival needs no memory."""


class LogicalOrder:
    """By virtual time, ties by trial number. Each live trial stands in the heap exactly once."""

    def __init__(self) -> None:
        self._now = 0
        self._heap: list[tuple[int, int]] = []
        self._clock: dict[int, int] = {}
        self._queues: dict[int, deque[Event]] = {}
        self._begun: set[int] = set()
        self._restarted: set[int] = set()  # trials that are run again, and had begun before

    def push(self, events: Iterable[tuple[int, Event]]) -> None:
        for trial, event in events:
            queue = self._queues.get(trial)
            if queue is not None:
                queue.extend(_split_batch(event))

    def next(self) -> Event | None:
        while self._heap:
            time, trial = self._heap[0]
            if self._clock.get(trial) != time:
                heapq.heappop(self._heap)  # an entry of before, or of a trial that is gone
                continue
            queue = self._queues[trial]
            return queue.popleft() if queue else None
        return None

    def follow(self, event: Event, commands: Sequence[Command]) -> None:
        trial = getattr(event, "trial", None)
        again = midway = False
        if not isinstance(event, Proposed) and trial in self._clock:
            self._now = self._clock[trial]
            if isinstance(event, Failed):
                again, midway = True, trial in self._begun or trial in self._restarted
                self._forget(trial)
            elif isinstance(event, Ended) or (isinstance(event, Reported) and event.ends):
                self._forget(trial)
            elif isinstance(event, Started):
                self._set(trial, self._now + (trial not in self._restarted))
                self._restarted.discard(trial)
                self._begun.add(trial)
            elif isinstance(event, Reported):
                self._set(trial, self._now + 1)
        for command in commands:
            if isinstance(command, Launch):
                self._queues[command.trial] = deque()
                if again and command.trial == trial:
                    # it stands where it stood, so that a failure leaves no trace in the order of the others
                    self._set(command.trial, self._now)
                    if midway:
                        self._restarted.add(command.trial)
                else:
                    # what it passes in silence, from its checkpoint on, takes its time too
                    self._set(command.trial, self._now + command.known_iterations - command.checkpoint)
            elif isinstance(command, (Stop, Pause)):
                self._forget(command.trial)

    def _set(self, trial: int, time: int) -> None:
        self._clock[trial] = time
        heapq.heappush(self._heap, (time, trial))

    def _forget(self, trial: int) -> None:
        self._clock.pop(trial, None)
        self._queues.pop(trial, None)
        self._begun.discard(trial)
        self._restarted.discard(trial)


def _split_batch(event: Event) -> Iterable[Event]:
    """A batch of reports as one event an iteration, so that batching leaves no trace."""
    if not isinstance(event, Reported) or len(event.rows) == 1:
        return (event,)
    last = len(event.rows) - 1
    return [
        replace(
            event,
            first=event.first + index,
            rows=(row,),
            times=event.times[index : index + 1],
            waits=event.waits and index == last,
            ends=event.ends if index == last else "",
            saved=event.saved if index == last else "",
            data=event.data[index : index + 1],
        )
        for index, row in enumerate(event.rows)
    ]

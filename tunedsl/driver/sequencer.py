"""The order in which the driver takes events from the engine.

Under `arrival` it takes them as they come. Under `logical` each trial has a virtual clock that starts at its launch and
advances by one per iteration. The event with the smallest (time, trial) is next, once no running trial can yield an
earlier one. A retry takes no virtual time, so a failure does not change the order. The order depends on what trials
report and never on their speed. What an event causes is decided elsewhere, by the kernel.

Source: conservative parallel discrete-event simulation (Chandy and Misra 1979).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol, cast

from msgspec.structs import replace

from tunedsl.kernel import (
    Command,
    Ended,
    Event,
    Failed,
    Launch,
    Pause,
    Proposed,
    Reported,
    RunState,
    Saved,
    Started,
    Stop,
)


class Sequencer(Protocol):
    """Receives the engine's events, returns them in order, and follows the journal's records."""

    def push(self, events: Iterable[tuple[int, Event]]) -> None:
        """Adds events, each with its trial."""

    def next(self) -> Event | None:
        """The next event in order, or None while it is not yet known."""

    def follow(self, event: Event, commands: Sequence[Command]) -> None:
        """Follows one record of the journal: an event and its commands."""


class ArrivalOrder:
    """Returns events in the order of their arrival."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()

    def push(self, events: Iterable[tuple[int, Event]]) -> None:
        self._events.extend(event for _, event in events)

    def next(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def follow(self, event: Event, commands: Sequence[Command]) -> None:
        """Does nothing: the order of arrival has no state."""


class LogicalOrder:
    """Returns events by virtual time, then by trial number; each live trial is in the heap exactly once."""

    def __init__(self) -> None:
        self._now = 0
        self._heap: list[tuple[int, int]] = []
        self._clock: dict[int, int] = {}
        self._queues: dict[int, deque[Event]] = {}
        self._begun: set[int] = set()
        self._restarted: set[int] = set()  # retried trials that had started before

    def push(self, events: Iterable[tuple[int, Event]]) -> None:
        for trial, event in events:
            queue = self._queues.get(trial)
            if queue is not None:
                queue.extend(_split_batch(event))

    def next(self) -> Event | None:
        while self._heap:
            time, trial = self._heap[0]
            if self._clock.get(trial) != time:
                heapq.heappop(self._heap)  # an outdated entry, or a trial that has ended
                continue
            queue = self._queues[trial]
            return queue.popleft() if queue else None
        return None

    def follow(self, event: Event, commands: Sequence[Command]) -> None:
        trial = getattr(event, "trial", None)
        retried = had_started = False
        if not isinstance(event, Proposed) and trial in self._clock:
            self._now = self._clock[trial]
            if isinstance(event, Failed):
                retried, had_started = True, trial in self._begun or trial in self._restarted
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
                if retried and command.trial == trial:
                    # the clock keeps its time, so that a failure does not affect the order of other trials
                    self._set(command.trial, self._now)
                    if had_started:
                        self._restarted.add(command.trial)
                else:
                    # iterations that the trial repeats after its checkpoint without reports take time too
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
    """Splits a batch of reports into one event per iteration, so that batching does not affect the order."""
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


def is_outdated(state: RunState, event: Event) -> bool:
    """Whether an event is outdated: its trial has ended, or the journal already has the event."""
    number = getattr(event, "trial", None)
    trial = state.trials[cast(int, number)]  # engines only send events of trials
    if trial.number not in state.live:
        return True
    if isinstance(event, Started):
        return trial.phase == "RUNNING"
    if isinstance(event, Reported):
        return event.last <= trial.iteration
    return isinstance(event, Saved) and event.iteration < trial.iteration

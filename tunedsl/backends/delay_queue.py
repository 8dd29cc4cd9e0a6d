"""A queue of assignments that must wait before they start, ordered by due time. All backends use it."""

from __future__ import annotations

import heapq

from tunedsl.worker.commands import Assign


class DelayQueue:
    """Holds assignments until they are due; a backend polls it."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Assign]] = []
        self._held: set[tuple[int, int]] = set()
        self._count = 0

    def push(self, command: Assign, now: float) -> bool:
        """Add an assignment that has to wait; return whether it was added."""
        if command.wait <= 0:
            return False
        self._count += 1
        self._held.add((command.assignment.trial, command.assignment.attempt))
        heapq.heappush(self._heap, (now + command.wait, self._count, command))
        return True

    def drop(self, trial: int, attempt: int) -> None:
        """Remove an attempt."""
        self._held.discard((trial, attempt))

    def clear(self) -> None:
        """Remove all attempts."""
        self._held.clear()

    def due(self, now: float) -> list[Assign]:
        """Remove and return the assignments that are due."""
        found = []
        while self._heap and (self._heap[0][0] <= now or not self._contains(self._heap[0][2])):
            command = heapq.heappop(self._heap)[2]
            if self._contains(command):
                self._held.discard((command.assignment.trial, command.assignment.attempt))
                found.append(command)
        return found

    def next(self) -> float | None:
        """Return when the next assignment is due, on the backend's clock; None for an empty queue."""
        while self._heap and not self._contains(self._heap[0][2]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _contains(self, command: Assign) -> bool:
        return (command.assignment.trial, command.assignment.attempt) in self._held

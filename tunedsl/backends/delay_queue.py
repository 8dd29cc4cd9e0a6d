"""Assignments that are to wait before they may be placed, by when that is over; what engines have in common."""

from __future__ import annotations

import heapq

from tunedsl.worker.commands import Assign


class DelayQueue:
    """Holds assignments until they are due; an engine asks now and then which are."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Assign]] = []
        self._held: set[tuple[int, int]] = set()
        self._count = 0

    def push(self, order: Assign, now: float) -> bool:
        """Takes an assignment that has to wait; says whether it did."""
        if order.wait <= 0:
            return False
        self._count += 1
        self._held.add((order.assignment.trial, order.assignment.attempt))
        heapq.heappush(self._heap, (now + order.wait, self._count, order))
        return True

    def drop(self, trial: int, attempt: int) -> None:
        """Forgets an attempt."""
        self._held.discard((trial, attempt))

    def clear(self) -> None:
        """Forgets all."""
        self._held.clear()

    def due(self, now: float) -> list[Assign]:
        """The assignments that have waited long enough, each once."""
        found = []
        while self._heap and (self._heap[0][0] <= now or not self._contains(self._heap[0][2])):
            order = heapq.heappop(self._heap)[2]
            if self._contains(order):
                self._held.discard((order.assignment.trial, order.assignment.attempt))
                found.append(order)
        return found

    def next(self) -> float | None:
        """When the next one is due, on the engine's clock; None where none waits."""
        while self._heap and not self._contains(self._heap[0][2]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _contains(self, order: Assign) -> bool:
        return (order.assignment.trial, order.assignment.attempt) in self._held

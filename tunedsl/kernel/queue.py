"""The trials that wait for a slot, in the order of their launch: an immutable priority queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import immutables
import msgspec

Entry = tuple[int, int]


class TrialQueue(msgspec.Struct, frozen=True):
    """Trials by place and number. Adding and taking one costs logarithmic time.

    Attributes:
        places: the place of each trial; None is place 0.
        heap: a binary heap of pairs of place and number, by index. Trials that have left may still be in it.

    >>> queue = TrialQueue().update({7: 1, 4: 0, 9: None})
    >>> queue.delete(4).take(2)[0], len(queue)
    ([9, 7], 3)
    """

    places: immutables.Map[int, int | None] = immutables.Map()
    heap: immutables.Map[int, Entry] = immutables.Map()

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[int]:
        return iter(self.places)

    def __contains__(self, number: object) -> bool:
        return number in self.places

    def set(self, number: int, place: int | None) -> TrialQueue:
        """The queue with one more trial."""
        return self.update({number: place})

    def update(self, places: Mapping[int, int | None]) -> TrialQueue:
        """The queue with more trials."""
        heap = self.heap.mutate()
        for number, place in places.items():
            entry, index = (place or 0, number), len(heap)
            while index and entry < heap[(index - 1) // 2]:
                heap[index] = heap[(index - 1) // 2]
                index = (index - 1) // 2
            heap[index] = entry
        return TrialQueue(self.places.update(places), heap.finish())

    def delete(self, number: int) -> TrialQueue:
        """The queue without a trial."""
        return TrialQueue(self.places.delete(number), self.heap)

    def take(self, count: int) -> tuple[list[int], TrialQueue]:
        """The first `count` trials, and the queue without them."""
        places, heap = self.places.mutate(), self.heap.mutate()
        taken: list[int] = []
        while len(places) and len(taken) < count:
            place, number = _pop(heap)
            if number in places and (places[number] or 0) == place:
                del places[number]
                taken.append(number)
        return taken, TrialQueue(places.finish(), heap.finish()) if len(places) else TrialQueue()


def _pop(heap: immutables.MapMutation[int, Entry]) -> Entry:
    """Removes the smallest entry of a binary heap and returns it."""
    first, last, index = heap[0], heap.pop(len(heap) - 1), 0
    while (child := 2 * index + 1) < len(heap):
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if last <= heap[child]:
            break
        heap[index] = heap[child]
        index = child
    if len(heap):
        heap[index] = last
    return first

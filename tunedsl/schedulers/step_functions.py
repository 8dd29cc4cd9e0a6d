"""Step functions of time, one for each trial, with the exact median of those that are defined at any time.

Steps are in a tuple of cells, sorted by value, start and end. A step that is added copies one cell and the tuple, about
the square root of all steps, and every earlier set of steps remains valid. A median looks at the number of each cell's
steps at its time, and makes one vectorised pass over the cell that has the median.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right, insort

import msgspec
import numpy as np
from msgspec.structs import replace

from tunedsl.schedulers.ranking import chunk_size

_CELL_SIZE = 1024
"""The smallest size to which a full cell is cut."""
Step = tuple[float, float, float]
"""A value, and the start and the end of the time for which a trial has it."""


class Cell(msgspec.Struct, frozen=True):
    """Steps with neighbouring values; a step has its value from its start until just before its end.

    Attributes:
        values, starts, ends: of each step, sorted by all three.
        start_times, end_times: all starts and all ends, each sorted by time.
    """

    values: array[float]
    starts: array[float]
    ends: array[float]
    start_times: array[float]
    end_times: array[float]


class Steps(msgspec.Struct, frozen=True):
    """Cells that are not empty, in the order of their steps; `size` is the number of steps."""

    cells: tuple[Cell, ...] = ()
    size: int = 0


def add(steps: Steps, value: float, time: float) -> Steps:
    """The steps with one more, which lasts for this time alone until `extend` is called; value and time are finite."""
    return _with_step(steps, (value, time, math.nextafter(time, math.inf)))


def _with_step(steps: Steps, step: Step) -> Steps:
    value, start, end = step
    if not steps.cells:
        return Steps((_cell(array("d", [value]), array("d", [start]), array("d", [end])),), 1)
    at = _cell_index(steps, step)
    cell = steps.cells[at]
    into = _range_in(cell, step)[1]
    values, starts, ends = cell.values[:], cell.starts[:], cell.ends[:]
    values.insert(into, value)
    starts.insert(into, start)
    ends.insert(into, end)
    grown, size = Steps(steps.cells, steps.size + 1), chunk_size(_CELL_SIZE, 16 * steps.size)
    if len(values) > 2 * size:
        halves = (slice(None, size), slice(size, None))
        return _replaced(grown, at, *(_cell(values[half], starts[half], ends[half]) for half in halves))
    start_times, end_times = cell.start_times[:], cell.end_times[:]
    insort(start_times, start)
    insort(end_times, end)
    return _replaced(grown, at, Cell(values, starts, ends, start_times, end_times))


def extend(steps: Steps, value: float, start: float, end: float) -> Steps:
    """The steps in which one that `add` made lasts until just before `end`, which is not before its start.

    >>> count_at(extend(add(Steps(), 0.5, 1.0), 0.5, 1.0, 3.0), 2.0), count_at(add(Steps(), 0.5, 1.0), 2.0)
    (1, 0)
    """
    known, new = (value, start, math.nextafter(start, math.inf)), (value, start, end)
    at = _cell_index(steps, known)
    cell, index = steps.cells[at], _range_in(steps.cells[at], known)[0]
    if _cell_index(steps, new) != at:
        return _with_step(_without_step(steps, at, index), new)
    low, high = _range_in(cell, (value, start))
    ends, end_times = cell.ends[:], cell.end_times[:]
    del ends[index], end_times[bisect_left(end_times, known[2])]
    ends.insert(bisect_right(ends, end, low, high - 1), end)
    insort(end_times, end)
    return _replaced(steps, at, replace(cell, ends=ends, end_times=end_times))


def _without_step(steps: Steps, at: int, index: int) -> Steps:
    cell = steps.cells[at]
    rest = [numbers[:index] + numbers[index + 1 :] for numbers in (cell.values, cell.starts, cell.ends)]
    return _replaced(Steps(steps.cells, steps.size - 1), at, *([_cell(*rest)] if rest[0] else []))


def count_at(steps: Steps, time: float) -> int:
    """The number of functions that are defined at a time."""
    return sum(_counts(steps, time))


def median_at(steps: Steps, time: float) -> float:
    """The median of all functions at a time, equal to `numpy.median`; NaN if none is defined there.

    >>> median_at(add(add(Steps(), 1.0, 5.0), 4.0, 5.0), 5.0), median_at(add(Steps(), 1.0, 5.0), 6.0)
    (2.5, nan)
    """
    counts = _counts(steps, time)
    total = sum(counts)
    if not total:
        return math.nan
    low = _at_rank(steps, counts, time, (total - 1) // 2)
    return low if total % 2 else (low + _at_rank(steps, counts, time, total // 2)) / 2


def _counts(steps: Steps, time: float) -> list[int]:
    return [bisect_right(cell.start_times, time) - bisect_right(cell.end_times, time) for cell in steps.cells]


def _at_rank(steps: Steps, counts: list[int], time: float, index: int) -> float:
    """The value with this number of values before it, of the functions at a time."""
    for cell, count in zip(steps.cells, counts, strict=True):
        if index < count:
            starts, ends = np.frombuffer(cell.starts), np.frombuffer(cell.ends)
            return cell.values[int(np.flatnonzero((starts <= time) & (ends > time))[index])]
        index -= count
    raise IndexError(index)


def _cell(values: array[float], starts: array[float], ends: array[float]) -> Cell:
    return Cell(values, starts, ends, array("d", sorted(starts)), array("d", sorted(ends)))


def _cell_index(steps: Steps, step: Step) -> int:
    """The index of the last cell that does not begin after a step."""
    return max(bisect_right(steps.cells, step, key=_first_step) - 1, 0)


def _first_step(cell: Cell) -> Step:
    return cell.values[0], cell.starts[0], cell.ends[0]


def _range_in(cell: Cell, first: tuple[float, ...]) -> tuple[int, int]:
    """The place in a cell of the steps that begin with these numbers, as the indices of its begin and its end."""
    low, high = 0, len(cell.values)
    for numbers, number in zip((cell.values, cell.starts, cell.ends), first, strict=False):
        low, high = bisect_left(numbers, number, low, high), bisect_right(numbers, number, low, high)
    return low, high


def _replaced(steps: Steps, at: int, *cells: Cell) -> Steps:
    return Steps(steps.cells[:at] + cells + steps.cells[at + 1 :], steps.size)

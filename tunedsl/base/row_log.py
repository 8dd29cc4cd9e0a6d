"""A persistent log of rows of numbers: its versions share one growing array, and each version sees its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MemoryOrder = Literal["C", "F"]
"""Which numbers are neighbours in memory: those of a row (C), or those of a column (F)."""


class _Buffer:
    """An array with spare rows, and the number of used ones."""

    __slots__ = ("array", "used")

    def __init__(self, array: Floats, used: int) -> None:
        self.array, self.used = array, used


@attrs.frozen(eq=False, repr=False)
class RowLog:
    """Rows of numbers; `append` returns a new log and leaves this one unchanged."""

    _buffer: _Buffer
    size: int
    _order: MemoryOrder = "C"

    @staticmethod
    def empty(width: int, order: MemoryOrder = "C") -> RowLog:
        """An empty log of rows of some width."""
        return RowLog(_Buffer(np.empty((16, width), order=order), 0), 0, order)

    def __repr__(self) -> str:
        return f"RowLog({self.rows.tolist()!r})"

    @property
    def width(self) -> int:
        """The number of columns."""
        return int(self._buffer.array.shape[1])

    @property
    def rows(self) -> Floats:
        """Shape (size, width), read only."""
        view = self._buffer.array[: self.size]
        view.flags.writeable = False
        return view

    def widened(self, width: int) -> RowLog:
        """This log with rows of at least some width; the new columns are NaN."""
        known = self.width
        if known >= width:
            return self
        wider = np.full((self.size + 16, width), np.nan, order=self._order)
        wider[: self.size, :known] = self.rows
        return RowLog(_Buffer(wider, self.size), self.size, self._order)

    def append(self, row: Sequence[float] | Floats) -> RowLog:
        """This log with one more row.

        >>> one = RowLog.empty(2).append([1.0, 2.0])
        >>> one.append([3.0, 4.0]).rows.tolist(), one.rows.tolist()
        ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0]])
        """
        buffer = self._buffer
        if buffer.used != self.size or self.size == len(buffer.array):
            # Another version has appended to the buffer, or it is full: copy it to one of twice the size.
            grown = np.empty((max(16, 2 * self.size), self.width), order=self._order)
            grown[: self.size] = buffer.array[: self.size]
            buffer = _Buffer(grown, self.size)
        buffer.array[self.size] = row
        buffer.used += 1
        return RowLog(buffer, self.size + 1, self._order)

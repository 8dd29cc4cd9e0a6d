"""A rung: the values of trials at one milestone, sorted, persistent, with exact quantiles.

Values are in a tuple of sorted chunks. Recording a value copies one chunk and the tuple, about the square root of all
values, and every earlier rung remains valid. A chunk is an array of machine floats, which is fast to copy and never
changes once it is in a rung.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from itertools import accumulate
from operator import itemgetter

import msgspec

from tunedsl.schedulers.ranking import at_rank, chunk_size

_CHUNK_SIZE = 1024
"""The smallest size to which a full chunk is cut."""
_first = itemgetter(0)


class Rung(msgspec.Struct, frozen=True):
    """Sorted values in chunks that are not empty; `size` is their number."""

    chunks: tuple[array[float], ...] = ()
    size: int = 0


def record(rung: Rung, value: float) -> Rung:
    """The rung with one more value; NaN is not added, since it has no rank.

    >>> record(record(Rung(), 2.0), 1.0)
    Rung(chunks=(array('d', [1.0, 2.0]),), size=2)
    """
    if value != value:
        return rung
    if not rung.chunks:
        return Rung((array("d", [value]),), 1)
    at = max(bisect_right(rung.chunks, value, key=_first) - 1, 0)
    grown = rung.chunks[at][:]
    grown.insert(bisect_right(grown, value), value)
    size = chunk_size(_CHUNK_SIZE, 16 * rung.size)  # machine floats are fast to copy
    parts = (grown,) if len(grown) <= 2 * size else (grown[:size], grown[size:])
    return Rung(rung.chunks[:at] + parts + rung.chunks[at + 1 :], rung.size + 1)


def quantile(rung: Rung, q: float) -> float:
    """The `q`-quantile, linear between neighbours; NaN for an empty rung.

    Equal to the last bit to `numpy.nanquantile(values, q)`, also if infinities make it NaN.

    >>> quantile(Rung((array("d", [1.0, 2.0, 4.0]),), 3), 0.75)
    3.0

    Source: Hyndman and Fan (1996), definition 7, in NumPy's arithmetic.
    """
    if not rung.size:
        return math.nan
    position = (rung.size - 1) * q
    below = min(int(position), rung.size - 1)
    weight = position - below
    ends = list(accumulate(map(len, rung.chunks)))
    at = bisect_right(ends, below)
    low = rung.chunks[at][below - ends[at]]
    if below == rung.size - 1:
        high = low
    elif below + 1 < ends[at]:
        high = rung.chunks[at][below + 1 - ends[at]]
    else:
        high = rung.chunks[at + 1][0]
    step = high - low
    return high - step * (1 - weight) if weight >= 0.5 else low + step * weight


def median(rung: Rung) -> float:
    """The median of a rung that is not empty, equal to `numpy.median`.

    >>> median(Rung((array("d", [1.0, 2.0, 4.0, 8.0]),), 4))
    3.0
    """
    low, high = at_rank(rung.chunks, (rung.size - 1) // 2), at_rank(rung.chunks, rung.size // 2)
    return low if rung.size % 2 else (low + high) / 2

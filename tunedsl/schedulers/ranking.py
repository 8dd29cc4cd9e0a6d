"""A persistent ranking: trials by their values, best first, with the rank of each.

Like a rung it is a tuple of sorted chunks; unlike a rung it knows the trial of each value and can remove values.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")
_CHUNK_SIZE = 512
RankEntry = tuple[float, int]
"""A negated value, so that the best is first, and its trial: equal values rank by trial."""


class Ranking(msgspec.Struct, frozen=True):
    """Sorted entries in chunks that are not empty; `size` is their number."""

    chunks: tuple[tuple[RankEntry, ...], ...] = ()
    size: int = 0

    def __iter__(self) -> Iterator[RankEntry]:
        for chunk in self.chunks:
            yield from chunk


def rank_entry(trial: int, value: float) -> RankEntry:
    """The entry of a trial's value; NaN is worse than every number.

    >>> rank_entry(3, 0.5), rank_entry(4, float("nan"))
    ((-0.5, 3), (inf, 4))
    """
    return (math.inf if value != value else -value, trial)


def insert(ranking: Ranking, item: RankEntry) -> Ranking:
    """The ranking with one more entry.

    >>> list(insert(insert(Ranking(), (2.0, 0)), (1.0, 1)))
    [(1.0, 1), (2.0, 0)]
    """
    if not ranking.chunks:
        return Ranking(((item,),), 1)
    at = _chunk_index(ranking, item)
    chunk = ranking.chunks[at]
    into = bisect_left(chunk, item)
    grown = (*chunk[:into], item, *chunk[into:])
    parts = (grown,) if len(grown) <= 2 * _CHUNK_SIZE else (grown[:_CHUNK_SIZE], grown[_CHUNK_SIZE:])
    return Ranking(ranking.chunks[:at] + parts + ranking.chunks[at + 1 :], ranking.size + 1)


def remove(ranking: Ranking, item: RankEntry) -> Ranking:
    """The ranking without an entry that is in it."""
    at = _chunk_index(ranking, item)
    chunk = ranking.chunks[at]
    out = bisect_left(chunk, item)
    rest = chunk[:out] + chunk[out + 1 :]
    return Ranking(ranking.chunks[:at] + ((rest,) if rest else ()) + ranking.chunks[at + 1 :], ranking.size - 1)


def rank(ranking: Ranking, item: RankEntry) -> int:
    """The number of entries before this one.

    >>> rank(insert(insert(Ranking(), (2.0, 0)), (1.0, 1)), (2.0, 0))
    1
    """
    if not ranking.chunks:
        return 0
    at = _chunk_index(ranking, item)
    return sum(map(len, ranking.chunks[:at])) + bisect_left(ranking.chunks[at], item)


def at_rank(chunks: Sequence[Sequence[T]], index: int) -> T:
    """The item of sorted chunks with this number of items before it."""
    for chunk in chunks:
        if index < len(chunk):
            return chunk[index]
        index -= len(chunk)
    raise IndexError(index)


def _chunk_index(ranking: Ranking, item: RankEntry) -> int:
    return max(bisect_right(ranking.chunks, item, key=lambda chunk: chunk[0]) - 1, 0)

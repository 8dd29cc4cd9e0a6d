"""How schedulers rank trials: by the values of `ranked_values` alone, and with several objectives by Pareto fronts.

`Ranking` is persistent: trials by their values, best first, with the rank of each. Like a rung it is a tuple of sorted
chunks; unlike a rung it knows the trial of each value and can remove values.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from tunedsl.base.pareto import nondominated_order
from tunedsl.schedulers import pareto_ranking
from tunedsl.schedulers.contract import Report
from tunedsl.schedulers.pareto_ranking import FrontOrder, ParetoRanking, order_within

T = TypeVar("T")
_CHUNK_SIZE = 512
"""The smallest size to which a full chunk is cut."""
RankKey = float | tuple[float, ...]
"""A loss, or the losses of several objectives."""
RankEntry = tuple[RankKey, int]
"""A loss and its trial: equal losses rank by trial."""


class Ranking(msgspec.Struct, frozen=True):
    """Sorted entries in chunks that are not empty; `size` is their number."""

    chunks: tuple[tuple[RankEntry, ...], ...] = ()
    size: int = 0

    def __iter__(self) -> Iterator[RankEntry]:
        for chunk in self.chunks:
            yield from chunk


def ranked_values(report: Report) -> tuple[float, ...]:
    """The values by which every scheduler ranks a report, larger is better, one for each objective.

    >>> ranked_values(Report(0, 1, 0.5, 1.0, {})), ranked_values(Report(0, 1, 0.5, 1.0, {}, (0.5, -2.0)))
    ((0.5,), (0.5, -2.0))
    """
    return report.values or (report.value,)


def rank_entry(report: Report) -> RankEntry:
    """The entry of a report; one with a NaN is worse than all without.

    >>> rank_entry(Report(3, 1, 0.5, 1.0, {})), rank_entry(Report(4, 1, math.nan, 1.0, {}))
    ((-0.5, 3), (inf, 4))
    """
    losses = _losses(ranked_values(report))
    return losses[0] if len(losses) == 1 else losses, report.trial


def _losses(values: tuple[float, ...]) -> tuple[float, ...]:
    return (math.inf,) * len(values) if any(map(math.isnan, values)) else tuple(-value for value in values)


def order(values: Sequence[tuple[float, ...]], trials: Sequence[int], rule: FrontOrder) -> list[int]:
    """The indices of trials with these ranked values, best first; with one objective, ties go to the later trial.

    >>> from tunedsl.schedulers import epsilon_net
    >>> order([(0.5,), (math.nan,), (0.5,)], [0, 1, 2], epsilon_net())
    [2, 0, 1]
    >>> order([(1.0, 2.0), (0.0, 1.0), (2.0, 0.0)], [0, 1, 2], epsilon_net())
    [2, 0, 1]
    """
    if values and len(values[0]) > 1:
        losses = np.array([_losses(each) for each in values])
        return [int(at) for at in nondominated_order(losses, len(losses), order_within(rule))]
    # A NaN is below every number, minus infinity too.
    keys = [(found == found, found if found == found else 0.0, trials[at]) for at, (found,) in enumerate(values)]
    return sorted(range(len(keys)), key=keys.__getitem__, reverse=True)


def sorted_ranking(items: Sequence[RankEntry]) -> Ranking:
    """The ranking of entries that are sorted.

    >>> sorted_ranking([(1.0, 1), (2.0, 0)])
    Ranking(chunks=(((1.0, 1), (2.0, 0)),), size=2)
    """
    size = chunk_size(_CHUNK_SIZE, len(items))
    chunks = (tuple(items[at : at + size]) for at in range(0, len(items), size))
    return Ranking(tuple(chunks), len(items))


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
    size = chunk_size(_CHUNK_SIZE, ranking.size)
    parts = (grown,) if len(grown) <= 2 * size else (grown[:size], grown[size:])
    return Ranking(ranking.chunks[:at] + parts + ranking.chunks[at + 1 :], ranking.size + 1)


def remove(ranking: Ranking, item: RankEntry) -> Ranking:
    """The ranking without an entry that is in it."""
    at = _chunk_index(ranking, item)
    chunk = ranking.chunks[at]
    out = bisect_left(chunk, item)
    rest = chunk[:out] + chunk[out + 1 :]
    return Ranking(ranking.chunks[:at] + ((rest,) if rest else ()) + ranking.chunks[at + 1 :], ranking.size - 1)


def add(ranking: Ranking | ParetoRanking, item: RankEntry) -> Ranking | ParetoRanking:
    """Either kind of ranking with one more entry."""
    if isinstance(ranking, Ranking):
        return insert(ranking, item)
    losses, trial = item
    assert isinstance(losses, tuple)
    return pareto_ranking.insert(ranking, trial, losses)


def first_of(ranking: Ranking | ParetoRanking, some: Ranking) -> RankEntry:
    """The best in `ranking` of some of its entries."""
    if isinstance(ranking, Ranking):
        return at_rank(some.chunks, 0)
    best = pareto_ranking.best_among(ranking, [trial for _, trial in some])
    return next(item for item in some if item[1] == best)


def rank(ranking: Ranking | ParetoRanking, item: RankEntry) -> int:
    """The number of entries before this one.

    >>> rank(insert(insert(Ranking(), (2.0, 0)), (1.0, 1)), (2.0, 0))
    1
    """
    if isinstance(ranking, ParetoRanking):
        return pareto_ranking.place(ranking, item[1])
    if not ranking.chunks:
        return 0
    at = _chunk_index(ranking, item)
    return sum(map(len, ranking.chunks[:at])) + bisect_left(ranking.chunks[at], item)


def chunk_size(least: int, count: int) -> int:
    """The size to which a full chunk of sorted items is cut, of `count` items in all.

    >>> chunk_size(512, 1_000), chunk_size(512, 1_000_000)
    (512, 1000)
    """
    return max(least, math.isqrt(count))


def at_rank(chunks: Sequence[Sequence[T]], index: int) -> T:
    """The item of sorted chunks with this number of items before it."""
    for chunk in chunks:
        if index < len(chunk):
            return chunk[index]
        index -= len(chunk)
    raise IndexError(index)


def _chunk_index(ranking: Ranking, item: RankEntry) -> int:
    return max(bisect_right(ranking.chunks, item, key=lambda chunk: chunk[0]) - 1, 0)

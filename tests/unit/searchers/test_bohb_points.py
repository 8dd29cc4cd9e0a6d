"""The points that BOHB's model ranks, against the plain definition."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tunedsl.searchers.bohb import ranked_points
from tunedsl.searchers.history import DONE, REPORTED, STOPPED

OBSERVATION = st.tuples(
    st.integers(0, 5),
    st.sampled_from([DONE, STOPPED, REPORTED, -1]),
    st.integers(1, 4),
    st.sampled_from([0.0, 1.0, 2.0, np.nan, np.inf]),
)


def plain(observed: list[tuple[int, int, int, float]], min_count: int) -> list[int]:
    """The trials of the last valid observations at the highest iteration that has enough of them, best first."""
    last: dict[tuple[int, int], int] = {}
    for at, (row, kind, iteration, loss) in enumerate(observed):
        if kind in (DONE, STOPPED, REPORTED) and np.isfinite(loss):
            last[iteration, row] = at
    for reached in sorted({iteration for iteration, _ in last}, reverse=True):
        kept = sorted(at for (iteration, _), at in last.items() if iteration == reached)
        if len(kept) >= min_count:
            return [observed[at][0] for at in sorted(kept, key=lambda at: observed[at][3])]
    return []


@given(st.lists(OBSERVATION, max_size=40), st.integers(1, 4))
def test_points_are_those_of_the_plain_definition(observed: list[Any], min_count: int) -> None:
    points = np.arange(6.0)[:, None]
    table = np.array(observed, dtype=np.float64).reshape(-1, 4)
    state: Any = SimpleNamespace(observations=SimpleNamespace(rows=table), points=SimpleNamespace(rows=points))
    assert ranked_points(state, min_count)[:, 0].tolist() == plain(observed, min_count)

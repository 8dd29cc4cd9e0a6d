"""The iteration at which trials are compared: enough trials reached it, so no trial wins by training longer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import numpy as np

from tunedsl.base.errors import wrong_value
from tunedsl.base.objective import Objective
from tunedsl.results.trial_history import Column, Scope, TrialHistory

Fidelity = int | Literal["auto", "last"]
"""An iteration; `auto`, the highest that enough trials reached; or `last`, each trial's own last report."""

MIN_TRIALS: Final = 10
MIN_SHARE: Final = 0.25
"""Trials are compared at an iteration that this share of them, and `MIN_TRIALS`, reached."""
MAX_OFFERED: Final = 6
"""Maximum number of iterations offered on a page."""


def reached(records: Iterable[TrialHistory], metric: str) -> dict[int, int]:
    """How many trials came to each iteration where the values of one of them end, ascending.

    Values that are not finite count as none.
    """
    ends = [end for record in records if (end := _last_finite(record.column(metric)))]
    at, counts = np.unique(np.array(ends, dtype=np.int64), return_counts=True)
    return dict(zip(at.tolist(), counts[::-1].cumsum()[::-1].tolist(), strict=True))


def _last_finite(column: Column | None) -> int:
    """The iteration of the last finite value, 0 without one."""
    if column is None:
        return 0
    finite = np.flatnonzero(np.isfinite(np.asarray(column.values)))
    return column.rows[int(finite[-1])] + 1 if len(finite) else 0


def highest(counts: Mapping[int, int]) -> int:
    """The highest iteration that enough trials reached; where none did, the highest that the most trials reached.

    Args:
        counts: what `reached` gives, not empty.

    >>> highest({1: 60, 3: 20, 9: 7}), highest({1: 8, 3: 8, 9: 2})
    (3, 3)
    """
    most = max(counts.values())
    enough = [at for at, count in counts.items() if count >= max(MIN_TRIALS, MIN_SHARE * most)]
    return max(enough or [at for at, count in counts.items() if count == most])


def offered(counts: Mapping[int, int]) -> list[int]:
    """Some iterations to choose from, ascending, `highest` among them; those of many that lie evenly by ratio."""
    least = min(MIN_TRIALS, max(counts.values()))
    able = np.array([at for at, count in counts.items() if count >= least])
    chosen = highest(counts)
    if len(able) > MAX_OFFERED:
        wanted = np.geomspace(able[0], able[-1], MAX_OFFERED - 1)
        able = able[np.unique(np.abs(np.log(able[:, None] / wanted)).argmin(axis=0))]
    return sorted({*able.tolist(), chosen})


def is_last(fidelity: Fidelity) -> bool:
    """Whether each trial is taken at its own last report; raises `ArgumentError` for what is no fidelity."""
    whole = isinstance(fidelity, int | np.integer) and not isinstance(fidelity, bool) and fidelity > 0
    if not whole and not (isinstance(fidelity, str) and fidelity in ("auto", "last")):
        expected = "an iteration of at least 1, 'auto' or 'last'"
        raise wrong_value("fidelity", fidelity, expected, "results.fidelities() shows the iterations")
    return fidelity == "last"


def score_at(record: TrialHistory, objective: Objective, scope: Scope, iteration: int) -> float | None:
    """What a trial is compared by from its reports up to an iteration; None where it did not come so far."""
    column = record.column(objective.metric)
    if column is None or record.iterations < iteration:
        return None
    count = bisect_right(column.rows, iteration - 1)
    return Column(column.values[:count], column.rows[:count]).score(objective.mode, scope) if count else None


def listed_counts(counts: Mapping[int, int]) -> str:
    """Iterations and how many trials came to each, in words.

    >>> listed_counts({1: 60, 3: 20})
    '1 (60 trials), 3 (20 trials)'
    """
    return ", ".join(f"{at:,} ({count:,} trial{'' if count == 1 else 's'})" for at, count in counts.items())

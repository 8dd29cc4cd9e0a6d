"""Which parameters matter: a random forest's loss of skill when one parameter is shuffled.

A parameter that only some trials have is shuffled among those; that it exists at all counts for the one that says so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base.errors import NoResult
from tunedsl.base.keys import generator, key
from tunedsl.results.plots.data import Axis, PlotTrials

if TYPE_CHECKING:
    import pandas as pd

MIN_TRIALS: Final = 10
"""Trials with a value."""
MAX_TRIALS: Final = 1_000
"""Trials that the forest sees; evenly from all."""
TREES: Final = 48
REPEATS: Final = 5
"""How often each parameter is shuffled."""


@attrs.frozen(eq=False)
class Importance:
    """Parameters, the most important first.

    Attributes:
        shares: of the total effect; their sum is 1, or all are 0 where nothing matters.
        sds: over shuffles.
        trials: in how many the parameter existed.
        skill: the share of variance that the forest explains of trials that it was not fitted to.
        trial_count: trials that it saw.
        fidelity: the iteration at which trials were compared; None where it was each one's own last report.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]
    sds: tuple[float, ...]
    trials: tuple[int, ...]
    skill: float
    trial_count: int
    fidelity: int | None

    def frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {
                "parameter": pd.Series(self.names, dtype="str"),
                "importance": np.array(self.shares, dtype=np.float64),
                "sd": np.array(self.sds, dtype=np.float64),
                "trials": np.array(self.trials, dtype=np.int64),
                "fidelity": pd.Series([self.fidelity] * len(self.names), dtype="Int64"),
            }
        )


def importance(trials: PlotTrials) -> Importance:
    """How much each parameter matters for the rank of a trial.

    Ranks replace the values, so that neither a few outliers nor the logarithm of a loss change the result.

    Raises:
        NoResult: with too few trials, or without scikit-learn.
    """
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ImportError:
        raise NoResult(
            "Importance needs scikit-learn, which is not installed.\n  help: pip install 'tunedsl[plots]'"
        ) from None
    axes, valued = trials.axes(), trials.valued
    if len(valued) < MIN_TRIALS:
        at = "" if trials.fidelity is None else f" at iteration {trials.fidelity}"
        raise NoResult(
            f"Importance needs {MIN_TRIALS} trials with a finite {trials.objective.metric!r}, not {len(valued)}{at}."
        )
    places = valued[np.linspace(0, len(valued) - 1, min(len(valued), MAX_TRIALS)).round().astype(np.intp)]
    ranks = _ranks(trials.values[places])
    columns = [_columns(axis, places) for axis in axes]
    table = np.hstack(columns)
    widths = np.cumsum([0, *(column.shape[1] for column in columns)])
    forest = RandomForestRegressor(
        TREES, min_samples_leaf=2 if len(places) > 50 else 1, oob_score=True, random_state=0, n_jobs=1
    )
    forest.fit(table, ranks)
    base = forest.predict(table)
    effects = np.zeros((len(axes), REPEATS))
    for place, axis in enumerate(axes):
        rows = np.flatnonzero(axis.exists[places])
        for turn in range(REPEATS):
            shuffled = table.copy()
            mixed = generator(key(0, "importance", place, turn)).permutation(rows)
            part = slice(widths[place], widths[place + 1])
            shuffled[rows, part] = table[mixed, part]
            effects[place, turn] = float(np.square(forest.predict(shuffled) - base).sum()) / (2 * len(places))
    total = effects.mean(axis=1).sum()
    shares = effects / total if total > 0 else effects
    order = np.argsort(-shares.mean(axis=1), kind="stable")
    return Importance(
        names=tuple(axes[place].name for place in order),
        shares=tuple(float(shares[place].mean()) for place in order),
        sds=tuple(float(shares[place].std()) for place in order),
        trials=tuple(int(axes[place].exists[valued].sum()) for place in order),
        skill=float(forest.oob_score_),
        trial_count=len(places),
        fidelity=trials.fidelity,
    )


def _columns(axis: Axis, places: NDArray[np.intp]) -> NDArray[np.float64]:
    """A parameter as the forest sees it: one column an option, or its number, out of range where it does not exist."""
    found = axis.scaled[places]
    if axis.options and len(axis.options) > 2:
        chosen: NDArray[np.float64] = (found[:, None] == np.arange(len(axis.options))[None, :]).astype(float)
        return chosen
    held = found[~np.isnan(found)]
    below = float(held.min() - 1.0 - np.ptp(held)) if len(held) else 0.0
    return np.where(np.isnan(found), below, found)[:, None]


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0 to 1; equal values have equal ones."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    ranks: NDArray[np.float64] = middle[place] / max(len(values) - 1, 1)
    return ranks if math.isfinite(ranks.sum()) else np.zeros(len(values))

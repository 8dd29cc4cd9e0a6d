"""PASHA's view of its last rung: whether trials rank there as at the rung before, and how noisy their order is.

A comparison is immutable. Each trial that arrives extends its arrays, so an arrival costs a few passes over numbers.
`pasha.py` decides when a rung is added, and which trials continue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base.objective import INFEASIBLE
from tunedsl.base.row_log import Floats, RowLog

Values = tuple[float, ...]
"""The values of one trial at one time, one for each objective."""
_as_bytes: Final = np.ndarray.tobytes


@attrs.frozen
class RankedPairs:
    """The values of one objective of the trials that reached both of two rungs; NaN ranks as minus infinity.

    Attributes:
        before: at the first of the two rungs, in the order of the second.
        after: at the second, ascending; equal ones ascend by `before`.
        sorted_before: those at the first, ascending.
    """

    before: Floats = attrs.field(factory=lambda: np.empty(0), eq=_as_bytes)
    after: Floats = attrs.field(factory=lambda: np.empty(0), eq=_as_bytes)
    sorted_before: Floats = attrs.field(factory=lambda: np.empty(0), eq=_as_bytes)

    def with_pair(self, before: float, after: float) -> RankedPairs:
        """With the values of one more trial."""
        before, after = (-math.inf if math.isnan(each) else each for each in (before, after))
        first, last = (int(np.searchsorted(self.after, after, side)) for side in ("left", "right"))
        at = first + int(np.searchsorted(self.before[first:last], before))
        among = int(np.searchsorted(self.sorted_before, before))
        return RankedPairs(
            _inserted(self.before, at, before),
            _inserted(self.after, at, after),
            _inserted(self.sorted_before, among, before),
        )

    def ranks_agree(self, epsilon: float) -> bool:
        """Whether both rungs rank the trials the same, where values within `epsilon` count as equal.

        >>> pairs = RankedPairs().with_pair(0.9, 0.85).with_pair(0.8, 0.95)
        >>> pairs.ranks_agree(0.0), pairs.ranks_agree(0.2)
        (False, True)
        """
        with np.errstate(invalid="ignore"):
            close = np.abs(self.before - self.sorted_before) <= epsilon
        return bool(np.all(close | (self.before == self.sorted_before)))


def _inserted(values: Floats, at: int, value: float) -> Floats:
    return np.concatenate((values[:at], (value,), values[at:]))


@attrs.frozen
class RungComparison:
    """The trials at one rung, with their values at the rung before and over time.

    Attributes:
        rung: the rung's index.
        on_curves: whether histories are whole curves; otherwise they are the values at the rungs so far.
        pairs: for each objective, the values of the trials that reached the rung before, too.
        histories: for each trial the values over time, one time after another; NaN where others have more.
    """

    rung: int
    on_curves: bool
    pairs: tuple[RankedPairs, ...]
    histories: RowLog = attrs.field(eq=lambda log: log.rows.tobytes())

    @staticmethod
    def empty(rung: int, on_curves: bool, objectives: int) -> RungComparison:
        """The comparison of no trials."""
        return RungComparison(rung, on_curves, (RankedPairs(),) * objectives, RowLog.empty(0, "F"))

    def with_trial(self, before: Values | None, after: Values, history: Sequence[Values]) -> RungComparison:
        """With one more trial.

        Args:
            before: its values at the rung before, if it reached that.
            after: its values at this rung.
            history: its values over time; empty if they are not known.
        """
        pairs = self.pairs
        if before is not None:
            pairs = tuple(map(RankedPairs.with_pair, pairs, before, after))
        row = [*chain.from_iterable(history)]
        log = self.histories.widened(len(row))
        row += [math.nan] * (log.width - len(row))
        return attrs.evolve(self, pairs=pairs, histories=log.append(row))

    def ranks_agree(self, epsilons: Values) -> bool:
        """Whether both rungs rank the trials the same by each objective."""
        return all(map(RankedPairs.ranks_agree, self.pairs, epsilons))

    def noise(self, history: Sequence[Values], objective: int) -> list[float]:
        """The distances of one more trial to the trials with which it changed its order twice, at its last time.

        The distance to an infeasible value is no noise. Trials with shorter histories have NaN there, and are left out.
        """
        length, width = len(history), len(self.pairs)
        if length < 3 or self.histories.width < length * width:
            return []
        rows, own = self.histories.rows, [values[objective] for values in history]
        others = [rows[:, time * width + objective] for time in range(length)]
        ahead = own[-1] > others[-1]
        turned: NDArray[np.bool_] = np.zeros(len(rows), bool)
        twice = np.zeros(len(rows), bool)
        # From the last time back: the opposite order at some time, and before it the same order again.
        for value, other in zip(reversed(own[:-1]), reversed(others[:-1]), strict=True):
            same = (value > other) == ahead
            twice |= turned & same
            turned |= ~same
        last = others[-1][twice]
        with np.errstate(invalid="ignore"):
            distances = np.abs(own[-1] - last)
        is_noise = np.isfinite(distances) & (np.minimum(own[-1], last) > INFEASIBLE)
        found: list[float] = distances[is_noise].tolist()
        return found

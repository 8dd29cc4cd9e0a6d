"""What native searchers remember: the points that were proposed and what was told of them.

Persistent and growing: versions of a history share one buffer, of which each sees the rows that it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
import immutables
import numpy as np
from numpy.typing import NDArray

from tunedsl.base import codec
from tunedsl.base.objective import Objective
from tunedsl.base.pareto import nondominated_order
from tunedsl.base.types import Json
from tunedsl.searchers.contract import Observation
from tunedsl.spaces.encoding import to_cube
from tunedsl.spaces.layout import Layout
from tunedsl.spaces.unit_interval import Floats

PENDING: Final = 0
REPORTED: Final = 1
DONE: Final = 2
STOPPED: Final = 3
FAILED: Final = 4
DROPPED: Final = 5

_STATUS_CODES: Final = {"reported": REPORTED, "done": DONE, "stopped": STOPPED, "failed": FAILED}


class _Buffer:
    """An array with room for more rows, and how many of them are taken."""

    __slots__ = ("array", "taken")

    def __init__(self, array: Floats, taken: int) -> None:
        self.array, self.taken = array, taken


@attrs.frozen(eq=False)
class RowLog:
    """Rows of numbers to which more can be added; a log that was added to stays as it was."""

    _buffer: _Buffer
    size: int

    @staticmethod
    def empty(width: int) -> RowLog:
        """An empty log of rows of some width."""
        return RowLog(_Buffer(np.empty((16, width)), 0), 0)

    @property
    def rows(self) -> Floats:
        """Shape (size, width), read only."""
        view = self._buffer.array[: self.size]
        view.flags.writeable = False
        return view

    def append(self, row: Sequence[float] | Floats) -> RowLog:
        """This log with one more row."""
        buffer = self._buffer
        if buffer.taken != self.size or self.size == len(buffer.array):
            # Another version has written here, or the room is used up: a buffer of its own, twice as large.
            grown = np.empty((max(16, 2 * self.size), buffer.array.shape[1]))
            grown[: self.size] = buffer.array[: self.size]
            buffer = _Buffer(grown, self.size)
        buffer.array[self.size] = row
        buffer.taken += 1
        return RowLog(buffer, self.size + 1)


@attrs.frozen(eq=False)
class HistoryArrays:
    """A history as arrays, one row a proposal in the order of asking.

    Attributes:
        points: shape (n, dims), in [0, 1]; NaN for parameters that a configuration does not have.
        losses: shape (n, objectives), less is better; NaN where nothing was told.
        status: shape (n,), `PENDING` to `DROPPED`.
        iterations: shape (n,).
    """

    points: Floats
    losses: Floats
    status: NDArray[np.int64]
    iterations: Floats

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which have ended with finite values."""
        ended = (self.status == DONE) | (self.status == STOPPED)
        usable: NDArray[np.bool_] = ended & np.isfinite(self.losses).all(axis=1)
        return usable

    def best_rows(self, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """At least the best `count` of some usable rows, best first.

        Trials that were stopped stand behind all others, those before the rest that came farther: their values say
        more, and longer they were thought worth their time.
        """
        complete, stopped = (rows[self.status[rows] == status] for status in (DONE, STOPPED))
        found: NDArray[np.int64] = complete[nondominated_order(self.losses[complete], count)]
        for reached in np.unique(self.iterations[stopped])[::-1]:
            if len(found) >= count:
                break
            level = stopped[self.iterations[stopped] == reached]
            found = np.concatenate([found, level[nondominated_order(self.losses[level], count - len(found))]])
        return found


@attrs.frozen(eq=False)
class History:
    """Proposals and observations so far.

    Attributes:
        layout: of the space.
        objectives: what is told, one value each.
        points: by row, in the order of asking.
        observations: row, status, iteration, losses; a later row about the same proposal holds.
        row_of_trial: the row of each trial.
    """

    layout: Layout
    objectives: tuple[Objective, ...]
    points: RowLog
    observations: RowLog
    row_of_trial: immutables.Map[int, int]

    @staticmethod
    def empty(layout: Layout, objectives: tuple[Objective, ...]) -> History:
        """The empty history."""
        return History(
            layout, objectives, RowLog.empty(layout.dims), RowLog.empty(3 + len(objectives)), immutables.Map()
        )

    def with_proposal(self, trial: int, point: Floats) -> History:
        """With the proposal of a trial; one that it had before is dropped."""
        told = self.observations
        if trial in self.row_of_trial:
            told = told.append([self.row_of_trial[trial], DROPPED, 0.0, *([np.nan] * len(self.objectives))])
        places = self.row_of_trial.set(trial, self.points.size)
        return attrs.evolve(self, points=self.points.append(point), observations=told, row_of_trial=places)

    def with_forced(self, trial: int, config: Json) -> History:
        """With a configuration, as data, that a trial runs whatever was proposed."""
        return self.with_proposal(trial, to_cube(self.layout, codec.decode(config)))

    def with_observation(self, trial: int, observation: Observation) -> History:
        """With an observation; one of a trial that was never asked for says nothing."""
        row = self.row_of_trial.get(trial)
        if row is None:
            return self
        status = _STATUS_CODES[observation.status]
        return attrs.evolve(
            self, observations=self.observations.append([row, status, observation.iteration, *self.losses(observation)])
        )

    def losses(self, observation: Observation) -> list[float]:
        """Its values, signed so that less is better."""
        return [-goal.sign * x for goal, x in zip(self.objectives, observation.values, strict=True)]

    def to_arrays(self) -> HistoryArrays:
        """All of it as arrays."""
        count, told = self.points.size, self.observations.rows
        rows = told[:, 0].astype(np.int64)
        latest = np.full(count, -1)
        latest[rows] = np.arange(len(rows))  # of repeated rows the last one stays
        known = np.flatnonzero(latest >= 0)
        picked = told[latest[known]]
        status = np.full(count, PENDING)
        status[known] = picked[:, 1].astype(np.int64)
        iterations = np.zeros(count)
        iterations[known] = picked[:, 2]
        losses = np.full((count, len(self.objectives)), np.nan)
        losses[known] = picked[:, 3:]
        return HistoryArrays(self.points.rows, losses, status, iterations)


def tell_history(spec: Any, state: History, trial: int, observation: Observation) -> History:
    """`tell_history` of searchers whose state is a history."""
    return state.with_observation(trial, observation)


def force_history(spec: Any, state: History, trial: int, config: Json, key: int) -> History:
    """`force_history` of searchers whose state is a history."""
    return state.with_forced(trial, config)

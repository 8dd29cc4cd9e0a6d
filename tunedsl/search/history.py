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
from tunedsl.base.pareto import best_first
from tunedsl.base.vocabulary import Json
from tunedsl.search.contract import Observation
from tunedsl.space.encoding import to_cube
from tunedsl.space.layout import Layout
from tunedsl.space.units import Floats

PENDING: Final = 0
REPORTED: Final = 1
DONE: Final = 2
STOPPED: Final = 3
FAILED: Final = 4
DROPPED: Final = 5

_CODES: Final = {"reported": REPORTED, "done": DONE, "stopped": STOPPED, "failed": FAILED}


class _Buffer:
    """An array with room for more rows, and how many of them are taken."""

    __slots__ = ("array", "taken")

    def __init__(self, array: Floats, taken: int) -> None:
        self.array, self.taken = array, taken


@attrs.frozen(eq=False)
class Log:
    """Rows of numbers to which more can be added; a log that was added to stays as it was."""

    _buffer: _Buffer
    size: int

    @staticmethod
    def of(width: int) -> Log:
        """An empty log of rows of some width."""
        return Log(_Buffer(np.empty((16, width)), 0), 0)

    @property
    def rows(self) -> Floats:
        """Shape (size, width), read only."""
        view = self._buffer.array[: self.size]
        view.flags.writeable = False
        return view

    def add(self, row: Sequence[float] | Floats) -> Log:
        """This log with one more row."""
        buffer = self._buffer
        if buffer.taken != self.size or self.size == len(buffer.array):
            # Another version has written here, or the room is used up: a buffer of its own, twice as large.
            grown = np.empty((max(16, 2 * self.size), buffer.array.shape[1]))
            grown[: self.size] = buffer.array[: self.size]
            buffer = _Buffer(grown, self.size)
        buffer.array[self.size] = row
        buffer.taken += 1
        return Log(buffer, self.size + 1)


@attrs.frozen(eq=False)
class Facts:
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

    def ranked(self, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """At least the best `count` of some usable rows, best first.

        Trials that were stopped stand behind all others, those before the rest that came farther: their values say
        more, and longer they were thought worth their time.
        """
        complete, stopped = (rows[self.status[rows] == status] for status in (DONE, STOPPED))
        found: NDArray[np.int64] = complete[best_first(self.losses[complete], count)]
        for reached in np.unique(self.iterations[stopped])[::-1]:
            if len(found) >= count:
                break
            level = stopped[self.iterations[stopped] == reached]
            found = np.concatenate([found, level[best_first(self.losses[level], count - len(found))]])
        return found


@attrs.frozen(eq=False)
class History:
    """Proposals and observations so far.

    Attributes:
        layout: of the space.
        objectives: what is told, one value each.
        points: by row, in the order of asking.
        told: row, status, iteration, losses; a later row about the same proposal holds.
        places: the row of each trial.
    """

    layout: Layout
    objectives: tuple[Objective, ...]
    points: Log
    told: Log
    places: immutables.Map[int, int]

    @staticmethod
    def of(layout: Layout, objectives: tuple[Objective, ...]) -> History:
        """The empty history."""
        return History(layout, objectives, Log.of(layout.dims), Log.of(3 + len(objectives)), immutables.Map())

    def asked(self, trial: int, point: Floats) -> History:
        """With the proposal of a trial; one that it had before is dropped."""
        told = self.told
        if trial in self.places:
            told = told.add([self.places[trial], DROPPED, 0.0, *([np.nan] * len(self.objectives))])
        places = self.places.set(trial, self.points.size)
        return attrs.evolve(self, points=self.points.add(point), told=told, places=places)

    def adopted(self, trial: int, config: Json) -> History:
        """With a configuration, as data, that a trial runs whatever was proposed."""
        return self.asked(trial, to_cube(self.layout, codec.decode(config)))

    def heard(self, trial: int, observation: Observation) -> History:
        """With an observation; one of a trial that was never asked for says nothing."""
        row = self.places.get(trial)
        if row is None:
            return self
        status = _CODES[observation.status]
        return attrs.evolve(self, told=self.told.add([row, status, observation.iteration, *self.losses(observation)]))

    def losses(self, observation: Observation) -> list[float]:
        """Its values, signed so that less is better."""
        return [-goal.sign * x for goal, x in zip(self.objectives, observation.values, strict=True)]

    def facts(self) -> Facts:
        """All of it as arrays."""
        count, told = self.points.size, self.told.rows
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
        return Facts(self.points.rows, losses, status, iterations)


def tell(spec: Any, state: History, trial: int, observation: Observation) -> History:
    """`tell` of searchers whose state is a history."""
    return state.heard(trial, observation)


def adopt(spec: Any, state: History, trial: int, config: Json, key: int) -> History:
    """`adopt` of searchers whose state is a history."""
    return state.adopted(trial, config)

"""The state of native searchers: proposed points and their observations.

A history is persistent: its versions share one growing buffer, and each version sees its own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import immutables
import numpy as np
from numpy.typing import NDArray

from tunedsl.base import codec
from tunedsl.base.objective import Objective
from tunedsl.base.pareto import nondominated_order
from tunedsl.base.row_log import RowLog
from tunedsl.base.types import FAILURE_KINDS, Json
from tunedsl.searchers.contract import Observation
from tunedsl.spaces.encoding import to_cube
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import Floats

PENDING: Final = 0
REPORTED: Final = 1
DONE: Final = 2
STOPPED: Final = 3
FAILED: Final = 4
DROPPED: Final = 5

_BLAMELESS: Final = ("lost", "storage", "preempted")
"""Kinds of failures that say nothing about a configuration."""

_STATUS_CODES: Final = {"reported": REPORTED, "done": DONE, "stopped": STOPPED, "failed": FAILED}


OrderOfLosses = Callable[[Floats, int], NDArray[np.int64]]


@attrs.frozen(eq=False)
class HistoryArrays:
    """A history as arrays, one row per proposal in the order of asking.

    Attributes:
        points: shape (n, dims), in [0, 1]; NaN for parameters that a configuration does not have.
        losses: shape (n, objectives), smaller is better; NaN where nothing was observed.
        status: shape (n,), `PENDING` to `DROPPED`.
        iterations: shape (n,).
        failures: shape (n,), the place of the failure's kind in `FAILURE_KINDS`; NaN without one.
        violations: shape (n, constraints), at most 0 where a constraint is met, NaN where it is not known.
    """

    points: Floats
    losses: Floats
    status: NDArray[np.int64]
    iterations: Floats
    failures: Floats
    violations: Floats

    @property
    def total_violation(self) -> Floats:
        """The total violation of each row; infinite where a constraint is not known. As in `base.objective`."""
        total: Floats = np.where(np.isnan(self.violations), np.inf, np.maximum(self.violations, 0.0)).sum(axis=1)
        return total

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Mask of the trials that ended with finite values."""
        ended = (self.status == DONE) | (self.status == STOPPED)
        usable: NDArray[np.bool_] = ended & np.isfinite(self.losses).all(axis=1)
        return usable

    @property
    def failed_by_configuration(self) -> NDArray[np.bool_]:
        """Mask of the trials that failed with a kind of failure that a configuration can cause."""
        kinds = [place for place, kind in enumerate(FAILURE_KINDS) if kind not in _BLAMELESS]
        failed: NDArray[np.bool_] = (self.status == FAILED) & np.isin(self.failures, kinds)
        return failed

    @property
    def without_constraints(self) -> HistoryArrays:
        """The same history without violations, in which all trials are feasible."""
        return attrs.evolve(self, violations=self.violations[:, :0])

    def best_rows(
        self, rows: NDArray[np.int64], count: int, order: OrderOfLosses = nondominated_order
    ) -> NDArray[np.int64]:
        """At least the best `count` of some usable rows, best first.

        Stopped trials rank after all others, by their iteration: a later value says more, and the scheduler kept the
        trial longer. Infeasible trials rank last, by their total violation.

        Args:
            order: `(losses, count) -> places`, the order of comparable trials.
        """
        if self.violations.shape[1]:
            total = self.total_violation[rows]
            found = self._best_feasible(rows[total == 0], count, order)
            if len(found) < count:
                rest = rows[total > 0]
                found = np.concatenate([found, rest[np.argsort(total[total > 0], kind="stable")]])
            return found
        return self._best_feasible(rows, count, order)

    def _best_feasible(self, rows: NDArray[np.int64], count: int, order: OrderOfLosses) -> NDArray[np.int64]:
        complete, stopped = (rows[self.status[rows] == status] for status in (DONE, STOPPED))
        found: NDArray[np.int64] = complete[order(self.losses[complete], count)]
        for reached in np.unique(self.iterations[stopped])[::-1]:
            if len(found) >= count:
                break
            level = stopped[self.iterations[stopped] == reached]
            found = np.concatenate([found, level[order(self.losses[level], count - len(found))]])
        return found


@attrs.frozen(eq=False)
class History:
    """Proposals and observations so far.

    Attributes:
        layout: of the space.
        objectives: the metrics of the observed values.
        points: by row, in the order of asking.
        observations: row, status, iteration, losses; the last one of each proposal is valid.
        outcomes: for each observation the failure and the violations, as in `HistoryArrays`.
        row_of_trial: the row of each trial.
        earlier: the histories of earlier runs.
    """

    layout: Layout
    objectives: tuple[Objective, ...]
    points: RowLog
    observations: RowLog
    outcomes: RowLog
    row_of_trial: immutables.Map[int, int]
    earlier: tuple[History, ...] = ()

    @staticmethod
    def empty(layout: Layout, objectives: tuple[Objective, ...]) -> History:
        """The empty history."""
        return History(
            layout,
            objectives,
            RowLog.empty(layout.dims),
            RowLog.empty(3 + len(objectives)),
            RowLog.empty(1),
            immutables.Map(),
        )

    def with_proposal(self, trial: int, point: Floats) -> History:
        """With the proposal of a trial; an earlier one is dropped."""
        dropped = self
        if trial in self.row_of_trial:
            row = [self.row_of_trial[trial], DROPPED, 0.0, *([np.nan] * len(self.objectives))]
            dropped = self._observed(row, [np.nan])
        rows = self.row_of_trial.set(trial, self.points.size)
        return attrs.evolve(dropped, points=self.points.append(point), row_of_trial=rows)

    def with_forced(self, trial: int, config: Json) -> History:
        """With a configuration, as data, that a trial runs instead of its proposal."""
        return self.with_proposal(trial, to_cube(self.layout, codec.decode(config)))

    def with_observation(self, trial: int, observation: Observation) -> History:
        """With an observation; one of an unknown trial changes nothing."""
        row = self.row_of_trial.get(trial)
        if row is None:
            return self
        status = _STATUS_CODES[observation.status]
        failure = FAILURE_KINDS.index(observation.failure) if observation.failure else np.nan
        found = [row, status, observation.iteration, *self.losses(observation)]
        return self._observed(found, [failure, *observation.constraints])

    def _observed(self, row: list[float], outcome: list[float]) -> History:
        """With one more row in both logs; an outcome lacks the constraints that it has no violations of."""
        outcomes = self.outcomes.widened(len(outcome))
        outcome += [np.nan] * (outcomes.rows.shape[1] - len(outcome))
        return attrs.evolve(self, observations=self.observations.append(row), outcomes=outcomes.append(outcome))

    def losses(self, observation: Observation) -> list[float]:
        """Its values with their signs set so that smaller is better."""
        return [-goal.sign * x for goal, x in zip(self.objectives, observation.values, strict=True)]

    def to_arrays(self) -> HistoryArrays:
        """The history as arrays."""
        count, observed = self.points.size, self.observations.rows
        rows = observed[:, 0].astype(np.int64)
        latest = np.full(count, -1)
        latest[rows] = np.arange(len(rows))  # the last of repeated rows is valid
        known = np.flatnonzero(latest >= 0)
        picked = observed[latest[known]]
        status = np.full(count, PENDING)
        status[known] = picked[:, 1].astype(np.int64)
        iterations = np.zeros(count)
        iterations[known] = picked[:, 2]
        losses = np.full((count, len(self.objectives)), np.nan)
        losses[known] = picked[:, 3:]
        outcomes = np.full((count, self.outcomes.rows.shape[1]), np.nan)
        outcomes[known] = self.outcomes.rows[latest[known]]
        return HistoryArrays(self.points.rows, losses, status, iterations, outcomes[:, 0], outcomes[:, 1:])


def last_of_each(rows: NDArray[np.int64], levels: Floats) -> NDArray[np.int64]:
    """The index of the last of the entries with the same row and level, ordered by these."""
    order = np.lexsort((levels, rows))
    is_last = (np.diff(rows[order]) != 0) | (np.diff(levels[order]) != 0)
    found: NDArray[np.int64] = order[np.append(is_last, True)[: len(rows)]]
    return found


def init_history(spec: Any, space: Space, objectives: tuple[Objective, ...], key: int) -> History:
    """The `init` of searchers whose state is a history."""
    return History.empty(resolve_space(space), objectives)


def tell_history(spec: Any, state: History, trial: int, observation: Observation) -> History:
    """The `tell` of searchers whose state is a history."""
    return state.with_observation(trial, observation)


def force_history(spec: Any, state: History, trial: int, config: Json, key: int) -> History:
    """The `force` of searchers whose state is a history."""
    return state.with_forced(trial, config)


def learn_run_history(spec: Any, state: History, run: Sequence[tuple[Json, Observation]], key: int) -> History:
    """The `learn_run` of searchers whose state is a history."""
    earlier = History.empty(state.layout, state.objectives)
    for number, (config, observation) in enumerate(run):
        earlier = earlier.with_forced(number, config).with_observation(number, observation)
    if not earlier.to_arrays().usable.any():
        return state
    return attrs.evolve(state, earlier=(*state.earlier, earlier))

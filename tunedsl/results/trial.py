"""One trial as users look at it: its configuration, metrics, folder, checkpoints and what it failed with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from tunedsl.base.objective import Objective
from tunedsl.base.suggestions import TRIAL, hinted
from tunedsl.base.types import Config, FailureKind, Mode, TrialStatus
from tunedsl.journal import Location
from tunedsl.plan import Plan
from tunedsl.results import frames
from tunedsl.results.displays import trial_html
from tunedsl.results.story import stop_reason
from tunedsl.results.trial_history import TrialHistory

if TYPE_CHECKING:
    import pandas as pd


@attrs.frozen
class TrialError:
    """Why a trial failed for good.

    Attributes:
        id: the trial's name.
        kind: `crash`, `oom`, `lost`, `timeout` or `bad_report`.
        message: one line.
        traceback: of the user's own code, whole; may be empty.
    """

    id: str
    kind: FailureKind
    message: str
    traceback: str = attrs.field(repr=False)

    def __str__(self) -> str:
        trace = self.traceback.rstrip()
        return f"{trace or self.message}\n(trial {self.id}, {self.kind})"


@hinted(TRIAL)
@attrs.frozen(eq=False, repr=False)
class TrialResult:
    """One trial, as the journal has it."""

    _record: TrialHistory
    _root: Location
    _storage: str | None
    _objective: Callable[[str | None, Mode | None], Objective]
    _plan: Plan
    _finish: str = ""
    _metrics: Sequence[str] = ()

    @property
    def id(self) -> str:
        """Its name, unique in the experiment."""
        return self._record.name

    @property
    def number(self) -> int:
        """Its place among the proposals, from 0."""
        return self._record.number

    @property
    def status(self) -> TrialStatus:
        """What became of it: `completed`, `stopped`, `failed`, `running`, `paused`, `pending` or `cancelled`."""
        return self._record.status

    @property
    def stop_reason(self) -> str:
        """Why it ended, in a line; empty where its code returned, and while it has not ended."""
        return stop_reason(self._record, self._plan, self._finish)

    @property
    def config(self) -> Config:
        """Its configuration; objects of modules that are not loaded stand as `Named`."""
        return frames.config_of(self._record)

    @property
    def metrics(self) -> dict[str, Any]:
        """Its last report, with `training_iteration` and `time_total_s`; empty before the first one.

        An objective that the last report lacks stands with its newest value.
        """
        return self._record.metrics(self._metrics)

    @property
    def iterations(self) -> int:
        """How many reports it made."""
        return self._record.iterations

    @property
    def path(self) -> Location:
        """Its folder, which is there if something was written to it."""
        return self._root / "trials" / self.id

    @property
    def checkpoints(self) -> dict[int, Path | str]:
        """The folders of all its checkpoints, by iteration; addresses where the store is one."""
        base = self._storage
        return {
            iteration: self._root / place if base is None else f"{base}/{place}"
            for iteration, place in self._record.checkpoints.items()
        }

    @property
    def checkpoint(self) -> Path | str | None:
        """The folder of its newest checkpoint, or its address."""
        return next(reversed(self.checkpoints.values()), None)

    def best_checkpoint(self, metric: str | None = None, mode: Mode | None = None) -> Path | str | None:
        """The checkpoint of the report where a metric was best, among those that were kept; None where none is.

        Args:
            metric, mode: the experiment's objective without them. A report without the metric, or with a value that
                is not finite, is passed over; the earlier one wins among equals.
        """
        objective = self._objective(metric, mode)
        values = {at: self._record.value(objective.metric, at) for at in self.checkpoints}
        able = [at for at, value in values.items() if math.isfinite(value)]
        return self.checkpoints[max(able, key=lambda at: objective.sign * values[at])] if able else None

    @property
    def error(self) -> TrialError | None:
        """Why it failed, where it failed for good."""
        if self.status != "failed":
            return None
        failure = self._record.failures[-1]
        return TrialError(self.id, failure.kind, failure.message, failure.traceback)

    @property
    def curve(self) -> pd.DataFrame:
        """One row a report, in order; the objectives' columns are there before anything was reported."""
        return frames.curve(self._record, self._metrics)

    def _repr_html_(self) -> str:
        return trial_html(self)

    def __repr__(self) -> str:
        return f"TrialResult({self.id!r}, {self.status}, metrics={self.metrics!r}, config={self.config!r})"

"""The result of one trial: configuration, metrics, folder, checkpoints and error."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from tunedsl.base.errors import NoResult
from tunedsl.base.keys import trial_seed
from tunedsl.base.objective import Objective
from tunedsl.base.plain_json import json_text
from tunedsl.base.printable import printable
from tunedsl.base.references import FunctionRef
from tunedsl.base.suggestions import TRIAL, hinted
from tunedsl.base.types import Config, FailureKind, Mode, TrialStatus
from tunedsl.base.verbs import verb
from tunedsl.journal import Location, location_of
from tunedsl.plan import Plan, Resources
from tunedsl.plan.clauses import Clauses
from tunedsl.plan.definition import Definition
from tunedsl.plan.forms import is_ray_class
from tunedsl.results import frames
from tunedsl.results.feasibility import violated, violation, violations
from tunedsl.results.story import stop_reason
from tunedsl.results.trial_history import RunHistory, TrialHistory
from tunedsl.stopping import describe_condition
from tunedsl.worker.checkpoints import CheckpointStorage

if TYPE_CHECKING:
    import pandas as pd


@attrs.frozen
class TrialError:
    """The error of a permanently failed trial.

    Attributes:
        id: the trial's name.
        kind: `crash`, `oom`, `lost`, `timeout`, `bad_report`, `storage`, `idle` or `preempted`.
        message: one line.
        traceback: of the user's own code, whole; may be empty.
    """

    id: str
    kind: FailureKind
    message: str
    traceback: str = attrs.field(repr=False)

    def __str__(self) -> str:
        trace = self.traceback.rstrip()
        return printable(f"{trace or self.message}\n(trial {self.id}, {self.kind})")


class ResultsOfTrial(Protocol):
    """What a trial uses of the results that it belongs to; a `Results` in fact."""

    definition: Definition | None

    @property
    def plan(self) -> Plan: ...
    @property
    def seed(self) -> int: ...
    @property
    def path(self) -> Location: ...
    @property
    def reading(self) -> RunHistory: ...


@hinted(TRIAL)
@attrs.frozen(eq=False, repr=False)
class TrialResult:
    """The result of one trial, read from the journal."""

    _record: TrialHistory
    _root: Location
    _storage: str | None
    _objective: Callable[[str | None, Mode | None], Objective]
    _metrics: Sequence[str]
    results: ResultsOfTrial
    """The results of the whole experiment."""

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
        """The status: `completed`, `stopped`, `failed`, `running`, `paused`, `pending` or `cancelled`."""
        return self._record.status

    @property
    def stop_reason(self) -> str:
        """The reason why it ended; empty if its code returned, and before it has ended."""
        return stop_reason(self._record, self.results.plan, self.results.reading.finish)

    @property
    def config(self) -> Config:
        """The configuration; objects of modules that are not loaded appear as `Named`."""
        return frames.config_of(self._record)

    @property
    def seed(self) -> int:
        """The trial's 32-bit seed, equal to `trial().seed` in the trial."""
        return trial_seed(self.results.seed, self.number)

    @property
    def resources(self) -> dict[str, float]:
        """The resources of its last attempt, by name: `cpu`, `gpu`, `memory` in bytes, and custom ones, without zeros.

        Raises:
            NoResult: where a function gives them that is not at hand: reading a journal calls no code.
        """
        if self._record.resources is not None:
            return dict(self._record.resources)
        asked = self.results.plan.resources
        if isinstance(asked, Resources):
            return asked.amounts()
        function = self._live.resources
        if not isinstance(function, FunctionRef):
            raise NoResult(f"{asked!r} gives the resources of trial {self.id}, and reading a journal calls no code.")
        given = function.resolve()(self.config)
        return (given if isinstance(given, Resources) else Resources.of(**given)).amounts()

    @property
    def metrics(self) -> dict[str, Any]:
        """Its last report, with `training_iteration` and `time_total_s`; empty before the first one.

        An objective that the last report lacks stands with its newest value.
        """
        return self._record.metrics(self._metrics)

    @property
    def violations(self) -> dict[str, float]:
        """By how much it violates each outcome constraint: at most 0 where it is met, NaN where it is not known."""
        constraints = self.results.plan.constraints
        return dict(zip(map(describe_condition, constraints), violations(self._record, constraints), strict=True))

    @property
    def feasible(self) -> bool:
        """Whether it meets all outcome constraints by its newest values; one that is not known is not met."""
        return violation(self._record, self.results.plan.constraints) == 0

    @property
    def iterations(self) -> int:
        """Number of reports."""
        return self._record.iterations

    @property
    def path(self) -> Location:
        """The trial's folder; it exists if something was written to it."""
        return self._root / "trials" / self.id

    @property
    def checkpoints(self) -> dict[int, Path | str]:
        """The folders of all its checkpoints, by iteration; addresses for a remote store."""
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
        """The checkpoint of the report where a metric was best, among the stored checkpoints; None without one.

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
        """The error, if the trial failed permanently."""
        if self.status != "failed":
            return None
        failure = self._record.failures[-1]
        return TrialError(self.id, failure.kind, failure.message, failure.traceback)

    @property
    def curve(self) -> pd.DataFrame:
        """One row per report, in order; the columns of the objectives always exist."""
        return frames.curve(self._record, self._metrics)

    def to_json(self) -> str:
        """The trial as JSON, to keep a configuration with a program: `id`, `config`, `seed`, `metrics`, `iterations`.

        Numbers that are not finite are null, and what has no form in JSON is its text.

        Example:
            >>> config = json.loads(results.best.to_json())["config"]  # doctest: +SKIP
        """
        found = {
            "id": self.id,
            "number": self.number,
            "status": self.status,
            "config": self.config,
            "seed": self.seed,
            "iterations": self.iterations,
            "metrics": self.metrics,
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
        }
        return json_text(found)

    def load(self, checkpoint: str | os.PathLike[str] | None = None, **data: Any) -> Any:
        """The trained model: an instance of the class form, set up by the configuration and loaded from a checkpoint.

        Args:
            checkpoint: a folder or address, such as `trial.best_checkpoint()`; the newest one without it.
            data: the objects of `.data(...)`, where the results were read from a journal.

        Raises:
            NoResult: for a trainable that is no subclass of `tunedsl.Trainable`, or where no checkpoint was kept.
            CodecError: when the class cannot be imported, or its source has changed.
        """
        plan, source = self.results.plan, self.checkpoint if checkpoint is None else os.fspath(checkpoint)
        reference = self._live.trainable or plan.trainable
        trainable: Any = None if reference is None else reference.resolve()
        if trainable is None or plan.form != "class" or is_ray_class(trainable):
            raise NoResult(
                f"{plan.trainable!r} is not a tunedsl.Trainable.\n  help: load from the folder trial.checkpoint"
            )
        if source is None:
            raise NoResult(
                f"No checkpoint of trial {self.id} was kept.\n  help: add .checkpoint(at_end=True) to keep the last one"
            )
        place = location_of(source)
        storage = CheckpointStorage(str(place.parent))
        objects = {**{name: held.object for name, held in self._live.data}, **data}
        body, folder = trainable(), storage.fetch(place.name)
        try:
            body.setup(self.config, **objects)
            body.load(folder)
        finally:
            storage.release(folder)
        return body

    @property
    def _live(self) -> Clauses:
        """The clauses of the experiment that this process ran; empty for loaded results."""
        definition = self.results.definition
        return Clauses() if definition is None else definition.clauses

    def _repr_html_(self) -> str:
        return str(verb("trial_html")(self))

    def __repr__(self) -> str:
        infeasible = violated(self._record, self.results.plan.constraints) if self.iterations else ""
        status = f"{self.status}, infeasible: {infeasible}" if infeasible else self.status
        return f"TrialResult({self.id!r}, {status}, metrics={self.metrics!r}, config={self.config!r})"

"""What users look at: the best trial, all trials, errors, frames and stories of one experiment."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import attrs
import numpy as np

from tunedsl.base.arguments import checked
from tunedsl.base.errors import ArgumentError, NoResult
from tunedsl.base.names import did_you_mean, nearest
from tunedsl.base.objective import Objective
from tunedsl.base.pareto import front
from tunedsl.base.vocabulary import AUTOMATIC_METRICS, Config, FailureKind, Mode
from tunedsl.journal import Journal, is_held
from tunedsl.kernel import Phase
from tunedsl.plan import Plan
from tunedsl.results import frames
from tunedsl.results.lineage import Policy, policy_of
from tunedsl.results.reading import SCOPES, Reading, Record, Scope
from tunedsl.results.story import story

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


@attrs.frozen(eq=False, repr=False)
class TrialResult:
    """One trial, as the journal has it."""

    _record: Record
    _root: Path
    _storage: str | None

    @property
    def id(self) -> str:
        """Its name, unique in the experiment."""
        return self._record.name

    @property
    def number(self) -> int:
        """Its place among the proposals, from 0."""
        return self._record.number

    @property
    def phase(self) -> Phase:
        """`PENDING`, `RUNNING`, `PAUSED`, `TERMINATED` or `ERRORED`."""
        return self._record.phase

    @property
    def config(self) -> Config:
        """Its configuration; objects of modules that are not loaded stand as `Named`."""
        return frames.config_of(self._record)

    @property
    def metrics(self) -> dict[str, Any]:
        """Its last report, with `training_iteration` and `time_total_s`; empty before the first one."""
        return self._record.metrics()

    @property
    def iterations(self) -> int:
        """How many reports it made."""
        return self._record.iterations

    @property
    def path(self) -> Path:
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

    @property
    def error(self) -> TrialError | None:
        """Why it failed, where it failed for good."""
        if self.phase != "ERRORED":
            return None
        failure = self._record.failures[-1]
        return TrialError(self.id, failure.kind, failure.message, failure.traceback)

    @property
    def curve(self) -> pd.DataFrame:
        """One row a report, in order."""
        return frames.curve(self._record)

    def __repr__(self) -> str:
        return f"TrialResult({self.id!r}, {self.phase}, metrics={self.metrics!r}, config={self.config!r})"


class Results:
    """The results of an experiment that is finished, interrupted or still running.

    The journal is read once, when something is first asked; `load` again to see what came later.

    Attributes:
        journal: what was read; `journal.digest` tells runs apart.

    >>> from tunedsl import space, uniform
    >>> def train(config): ...
    >>> experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(4).seed(0)
    >>> forecast = experiment.dry_run(curve=lambda config, iteration: config["x"], iterations=2)
    >>> results = Results(forecast.journal)
    >>> results
    <Results of 4 trials in 'memory', finished: all trials have ended>
    >>> results.best.metrics["loss"] == results.best_config["x"]
    True
    >>> print(results.why(0))
    trial 00000 (number 0): x=...
          0.00 s  proposed
          0.00 s  started
          2.00 s  ended by itself after iteration 2
    TERMINATED with loss=...
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    @cached_property
    def _reading(self) -> Reading:
        return Reading.of(self.journal)

    @property
    def plan(self) -> Plan:
        """The plan that was run."""
        return self.journal.plan

    @property
    def path(self) -> Path:
        """The experiment's folder."""
        return self.journal.path.parent if self.journal.path.suffix else self.journal.path

    @property
    def finished(self) -> bool:
        """Whether the experiment came to its end."""
        return bool(self._reading.finish)

    @cached_property
    def state(self) -> str:
        """`finished: ` and why, `running`, or `interrupted`, which can be resumed, and by what if it was an error."""
        if self.finished:
            return f"finished: {self._reading.finish}"
        if is_held(self.journal.path):
            return "running"
        closed = self._reading.closed or ""
        return f"interrupted: {closed}" if closed.startswith("failed") else "interrupted"

    @cached_property
    def trials(self) -> list[TrialResult]:
        """All trials, in the order proposed."""
        return [self._trial(record) for record in self._reading.records.values()]

    @property
    def errors(self) -> list[TrialError]:
        """Why trials failed for good, in the order proposed."""
        return [trial.error for trial in self.trials if trial.error is not None]

    @property
    def best(self) -> TrialResult:
        """The trial whose last report is best by the experiment's (first) objective; raises `NoResult` without one."""
        return self.best_trial()

    @property
    def pareto(self) -> list[TrialResult]:
        """The trials whose last reports no other one beats in all objectives, in the order proposed.

        Of a single objective, all that are equal to the best. Trials with an objective that is missing or no finite
        number are left out, failed ones too.

        Raises:
            NoResult: when the experiment has no objective.
        """
        goals = self.plan.objectives
        if not goals:
            raise NoResult("the experiment has no objective: add .minimize(...) or .maximize(...)")
        ended = [record for record in self._reading.records.values() if record.phase != "ERRORED"]
        scores = [(record, [record.score(goal, "last") for goal in goals]) for record in ended]
        whole = [(record, row) for record, row in scores if None not in row]
        losses = [[-goal.sign * float(x or 0) for goal, x in zip(goals, row, strict=True)] for _, row in whole]
        on = front(np.array(losses, float).reshape(len(whole), len(goals)))
        return [self._trial(record) for (record, _), kept in zip(whole, on, strict=True) if kept]

    @property
    def best_config(self) -> Config:
        """The configuration of `best`."""
        return self.best.config

    @property
    def best_logdir(self) -> Path:
        """The folder of `best`."""
        return self.best.path

    @property
    def best_checkpoint(self) -> Path | str | None:
        """The newest checkpoint of `best`, None where it saved none."""
        return self.best.checkpoint

    def _trial(self, record: Record) -> TrialResult:
        return TrialResult(record, self.path, self.journal.header.provenance.get("storage"))

    @checked
    def best_trial(self, metric: str | None = None, mode: Mode | None = None, scope: Scope = "last") -> TrialResult:
        """The best trial by one number a trial; the earlier one among equals.

        Args:
            metric: the experiment's objective without it.
            mode: `min` or `max`; may be left out for an objective.
            scope: the number: the `last` value reported, the best of `all`, the mean of all (`avg`), or the mean of the
                last few (`last-5-avg`, `last-10-avg`). Values that are not finite never win: under `all` they are
                passed over, a mean with one in it is no number.

        Raises:
            NoResult: when no trial has such a number; it says why.
            ArgumentError: for an unknown mode or scope.

        Source: `ExperimentAnalysis.get_best_trial` of Ray Tune; there a NaN hides what was reported before it under
        `all`, and a single trial wins whatever it reported.
        """
        if scope not in SCOPES:
            raise ArgumentError("E003", "best_trial.scope", repr(scope), f"one of {', '.join(SCOPES)}")
        objective = self._objective(metric, mode)
        best, best_score = None, 0.0
        for record in self._reading.records.values():
            score = record.score(objective, scope)
            if score is not None and (best is None or objective.sign * score > objective.sign * best_score):
                best, best_score = record, score
        if best is None:
            raise NoResult(self._why_none(objective))
        return self._trial(best)

    @checked
    def dataframe(self, metric: str | None = None, mode: Mode | None = None) -> pd.DataFrame:
        """One row a trial: at its last report, or with `metric` or `mode` at the report where the metric was best.

        Returns:
            Columns `trial_id`, `number`, `phase`, `training_iteration`, `time_total_s`, the metrics (float64), what was
            reported as data, then `config/lr` and so on, nested names joined by `/`.

        Raises:
            NoResult: for a metric that no trial reported.
        """
        objective = None if metric is None and mode is None else self._objective(metric, mode)
        if objective is not None and not self._reports(objective.metric):
            raise NoResult(self._why_none(objective))
        return frames.overview(list(self._reading.records.values()), self.plan.space, objective)

    @property
    def trial_dataframes(self) -> dict[str, pd.DataFrame]:
        """Each trial's reports as a frame, by its id."""
        return {trial.id: trial.curve for trial in self.trials}

    def why(self, trial: str | int) -> str:
        """A trial's story in words: attempts, failures, each decision with the facts it compared, and its end.

        Args:
            trial: its id or number.

        Raises:
            NoResult: when there is no such trial.
        """
        return story(self.journal, self._record(trial))

    def pbt_policy(self, trial: str | int) -> Policy:
        """The schedule of configurations that trained a trial's last weights, over all takeovers, for `pbt_replay`.

        Args:
            trial: its id or number.

        Returns:
            Iterations of training, from 0, and the configuration from there on.

        Raises:
            NoResult: when there is no such trial.
        """
        return policy_of(self.journal, self._record(trial).number)[0]

    def trained_iterations(self, trial: str | int) -> int:
        """How many iterations of training a trial's last weights have behind them, those of its donors included.

        Raises:
            NoResult: when there is no such trial.
        """
        return policy_of(self.journal, self._record(trial).number)[1]

    def _record(self, trial: str | int) -> Record:
        for record in self._reading.records.values():
            if trial in (record.name, record.number):
                return record
        near = nearest(str(trial), [record.name for record in self._reading.records.values()])
        hint = f"; did you mean {near!r}?" if near else ""
        raise NoResult(f"there is no trial {trial!r} among the {len(self.trials)} of {self.path}{hint}")

    def __repr__(self) -> str:
        return f"<Results of {len(self._reading.records)} trials in {str(self.path)!r}, {self.state}>"

    def _repr_html_(self) -> str:
        frame: Any = self.dataframe()
        return f"<p>{self.path}: {self.state}</p>{frame._repr_html_()}"

    def _objective(self, metric: str | None, mode: Mode | None) -> Objective:
        if mode is not None and mode not in get_args(Mode):
            raise ArgumentError("E003", "mode", repr(mode), "'min' or 'max'")
        known = {objective.metric: objective for objective in reversed(self.plan.objectives)}
        if metric is None:
            if not known:
                raise NoResult("the experiment has no objective: say which metric= and mode='min' or 'max'")
            metric = self.plan.objectives[0].metric
        if mode is not None:
            return Objective(metric, mode)
        if metric not in known:
            raise ArgumentError("E002", "mode", f"none for {metric!r}", "'min' or 'max'")
        return known[metric]

    def _reports(self, metric: str) -> bool:
        return any(record.column(metric) is not None for record in self._reading.records.values())

    def _why_none(self, objective: Objective) -> str:
        """Why there is no best trial."""
        records = self._reading.records.values()
        failed = [record for record in records if record.phase == "ERRORED"]
        if self._reports(objective.metric):
            return f"no trial reported a finite {objective.metric!r}"
        if any(record.iterations for record in records):
            names = {name for record in records for name in record.columns} | set(AUTOMATIC_METRICS[:2])
            return f"no trial reported {objective.metric!r}: {did_you_mean(objective.metric, names)}"
        if failed:
            first = failed[0].failures[-1].message
            return f"no trial reported anything; {len(failed)} of {len(records)} failed, the first one with {first}"
        return f"no trial reported anything yet ({self.state}, {len(records)} trials)"


def load(path: str | Path) -> Results:
    """The results of a finished, failed or running experiment.

    Args:
        path: the experiment's folder, or its journal file.

    Raises:
        JournalError: when there is no journal, or its header is damaged.
    """
    results = Results(Journal(path))
    results.journal.header  # noqa: B018  # raises here and now
    return results

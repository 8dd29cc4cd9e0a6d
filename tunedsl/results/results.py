"""What users look at: the best trial, all trials, errors, frames and stories of one experiment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import attrs
import numpy as np

from tunedsl.base.arguments import check_arguments
from tunedsl.base.errors import ArgumentError, NoResult
from tunedsl.base.names import did_you_mean, nearest
from tunedsl.base.objective import Objective
from tunedsl.base.pareto import pareto_front
from tunedsl.base.types import AUTOMATIC_METRICS, Config, Mode
from tunedsl.journal import Journal, Location, has_driver
from tunedsl.plan import Plan
from tunedsl.results import frames
from tunedsl.results.lineage import Policy, policy_of
from tunedsl.results.story import tell_story
from tunedsl.results.trial import TrialError, TrialResult
from tunedsl.results.trial_history import SCOPES, STATUSES, RunHistory, Scope, TrialHistory

if TYPE_CHECKING:
    import pandas as pd

    from tunedsl.backends import Engine
    from tunedsl.experiment import Experiment
    from tunedsl.results.comparison import Comparison
    from tunedsl.results.plots import Plots

MAX_SHOWN: Final = 10
"""Trials in a notebook's table."""


@attrs.frozen
class Stats:
    """Counts of an experiment.

    Attributes:
        trials: how many were proposed.
        standings: how many of them are `finished`, `stopped`, `failed`, `paused`, `running`, `waiting`.
        attempts: launches, retries and returns from a pause included.
        iterations: reports of all trials.
        seconds: since the experiment began, downtime excluded, at its last event.
        training_seconds: that all trials trained, together.
        checkpoints: that are kept.
    """

    trials: int
    standings: dict[str, int]
    attempts: int
    iterations: int
    seconds: float
    training_seconds: float
    checkpoints: int


class Results:
    """The results of an experiment that is finished, interrupted or still running.

    The journal is read once, when something is first asked; `load` again to see what came later.

    Attributes:
        journal: what was read; `journal.digest` tells runs apart.
        experiment: what was run, in the process that ran it; None where the journal was only read.

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

    def __init__(self, journal: Journal, experiment: Experiment | None = None) -> None:
        self.journal = journal
        self.experiment = experiment

    @cached_property
    def reading(self) -> RunHistory:
        """What the journal says, in plain columns; everything else here is made from it."""
        return RunHistory.of(self.journal)

    @property
    def plan(self) -> Plan:
        """The plan that was run."""
        return self.journal.plan

    @property
    def seed(self) -> int:
        """The root of all randomness of the run; `trials[17].seed` is a trial's own."""
        return self.plan.seed

    @property
    def path(self) -> Location:
        """The experiment's folder, or its address."""
        return self.journal.folder

    @property
    def finished(self) -> bool:
        """Whether the experiment came to its end."""
        return bool(self.reading.finish)

    @cached_property
    def state(self) -> str:
        """Finished and why, running, or interrupted, which can be resumed, and by what if it was an error."""
        if self.finished:
            return f"finished: {self.reading.finish}"
        if has_driver(self.journal.path):
            return "running"
        closed = self.reading.closed or ""
        return f"interrupted: {closed}" if closed.startswith(("failed", "paused")) else "interrupted"

    @cached_property
    def trials(self) -> list[TrialResult]:
        """All trials, in the order proposed."""
        return [self._trial(record) for record in self.reading.records.values()]

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
        ended = [record for record in self.reading.records.values() if record.phase != "ERRORED"]
        scores = [(record, [record.score(goal, "last") for goal in goals]) for record in ended]
        whole = [(record, row) for record, row in scores if None not in row]
        losses = [[-goal.sign * float(x or 0) for goal, x in zip(goals, row, strict=True)] for _, row in whole]
        on = pareto_front(np.array(losses, float).reshape(len(whole), len(goals)))
        return [self._trial(record) for (record, _), kept in zip(whole, on, strict=True) if kept]

    @property
    def best_config(self) -> Config:
        """The configuration of `best`."""
        return self.best.config

    @property
    def best_result(self) -> dict[str, Any]:
        """The last report of `best`."""
        return self.best.metrics

    @property
    def best_dataframe(self) -> pd.DataFrame:
        """The reports of `best`, one row each."""
        return self.best.curve

    @property
    def best_result_df(self) -> pd.DataFrame:
        """The row of `best` in `dataframe()`."""
        best, frame = self.best, self.dataframe()
        return frame[frame["number"] == best.number].reset_index(drop=True)

    @property
    def best_logdir(self) -> Path | str:
        """The folder of `best`."""
        return self.best.path

    @property
    def best_checkpoint(self) -> Path | str | None:
        """The newest checkpoint of `best`, None without one; `best.best_checkpoint()` is that of its best report."""
        return self.best.checkpoint

    @property
    def configs(self) -> dict[str, Config]:
        """The configuration of each trial, by its id."""
        return {record.name: frames.config_of(record) for record in self.reading.records.values()}

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """The last report of each trial, by its id."""
        return {record.name: record.metrics() for record in self.reading.records.values()}

    @property
    def results_df(self) -> pd.DataFrame:
        """The same as a frame, which is `dataframe()`."""
        return self.dataframe()

    @property
    def stats(self) -> Stats:
        """Trials by their standing, attempts, iterations and seconds."""
        records = self.reading.records.values()
        counts = Counter(record.standing for record in records)
        return Stats(
            trials=len(records),
            standings={name: counts[name] for name in STATUSES if counts[name]},
            attempts=sum(record.attempts for record in records),
            iterations=sum(record.iterations for record in records),
            seconds=self.reading.seconds,
            training_seconds=float(sum(record.times[-1] for record in records if record.iterations)),
            checkpoints=sum(len(record.checkpoints) for record in records),
        )

    def _trial(self, record: TrialHistory) -> TrialResult:
        storage = self.journal.header.provenance.get("storage")
        return TrialResult(record, self.path, storage, self.objective, self._metrics, self)

    @check_arguments
    def best_trial(
        self, metric: str | None = None, mode: Mode | None = None, scope: Scope = "last", finite: bool = True
    ) -> TrialResult:
        """The best trial by one number a trial; the earlier one among equals.

        Args:
            metric: the experiment's objective without it.
            mode: `min` or `max`; may be left out for an objective.
            scope: the number: the `last` value reported, the best of `all`, the mean of all (`avg`), or the mean of the
                last few (`last-5-avg`, `last-10-avg`).
            finite: whether infinities are passed over under `all` and make a mean no number. A NaN always does.

        Raises:
            NoResult: when no trial has such a number; it says why.
            ArgumentError: for an unknown mode or scope.

        Source: `ExperimentAnalysis.get_best_trial` of Ray Tune; there a NaN hides what was reported before it under
        `all`, and a single trial wins whatever it reported.
        """
        objective = self.objective(metric, mode)
        best, best_score = None, 0.0
        for record, score in self.scores(objective, scope, finite):
            if score is not None and (best is None or objective.sign * score > objective.sign * best_score):
                best, best_score = record, score
        if best is None:
            raise NoResult(self._why_empty(objective))
        return self._trial(best)

    def scores(
        self, objective: Objective, scope: Scope = "last", finite: bool = True
    ) -> Iterator[tuple[TrialHistory, float | None]]:
        """What each trial is compared by, None where there is no such number.

        Raises:
            ArgumentError: for an unknown scope.
        """
        if scope not in SCOPES:
            raise ArgumentError("E003", "scope", repr(scope), f"one of {', '.join(SCOPES)}")
        return ((record, record.score(objective, scope, finite)) for record in self.reading.records.values())

    @check_arguments
    def dataframe(
        self, metric: str | None = None, mode: Mode | None = None, scope: Literal["last", "all"] | None = None
    ) -> pd.DataFrame:
        """One row a trial: at its last report, or with `metric` or `mode` at the report where the metric was best.

        Args:
            scope: says which one of the two, `last` or `all`; means over reports belong to no row.

        Returns:
            Columns `trial_id`, `number`, `phase`, `training_iteration`, `time_total_s`, the metrics (float64), what was
            reported as data, then `config/lr` and so on, nested names joined by `/`, their types by their domains. The
            objectives' and the parameters' columns are there before anything was reported.

        Raises:
            NoResult: for a metric that no trial reported.
            ArgumentError: for another scope.
        """
        if scope not in ("last", "all", None):
            raise ArgumentError(
                "E003", "dataframe.scope", repr(scope), "'last' or 'all'", "a mean is of no single report"
            )
        given = metric is not None or mode is not None
        objective = self.objective(metric, mode) if given or scope == "all" else None
        if objective is not None and given and not self._reports(objective.metric):
            raise NoResult(self._why_empty(objective))
        shown = None if scope == "last" else objective
        return frames.trials_frame(list(self.reading.records.values()), self.plan.space, shown, self._metrics)

    @property
    def curves(self) -> pd.DataFrame:
        """All reports of all trials, one row each.

        Returns:
            Columns `trial_id` (category), `number`, `training_iteration`, `time_total_s`, `seconds` (since the
            experiment began), the metrics (float64, NaN where one was not reported), then what was reported as data.
        """
        return frames.curves(list(self.reading.records.values()), self._metrics)

    @property
    def _metrics(self) -> list[str]:
        """Metrics that have a column in any case."""
        return [goal.metric for goal in self.plan.objectives if goal.metric not in AUTOMATIC_METRICS[:2]]

    # For others

    @check_arguments
    def to_csv(self, path: str | Path) -> Path:
        """Writes `dataframe()` as a CSV file; numbers read back as they are.

        Returns:
            The path.
        """
        return frames.write_csv(self.dataframe(), path)

    @check_arguments
    def to_parquet(self, path: str | Path) -> Path:
        """Writes `dataframe()` as a Parquet file, with the experiment's name and digest in its metadata.

        Values that are no single numbers or texts are written as JSON.

        Returns:
            The path.

        Raises:
            NoResult: without pyarrow; it names the extra.
        """
        facts = {"name": self.plan.name, "plan": self.plan.digest, "state": self.state}
        return frames.write_parquet(self.dataframe(), path, facts)

    @check_arguments
    def compare(self, other: Results) -> Comparison:
        """Two experiments side by side: what came of them, and what their plans differ in.

        Args:
            other: another experiment's results.

        Returns:
            A value with `frame`, `diff` and a text; in a notebook it is a table.
        """
        from tunedsl.results.comparison import compare

        return compare(self, other)

    @check_arguments
    def importance(self, metric: str | None = None, mode: Mode | None = None, scope: Scope = "last") -> pd.DataFrame:
        """How much each parameter matters for a metric, by a random forest.

        Returns:
            One row a parameter, the most important first: `parameter`, `importance` (shares, their sum is 1), `sd`, and
            `trials`, in how many it existed.

        Raises:
            NoResult: with too few trials, or without scikit-learn.

        Source: total effects of a functional ANOVA, by permutation; Hutter et al. 2014, Breiman 2001.
        """
        from tunedsl.results.importance import importance
        from tunedsl.results.plots.data import PlotTrials

        return importance(PlotTrials.of(self, metric, mode, scope)).frame()

    @cached_property
    def plot(self) -> Plots:
        """Pictures, such as `results.plot.curves()`; each is a figure of plotly."""
        from tunedsl.results.plots import Plots

        return Plots(self)

    @check_arguments
    def report(self, path: str | Path | None = None, forecast: Any = None) -> Path:
        """Writes one HTML page with all of it that opens without a network.

        Args:
            path: of the file; `report.html` in the experiment's folder without it.
            forecast: a dry run of the experiment, to be shown beside what happened.

        Returns:
            The path.

        Raises:
            NoResult: without plotly and jinja2; it names the extra.
        """
        from tunedsl.results.report import write

        return write(self, path, forecast)

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
        return tell_story(self.journal, self._record(trial), self.reading.lines)

    def export(self, *sinks: Any, out: str | Path | None = None) -> None:
        """Tells sinks all that happened, as if they had been there: `results.export(tensorboard(), csv())`.

        Args:
            sinks: as for `.sinks(...)`.
            out: where they put files; the experiment's folder without it.

        Raises:
            SinkError: for a sink that fails, or whose package is not installed.
        """
        from tunedsl.export.export import export

        export(self.path, *sinks, out=out)

    def rerun(self, trial: str | int, engine: str | Engine = "inline", **options: Any) -> TrialResult:
        """Runs a trial again, by its configuration and seed; see `tunedsl.runs.rerun`.

        Args:
            trial: its id or number.
        """
        from tunedsl.runs import rerun

        return rerun(self[trial], self.experiment, engine, **options)

    def best_model(self, **data: Any) -> Any:
        """The model of `best`, from its newest checkpoint: `best.load()`."""
        return self.best.load(**data)

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

    def __len__(self) -> int:
        return len(self.reading.records)

    def __iter__(self) -> Iterator[TrialResult]:
        return iter(self.trials)

    def __getitem__(self, trial: str | int) -> TrialResult:
        """A trial by its id or number; raises `NoResult` when there is no such trial."""
        return self._trial(self._record(trial))

    def _record(self, trial: str | int) -> TrialHistory:
        for record in self.reading.records.values():
            if trial in (record.name, record.number):
                return record
        near = nearest(str(trial), [record.name for record in self.reading.records.values()])
        hint = f"; did you mean {near!r}?" if near else ""
        raise NoResult(f"there is no trial {trial!r} among the {len(self.trials)} of {self.path}{hint}")

    def __repr__(self) -> str:
        return f"<Results of {len(self.reading.records)} trials in {str(self.path)!r}, {self.state}>"

    def _repr_html_(self) -> str:
        frame = self.dataframe()
        title = f"<b>{escape(self.plan.name)}</b>: {escape(self.state)}, {len(frame)} trials"
        if self.plan.objectives:
            goal = self.plan.objectives[0]
            column = frame[frames.column_of(goal.metric)].replace([np.inf, -np.inf], np.nan)
            order = column.sort_values(ascending=goal.mode == "min", kind="stable", na_position="last").index
            frame = frame.loc[order]
        if len(frame) > MAX_SHOWN:
            title += f", the {MAX_SHOWN} {'best' if self.plan.objectives else 'first'} shown"
        table: str = frame.head(MAX_SHOWN).to_html(index=False, max_cols=20, border=0)
        return f"<p>{title}</p>{table}"

    def objective(self, metric: str | None = None, mode: Mode | None = None) -> Objective:
        """What is compared: the experiment's first objective, the one of a metric, or any metric with its mode.

        Raises:
            ArgumentError: for an unknown mode, or a metric that is no objective, without one.
            NoResult: when the experiment has no objective and none is given.
        """
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
            hint = f"objectives, which need none: {', '.join(known)}" if known else ""
            raise ArgumentError("E002", "mode", f"none for {metric!r}, which is no objective", "'min' or 'max'", hint)
        return known[metric]

    def _reports(self, metric: str) -> bool:
        return any(record.column(metric) is not None for record in self.reading.records.values())

    def _why_empty(self, objective: Objective) -> str:
        """Why there is no best trial."""
        records = self.reading.records.values()
        failed = [record for record in records if record.phase == "ERRORED"]
        if self._reports(objective.metric):
            return f"no trial reported a finite {objective.metric!r}"
        if any(record.iterations for record in records):
            names = {name for record in records for name in record.columns} | set(AUTOMATIC_METRICS[:2])
            return f"no trial reported {objective.metric!r}: {did_you_mean(objective.metric, names)}"
        if failed:
            first = failed[0].failures[-1].message
            return f"no trial reported anything; {len(failed)} of {len(records)} failed, the first one with {first}"
        yet = "" if self.state.startswith("finished") else " yet"
        return f"no trial reported anything{yet} ({self.state}, {len(records)} trials)"


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

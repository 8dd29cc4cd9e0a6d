"""The results of one experiment: best trial, all trials, errors, frames, plots and stories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunedsl.base.arguments import check_arguments
from tunedsl.base.errors import NoResult, wrong_value
from tunedsl.base.objective import Objective
from tunedsl.base.suggestions import RESULTS, hinted
from tunedsl.base.types import Config, Mode
from tunedsl.base.verbs import verb
from tunedsl.journal import Journal, Location, Parent, parent_of
from tunedsl.plan import Plan
from tunedsl.plan.definition import Definition
from tunedsl.results import frames, selection
from tunedsl.results.feasibility import Feasibility, compared_metrics, feasibility
from tunedsl.results.fidelity import Fidelity, reached
from tunedsl.results.lineage import Policy, policy_of
from tunedsl.results.ranking import Peak, peak
from tunedsl.results.stats import Stats
from tunedsl.results.story import Story, StoryIndex, stop_reason, tell_stories
from tunedsl.results.trial import TrialError, TrialResult
from tunedsl.results.trial_history import RunHistory, Scope, TrialHistory

if TYPE_CHECKING:
    import pandas as pd

    from tunedsl.results.plots import Plots


@hinted(RESULTS)
class Results:
    """The results of an experiment that is finished, interrupted or still running.

    The journal is read once, on first access; call `load` again for later events.

    Attributes:
        journal: the journal; `journal.digest` identifies the run.
        definition: the experiment, in the process that ran it; None after `load`.

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
    completed with loss=...
    """

    def __init__(self, journal: Journal, definition: Definition | None = None) -> None:
        self.journal = journal
        self.definition = definition

    @cached_property
    def reading(self) -> RunHistory:
        """The contents of the journal in plain columns; all other members derive from it."""
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

    @property
    def forked_from(self) -> Parent | None:
        """The run that this one was forked from, with the last shared record and its digest; None for other runs."""
        return parent_of(self.journal.header)

    @cached_property
    def state(self) -> str:
        """Whether the run is `finished`, `running` or `interrupted`, followed by the reason where there is one."""
        return self.reading.state

    @cached_property
    def trials(self) -> list[TrialResult]:
        """All trials, in the order proposed."""
        return [self._trial(record) for record in self.reading.records.values()]

    @property
    def errors(self) -> list[TrialError]:
        """Errors of permanently failed trials, in the order proposed."""
        return [trial.error for trial in self.trials if trial.error is not None]

    @property
    def best(self) -> TrialResult:
        """The trial whose last report is best by the experiment's (first) objective; raises `NoResult` without one.

        A failed trial is the best only where no other one reported a value. `peak` says where a better value was seen.
        Under outcome constraints it is feasible, or if none is, the one with the least violation; see `feasibility`.
        """
        return self.best_trial()

    @cached_property
    def peak(self) -> Peak | None:
        """The best value that any trial ever reported, where it is better than the last one of `best`; else None."""
        return self.peak_of(self.plan.objectives[0]) if self.plan.objectives else None

    def peak_of(self, objective: Objective) -> Peak | None:
        """The peak by another objective."""
        return peak(self.reading.records.values(), objective, self.plan.constraints)

    @cached_property
    def feasibility(self) -> Feasibility | None:
        """How many trials meet the outcome constraints, as counts and text; None without constraints."""
        return feasibility(self.plan, self.reading.records.values())

    @property
    def pareto(self) -> list[TrialResult]:
        """The trials whose last reports no other one beats in all objectives, in the order proposed.

        Of a single objective, all that are equal to the best. Trials with an objective that is missing or no finite
        number are left out, failed ones too, and under outcome constraints all but those with the least violation.

        Raises:
            NoResult: when the experiment has no objective.
        """
        goals = self.plan.objectives
        if not goals:
            raise NoResult("The experiment has no objective.\n  help: add .minimize(...) or .maximize(...)")
        return [self._trial(record) for record in selection.find_pareto(self.reading, goals)]

    @property
    def best_config(self) -> Config:
        """The configuration of `best`."""
        return self.best.config

    @property
    def best_checkpoint(self) -> Path | str | None:
        """The newest checkpoint of `best`, None without one; `best.best_checkpoint()` is that of its best report."""
        return self.best.checkpoint

    @property
    def stats(self) -> Stats:
        """Trials by status, attempts, iterations and seconds."""
        return Stats.of(self.reading)

    def _trial(self, record: TrialHistory, compared: str | None = None) -> TrialResult:
        """A trial; its metrics have the one that it was compared by, also where the last report lacks it."""
        storage = self.journal.header.provenance.get("storage")
        metrics = self._metrics if compared is None else list(dict.fromkeys((*self._metrics, compared)))
        return TrialResult(record, self.path, storage, self.objective, metrics, self)

    @check_arguments
    def best_trial(
        self, metric: str | None = None, mode: Mode | None = None, scope: Scope = "last", finite: bool = True
    ) -> TrialResult:
        """The best trial by one number a trial; the earlier one among equals, and failed ones after all others.

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
        `all`, a single trial wins whatever it reported, and so does a failed one.
        """
        objective = self.objective(metric, mode)
        best = selection.find_best(self.reading, objective, scope, finite)
        return self._trial(best, objective.metric)

    @check_arguments
    def dataframe(
        self, metric: str | None = None, mode: Mode | None = None, scope: Literal["last", "all"] | None = None
    ) -> pd.DataFrame:
        """One row a trial: at its last report, or with `metric` or `mode` at the report where the metric was best.

        Args:
            scope: says which one of the two, `last` or `all`; means over reports belong to no row.

        Returns:
            Columns `trial_id`, `number`, `status` (`completed`, `stopped`, `failed`, `running`, `paused`, `pending` or
            `cancelled`: never started, or cut by the end of the experiment), `stop_reason` (missing where the code
            returned), `fidelity` (iterations behind the value of the first objective), under outcome constraints
            `feasible` and `violation` (in total, missing where a metric was not reported), `training_iteration`,
            `time_total_s`, the metrics (float64), what was reported as data, then `config/lr` and so on, nested names
            joined by `/`, their types by their domains. The objectives' and the parameters' columns are there before
            anything was reported; an objective that a report lacks stands with its newest value.

        Raises:
            NoResult: for a metric that no trial reported.
            ArgumentError: for another scope.
        """
        if scope not in ("last", "all", None):
            raise wrong_value("dataframe.scope", scope, "'last' or 'all'", "means over several reports have no row")
        given = metric is not None or mode is not None
        objective = self.objective(metric, mode) if given or scope == "all" else None
        if objective is not None and given and not selection.has_metric(self.reading, objective.metric):
            raise NoResult(selection.explain_no_best(self.reading, objective))
        shown = None if scope == "last" else objective
        records = list(self.reading.records.values())
        reasons = [stop_reason(record, self.plan, self.reading.finish) for record in records]
        return frames.trials_frame(records, self.plan.space, shown, self._metrics, reasons, self.plan.constraints)

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
        return compared_metrics(self.plan)

    # Output and analysis

    @check_arguments
    def to_csv(self, path: str | Path) -> Path:
        """Write `dataframe()` as a CSV file with full precision, and return the path."""
        return frames.write_csv(self.dataframe(), path)

    @check_arguments
    def to_parquet(self, path: str | Path) -> Path:
        """Writes `dataframe()` as a Parquet file, with the experiment's name and digest in its metadata.

        Values other than single numbers or texts are written as JSON.

        Returns:
            The path.

        Raises:
            NoResult: without pyarrow; it names the extra.
        """
        facts = {"name": self.plan.name, "plan": self.plan.digest, "state": self.state}
        return frames.write_parquet(self.dataframe(), path, facts)

    @check_arguments
    def compare(self, other: Results) -> Any:
        """Compare two experiments: their outcomes and the differences of their plans.

        Returns:
            A `Comparison` with `frame`, `diff` and a text; in a notebook it is a table.
        """
        return verb("compare")(self, other)

    @check_arguments
    def importance(
        self,
        metric: str | None = None,
        mode: Mode | None = None,
        scope: Scope = "last",
        fidelity: Fidelity = "auto",
    ) -> pd.DataFrame:
        """How much each parameter matters for a metric, by a random forest.

        Args:
            metric, mode, scope: as for `best_trial`.
            fidelity: at which iteration trials are compared; a trial that was stopped before it is left out. `auto` is
                the highest that 10 trials and a quarter of all reached, `last` each trial's own last report.

        Returns:
            One row a parameter, the most important first: `parameter`, `importance` (shares, their sum is 1), `sd`,
            `trials`, in how many of those compared it existed, and `fidelity`, the iteration (missing under `last`).

        Raises:
            NoResult: with too few trials, or without scikit-learn.
            ArgumentError: for an unknown fidelity.

        Source: total effects of a functional ANOVA, by permutation; Hutter et al. 2014, Breiman 2001.
        """
        from tunedsl.results.importance import importance
        from tunedsl.results.plots.data import PlotTrials

        return importance(PlotTrials.of(self.reading, metric, mode, scope, fidelity)).frame()

    @check_arguments
    def hypervolume(self, reference: Mapping[str, float] | None = None) -> pd.DataFrame:
        """What the last reports so far dominate, after each trial: `trial`, `seconds`, `hypervolume`.

        Args:
            reference: for each objective, by metric, the value to measure from; by default the worst last one.
        """
        from tunedsl.results.hypervolume import hypervolume_curve

        return hypervolume_curve(self.reading, reference).frame()

    @check_arguments
    def fidelities(self, metric: str | None = None, mode: Mode | None = None) -> dict[int, int]:
        """How many trials came to each iteration where the values of one of them end: what `fidelity=` can be."""
        return reached(self.reading.records.values(), self.objective(metric, mode).metric)

    @cached_property
    def plot(self) -> Plots:
        """Plots, such as `results.plot.curves()`; each is a plotly figure."""
        from tunedsl.results.plots import Plots

        return Plots(self.reading)

    @check_arguments
    def report(self, path: str | Path | None = None, forecast: Any = None) -> Path:
        """Write one HTML page with all results; it opens without a network.

        Args:
            path: of the file; `report.html` in the experiment's folder without it.
            forecast: a dry run of the experiment, shown next to the actual run.

        Returns:
            The path.

        Raises:
            NoResult: without plotly; it names the extra.
        """
        written: Path = verb("write_report")(self, path, forecast)
        return written

    def why(self, trial: str | int) -> Story:
        """The story of a trial as text: attempts, failures, each decision with the values it compared, and its end.

        Raises:
            NoResult: when there is no such trial.
        """
        record = selection.find_record(self.reading, trial)
        return tell_stories(self.journal, [record], StoryIndex.of(self.journal, self.reading.lines))[0]

    def export(self, *sinks: Any, out: str | Path | None = None) -> None:
        """Send the whole run to sinks: `results.export(tensorboard(), csv())`.

        Args:
            sinks: as for `.sinks(...)`.
            out: the folder for files; default the experiment's folder.

        Raises:
            SinkError: for a sink that fails, or whose package is not installed.
        """
        from tunedsl.export import export

        export(self.path, *sinks, out=out)

    def rerun(
        self,
        trial: str | int,
        engine: Any = "inline",
        *,
        address: str | None = None,
        quiet: bool = False,
        listeners: Iterable[Any] = (),
    ) -> TrialResult:
        """Run a trial again with the same configuration, seed and resources; see `tunedsl.runs.rerun`.

        Args:
            trial: its id or number.
            engine, address, quiet, listeners: as of `run`.
        """
        options = {"address": address, "quiet": quiet, "listeners": listeners}
        found: TrialResult = verb("rerun")(self[trial], self.definition, engine, **options)
        return found

    @check_arguments
    def what_if(self, scheduler: Any = None, stop: Any = None, until: Any = None, parallel: int | None = None) -> Any:
        """Replay the recorded curves under other policies: a `Forecast`; see `tunedsl.runs.what_if`."""
        return verb("what_if")(self, scheduler, stop, until, parallel)

    @check_arguments
    def forecast(self, runs: int = 20, seed: int = 0) -> Any:
        """Time left and the chance of a better trial, by simulations of the rest: a `Projection`."""
        return verb("project")(self, runs, seed)

    def best_model(self, **data: Any) -> Any:
        """The model of `best`, from its newest checkpoint: `best.load()`."""
        return self.best.load(**data)

    def pbt_policy(self, trial: str | int) -> Policy:
        """The schedule of configurations that trained a trial's last weights, over all takeovers, for `pbt_replay`.

        Args:
            trial: its id or number.

        Returns:
            Iterations of training, starting at 0, with the configuration after each.

        Raises:
            NoResult: when there is no such trial.
        """
        return policy_of(self.journal, selection.find_record(self.reading, trial).number)[0]

    def trained_iterations(self, trial: str | int) -> int:
        """Iterations of training behind a trial's last weights, including those of its donors.

        Raises:
            NoResult: when there is no such trial.
        """
        return policy_of(self.journal, selection.find_record(self.reading, trial).number)[1]

    def __len__(self) -> int:
        return len(self.reading.records)

    def __iter__(self) -> Iterator[TrialResult]:
        return iter(self.trials)

    def __getitem__(self, trial: str | int) -> TrialResult:
        """A trial by its id or number; raises `NoResult` when there is no such trial."""
        return self._trial(selection.find_record(self.reading, trial))

    def __repr__(self) -> str:
        better = "" if self.peak is None else f"; {self.peak}"
        return f"<Results of {len(self.reading.records)} trials in {str(self.path)!r}, {self.state}{better}>"

    def _repr_html_(self) -> str:
        return str(verb("results_html")(self))

    def order(self, objective: Objective) -> list[int]:
        """Positions of all trials, best last value first; failed trials, then trials without a value, come last."""
        return selection.order(self.reading, objective)

    def objective(self, metric: str | None = None, mode: Mode | None = None) -> Objective:
        """The first objective, the objective of a metric, or any metric with a mode; see `choose_objective`."""
        return selection.choose_objective(self.plan, metric, mode)


@check_arguments
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

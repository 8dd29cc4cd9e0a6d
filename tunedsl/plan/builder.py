"""The clauses of an experiment as methods, each of which returns a new definition.

A clause checks its own arguments, by the functions of `plan.arguments`. The compiler checks how clauses fit together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, get_args

import attrs

from tunedsl.base.arguments import as_bool, as_choice, as_int, as_text, check_arguments
from tunedsl.base.errors import ArgumentError, wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.base.types import Mode, Order
from tunedsl.plan import Command, arguments
from tunedsl.plan.clauses import DataObject
from tunedsl.plan.definition import Definition
from tunedsl.plan.settings import Backoff, Isolation, Retry, Strategy, Timeout
from tunedsl.plan.settings import backoff as backoff_of
from tunedsl.plan.space_builder import SpaceBuilder
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers.contract import searcher_of
from tunedsl.sinks.registry import sink_of
from tunedsl.spaces.expressions import Expr
from tunedsl.stopping import StudySummary
from tunedsl.stopping import budget as budget_of


@attrs.frozen(repr=False)
class ExperimentBuilder(SpaceBuilder):
    """A definition with a method for each clause; `Experiment` adds the verbs."""

    # Code and data

    @check_arguments
    def trainable(self, f: Callable[..., Any] | Command) -> Self:
        """Sets the training code: a function or generator function, a `Trainable` subclass, or a `command(...)`.

        Raises:
            ArgumentError: for an object of another kind.
        """
        return self._with("trainable", trainable=arguments.trainable_of(f))

    @check_arguments
    def data(self, **objects: Any) -> Self:
        """Adds large objects, which are shipped once and passed to the trainable by keyword.

        Trials cannot change each other's objects: NumPy arrays are read-only views, other objects are copies. An
        object that cannot be pickled, such as a lock, is shared by the trials of a worker.

        Raises:
            ArgumentError: for a keyword that is already set to another object.
        """
        all_objects = dict(self.clauses.data)
        for name, item in ((as_text("a name in data", name), item) for name, item in objects.items()):
            if all_objects.setdefault(name, DataObject(item)) != DataObject(item):
                message = f"The object {name} {self.already_set(f'data.{name}')}."
                raise ArgumentError("E004", f"data.{name}", message, "choose another keyword for the second object")
        return self._with("data", *(f"data.{name}" for name in objects), data=tuple(all_objects.items()))

    # Objectives

    @check_arguments
    def minimize(self, metric: str) -> Self:
        """Adds an objective: a metric that is better when it is smaller."""
        return self._objective("minimize", metric, "min")

    @check_arguments
    def maximize(self, metric: str) -> Self:
        """Adds an objective: a metric that is better when it is larger."""
        return self._objective("maximize", metric, "max")

    def _objective(self, clause: str, metric: str, mode: Mode) -> Self:
        added = arguments.objective(clause, metric, mode)
        metric = added.metric
        by_metric = {item.metric: item for item in self.clauses.objectives}
        if by_metric.setdefault(metric, added) != added:
            message = f"{by_metric[metric].mode}imize({metric!r}) {self.already_set(f'objective.{metric}')}."
            raise ArgumentError("E004", clause, message, "remove one of the two directions")
        return self._with("objective", f"objective.{metric}", objectives=tuple(by_metric.values()))

    @check_arguments
    def subject_to(self, *conditions: Expr) -> Self:
        """Adds outcome constraints: what the result of a trial must meet, whatever its objective.

        The newest reported value of each metric counts. A trial that misses one is infeasible, and so is a trial that
        did not report the metric. Infeasible trials rank after all feasible ones, by their total violation, in
        `results`, in schedulers and for `.until(best() <= ...)`. Searchers that can learn the violations do so.

        Args:
            conditions: comparisons of metrics, such as `metric("latency_ms") <= 20`, also joined by `&`.

        Raises:
            ArgumentError: for an argument that is not such a comparison, or without any.
        """
        added = arguments.outcome_constraints(conditions)
        constraints = tuple(dict.fromkeys((*self.clauses.constraints, *added)))
        return self._with("subject_to", *(f"subject_to.{each!r}" for each in added), constraints=constraints)

    # Policies

    @check_arguments
    def searcher(self, spec: Any) -> Self:
        """Sets the searcher, which proposes configurations, such as `random_search()`.

        Raises:
            ArgumentError: for an object that is not a searcher.
        """
        searcher_of(spec)
        return self._with("searcher", searcher=spec)

    @check_arguments
    def scheduler(self, spec: Any) -> Self:
        """Sets the scheduler, which decides which trials continue, such as `asha(max_t=81)`.

        Raises:
            ArgumentError: for an object that is not a scheduler.
        """
        scheduler_of(spec)
        return self._with("scheduler", scheduler=spec)

    # Limits

    @check_arguments
    def stop(self, *conditions: Expr | Callable[[str, dict[str, Any]], bool], **reached: float) -> Self:
        """Adds conditions that end a trial; the first one that is met ends it.

        Args:
            conditions: expressions such as `metric("loss") < 0.01`, or functions `(trial_id, result) -> bool`.
            reached: metric and threshold. The trial ends when the metric is at least the threshold, or at most the
                threshold if the objective minimizes that metric.

        Raises:
            ArgumentError: for an argument that is not a condition, a condition over parameters, or a threshold that is
                not a number.
        """
        added = arguments.stop_conditions(conditions, reached)
        stop = tuple(dict.fromkeys((*self.clauses.stop, *added)))
        return self._with("stop", *(f"stop.{condition!r}" for condition in added), stop=stop)

    @check_arguments
    def budget(
        self,
        seconds: float | None = None,
        trials: int | None = None,
        iterations: int | None = None,
        failures: int | None = None,
    ) -> Self:
        """Sets limits of the whole experiment; the first one that is reached ends it.

        Args:
            seconds: running time, above 0; the time between an interruption and a resume does not count.
            trials: how many may start, at least 1.
            iterations: how many all trials together may report, at least 1. In arrival order, reports that are under
                way at the limit still count, so the total may exceed it by one batch of reports.
            failures: how many trials may fail without a retry left, at least 1.

        Raises:
            ArgumentError: for an argument out of range, or without any argument.
        """
        return self._with("budget", budget=budget_of(seconds, trials, iterations, failures))

    @check_arguments
    def until(self, condition: Expr | Callable[[StudySummary], bool]) -> Self:
        """Adds a condition over the whole study that ends the run early.

        `failing(...)` suspends the run, so that a resume continues it. Every other condition finishes the run, as a
        budget does. The default is `failing(same=5)`: five trials failed with the same error before any succeeded.

        Args:
            condition: conditions of `tunedsl.stopping`, such as `best() <= 0.05`, combined by `&`, `|` and `~`; or a
                function of a `StudySummary`. A `failing(...)` replaces the earlier one; `failing(same=0)` disables it.
        """
        return self._with("until", until=arguments.study_conditions(self.clauses.until, condition))

    @check_arguments
    def samples(self, n: int) -> Self:
        """Sets the number of proposals or, with `grid` parameters, of repeats of the whole grid; at least 1."""
        return self._with("samples", samples=as_int("samples.n", n, minimum=1))

    # Execution

    @check_arguments
    def resources(
        self,
        source: Mapping[str, Any] | Callable[[Any], Any] | None = None,
        /,
        *,
        cpu: float | None = None,
        gpu: float | None = None,
        memory: int | str | None = None,
        custom: Mapping[str, float] | None = None,
        bundles: Sequence[Mapping[str, float | str]] | None = None,
        strategy: Strategy = "PACK",
    ) -> Self:
        """Sets the resources of a trial; without this clause, one CPU.

        Args:
            source: instead of keywords: `{"cpu": 2, "gpu": 0.5}`, or a function `(config) -> {"cpu": ..., ...}`.
            cpu, gpu: amounts; fractions share a core or a device.
            memory: bytes, or text such as `"2GiB"`.
            custom: the cluster's custom resources by name.
            bundles: parts that may be on different nodes, instead of plain amounts.
            strategy: how bundles are placed: `PACK`, `SPREAD`, `STRICT_PACK`, `STRICT_SPREAD`.

        Raises:
            ArgumentError: for an invalid amount.
        """
        amounts = {"cpu": cpu, "gpu": gpu, "memory": memory, "custom": custom, "bundles": bundles}
        return self._with("resources", resources=arguments.resources(source, amounts, strategy))

    @check_arguments
    def parallel(self, n: int) -> Self:
        """Limits how many trials run at the same time; at least 1."""
        return self._with("parallel", parallel=as_int("parallel.n", n, minimum=1))

    @check_arguments
    def order(self, order: Order) -> Self:
        """Sets the order in which the run decides about reports and other events of trials.

        Args:
            order: `"arrival"` decides an event when it arrives, so that no trial waits for another. `"logical"` gives
                the same decisions on every engine and at any speed, but fast trials wait for slow ones. It needs
                `.parallel(n)`.

        Raises:
            ArgumentError: for another order.
        """
        return self._with("order", order=as_choice("order", order, get_args(Order)))

    @check_arguments
    def seed(self, n: int) -> Self:
        """Sets the seed from which all random numbers of a run derive; `results.seed` returns it.

        Without this clause each run draws a new seed. `compile`, `preview`, `explain` and `dry_run` use the seed that
        the next run will have.
        """
        return self._with("seed", seed=as_int("seed.n", n))

    # Failures

    @check_arguments
    def retry(
        self,
        n: int = 0,
        crash: int | None = None,
        oom: int | None = None,
        lost: int | None = None,
        timeout: int | None = None,
        bad_report: int | None = None,
        storage: int | None = None,
        idle: int | None = None,
        *,
        grow: float = 1.0,
        backoff: Backoff = backoff_of(),  # noqa: B008  # an immutable value
        max_consecutive: int | None = None,
    ) -> Self:
        """Sets how often a failed trial is retried from its newest checkpoint, and after which delay.

        If a checkpoint is missing or `load` cannot read it, the next retry starts from the previous checkpoint.

        Args:
            n: retries for each kind of failure that is not named; -1 for no limit. `lost` is not the trial's fault and
                has at least 3 retries, also without this clause.
            crash, oom, lost, timeout, bad_report, storage, idle: retries for one kind: an error in the trainable; out
                of memory; a lost or preempted worker or node; `timeout(seconds=)`; an invalid report; a checkpoint
                that cannot be written or read; `timeout(idle=)`.
            grow: factor by which memory grows after each out-of-memory failure, up to the memory of a node; at least
                1. It needs `resources(memory=...)`.
            backoff: delays before retries, `backoff(initial=1, factor=2, maximum=60)`. A waiting trial keeps its slot.
                Retries after `lost` have no delay.
            max_consecutive: retries of a trial whose worker dies (`lost` or `oom`) repeatedly with no report in
                between, whatever `lost` and `oom` allow; -1 for no limit. By default 5, or `lost` or `oom` if larger.

        Raises:
            ArgumentError: for a count below -1, a factor below 1, or another kind of `backoff`.
        """
        kinds = (crash, oom, lost, timeout, bad_report, storage, idle)
        retry = Retry.of(n, *kinds, grow=grow, backoff=backoff, max_consecutive=max_consecutive)
        return self._with("retry", retry=retry)

    @check_arguments
    def fail_fast(self, on: bool = True) -> Self:
        """Ends the experiment when the first trial fails and has no retry left."""
        return self._with("fail_fast", fail_fast=as_bool("fail_fast", on))

    @check_arguments
    def timeout(self, seconds: float | None = None, idle: float | None = None, grace: float | None = None) -> Self:
        """Limits how long an attempt at a trial may take, may be silent, and may run after the trial's end.

        A worker process that exceeds a limit is killed and replaced. The inline engine cannot end a thread: the trial
        fails, and if its code is still running after the grace period, its thread is abandoned and other trials run in
        a new one. Waiting for a decision or a slot and writing a checkpoint do not count; time before the first report
        does.

        Args:
            seconds: for an attempt, above 0; beyond it the trial fails with kind `timeout`.
            idle: since the attempt started or last reported, above 0; beyond it the trial fails with kind `idle`.
            grace: seconds that a trial's code may run after its trial ended, as in `finally` or `cleanup`; above 0, by
                default 30, also without this clause. Beyond it a message shows where the code hangs, the trial keeps
                its result, and its slot is given to another trial.

        Raises:
            ArgumentError: for an argument out of range, or without any argument.
        """
        return self._with("timeout", timeout=Timeout.of(seconds, idle, grace))

    @check_arguments
    def isolate(self, level: Isolation = "process") -> Self:
        """Sets what a trial shares its worker process with.

        Args:
            level: `"process"`: each attempt has a new process, which takes about a second to start. `"pool"`, the
                default without this clause: trials share processes one after the other. Working directory, environment
                and global random state are restored, and a process with leftover threads, memory or GPU memory is
                replaced. `"none"`: the same without restoring or checking anything.

        Raises:
            ArgumentError: for any other level.
        """
        hint = did_you_mean(str(level), get_args(Isolation))
        return self._with("isolate", isolate=as_choice("isolate", level, get_args(Isolation), hint))

    @check_arguments
    def checkpoint(
        self, every: int | None = None, keep: int | None = None, at_end: bool = False, best: str | None = None
    ) -> Self:
        """Sets when trials of the class form save, and which checkpoints are kept.

        Args:
            every: iterations between two checkpoints, at least 1.
            keep: how many of a trial's newest checkpoints are kept, at least 1.
            at_end: whether a trial saves when it ends.
            best: the objective's metric; the checkpoint that is best by it is kept as well.

        Raises:
            ArgumentError: for an argument out of range or of the wrong type.
        """
        return self._with("checkpoint", checkpoint=arguments.checkpoint_policy(every, keep, at_end, best))

    # Names and output

    @check_arguments
    def named(self, name: str) -> Self:
        """Sets the name of the experiment, which is also the name of its folder."""
        return self._with("named", name=as_text("named.name", name))

    @check_arguments
    def store(self, path: str | os.PathLike[str]) -> Self:
        """Sets where the folders of experiments are. It is not part of the plan.

        Args:
            path: a folder (`~` is the home folder), or an fsspec address for journals and checkpoints; other files of
                trials are then in ./tunedsl-results. Endpoints, keys and passwords come from fsspec's configuration on
                each machine (`~/.config/fsspec/conf.json`, `FSSPEC_S3_ENDPOINT_URL=...`).

        Raises:
            ArgumentError: for an object that is not a path, or an address with a password or without a folder.
        """
        return self._with("store", store=arguments.store_location(path))

    @check_arguments
    def name_trials(self, f: Callable[[int, Any], str]) -> Self:
        """Sets the function that names trials, and so their folders: `f(number, config)`."""
        return self._with("name_trials", naming=arguments.callable_reference("name_trials", f))

    @check_arguments
    def log_to_file(self, to: bool | str | tuple[str, str] = True) -> Self:
        """Writes the output of trials into files in their folders; `tunedsl logs PATH TRIAL` shows them.

        In worker processes this captures Python, C code and subprocesses; inline, only Python (`print`, warnings,
        `logging`). A retry appends under a heading. Without this clause, Python's output goes to `stdout.log` and
        `stderr.log` on the engines "ray" and "local", and to the terminal inline. False disables these files.

        Args:
            to: True for `stdout.log` and `stderr.log`; one file name for both; or two.

        Raises:
            ArgumentError: for an argument that is not a file name, or a name that is in use.
        """
        return self._with("log_to_file", log_to_file=arguments.output_files(to))

    @check_arguments
    def sinks(self, *sinks: Any) -> Self:
        """Adds receivers of the run's results: `tensorboard()` and others of `tunedsl.sinks`, or your own.

        Sinks of this package run in a separate process. A sink that fails is reported once and disabled. A finished
        run can be exported: `results.export(tensorboard())` does the same.

        Args:
            sinks: specs; or subclasses of `tunedsl.sinks.Sink`, with keywords by `user_sink(MySink, ...)`.

        Raises:
            ArgumentError: for an object that is not a sink.
        """
        if not sinks:
            raise ArgumentError("E002", "sinks", "sinks() has no sink.", "write .sinks(tensorboard())")
        return self._with("sinks", sinks=tuple(dict.fromkeys((*self.clauses.sinks, *map(sink_of, sinks)))))

    # Composition

    @check_arguments
    def __or__(self, other: Definition) -> Self:
        """The clauses of both experiments.

        Raises:
            ArgumentError: for clauses that both set differently, with both places of each.
        """
        return self.merged_with(other) if isinstance(other, Definition) else NotImplemented

    @check_arguments
    def pipe(self, *functions: Callable[[Self], Self]) -> Self:
        """Applies functions from experiment to experiment, the first one first.

        Raises:
            ArgumentError: for a function that returns something else.
        """
        result = self
        for function in functions:
            result = function(result)
            if not isinstance(result, type(self)):
                name = getattr(function, "__name__", repr(function))
                raise wrong_value(f"The result of {name}", result, "an experiment", subject="pipe")
        return result

"""The experiment: an immutable value that users build by chaining clauses, and the verbs on it.

A clause checks its own arguments, at once. How the clauses fit together is the compiler's business.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Final, get_args

import attrs

from tunedsl.base import markup
from tunedsl.base.arguments import as_bool, as_choice, as_int, as_number, as_text, check_arguments
from tunedsl.base.diagnostics import Diagnostics, caller_location
from tunedsl.base.errors import ArgumentError, CodecError
from tunedsl.base.names import did_you_mean
from tunedsl.base.objective import Objective
from tunedsl.base.references import FunctionRef, Literal, source_repr
from tunedsl.base.suggestions import CLAUSES, hinted
from tunedsl.base.types import Mode, Order
from tunedsl.plan import CheckpointPolicy, Plan, Resources, Retry, Timeout
from tunedsl.plan.clauses import SUBJECTS, Clauses, DataObject, merge_clauses, source_lines
from tunedsl.plan.definition import Definition
from tunedsl.plan.output import output_of
from tunedsl.plan.settings import INITIAL_BACKOFF_SECONDS, Isolation, Strategy
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers.contract import searcher_of
from tunedsl.sinks.registry import sink_of
from tunedsl.spaces.expressions import Expr, Ref, leaves
from tunedsl.spaces.space import Space
from tunedsl.stopping import Calls, Failing, Reached
from tunedsl.stopping import budget as budget_of

if TYPE_CHECKING:
    from tunedsl.backends import Engine
    from tunedsl.backends.simulated import Cost, Curve, CurveModel
    from tunedsl.driver.driver import Listener
    from tunedsl.results import Results
    from tunedsl.results.trial import TrialResult
    from tunedsl.runs import Forecast

_WIDEST: Final = 400
"""Characters of a clause in a notebook."""


@hinted(CLAUSES)
@attrs.frozen(repr=False)
class Experiment(Definition):
    """What to tune and how. Every clause returns a new experiment.

    A clause that is written again replaces what it set before; `space`, `where`, `data`, `minimize`, `maximize`,
    `stop`, `until` and `sinks` add to it. Experiments compare, hash and print by value.
    """

    def _with(self, *subjects: str, **changes: Any) -> Experiment:
        place = caller_location()
        added = {} if place is None else dict.fromkeys(subjects, place)
        return Experiment(attrs.evolve(self.clauses, **changes), {**self.places, **added}, self.upcoming_seed)

    def _already(self, subject: str) -> str:
        place = self.places.get(subject)
        return f"is already set ({place})" if place else "is already set"

    # The space

    @check_arguments
    def space(self, **params: Any) -> Experiment:
        """Adds parameters.

        Args:
            params: name to domain, expression, constant, nested dict or `space(...)`.

        Raises:
            ArgumentError: for a name that is already set, or what is neither data nor importable.
        """
        names = dict(self.clauses.space.params)
        for name in params:
            if name in names:
                found = f"{name} {self._already(f'space.{name}')}"
                raise ArgumentError("E004", f"space.{name}", found, "a new name", f"replace(...) replaces {name!r}")
        added = Space.of(params)
        whole_space = Space((*self.clauses.space.params, *added.params), self.clauses.space.constraints)
        return self._with("space", *(f"space.{name}" for name in params), space=whole_space)

    @check_arguments
    def replace(self, **params: Any) -> Experiment:
        """Puts other domains, expressions or constants in the place of existing parameters.

        Raises:
            ArgumentError: for an unknown name.
        """
        return self._replaced("replace", params)

    def _replaced(self, clause: str, params: Mapping[str, Any]) -> Experiment:
        names = dict(self.clauses.space.params)
        for name in params:
            if name not in names:
                raise ArgumentError(
                    "E001", clause, f"no parameter {name!r}", "an existing one", did_you_mean(name, names)
                )
        changed = {**names, **dict(Space.of(params).params)}
        space = Space(tuple(changed.items()), self.clauses.space.constraints)
        return self._with(*(f"space.{name}" for name in params), space=space)

    @check_arguments
    def fix(self, **params: Any) -> Experiment:
        """Makes parameters constants.

        Raises:
            ArgumentError: for an unknown name, or what is no constant.
        """
        for name, node in Space.of(params).params:
            if not isinstance(node, (Literal, Space)):
                raise ArgumentError("E003", f"fix.{name}", repr(node), "a constant", "replace(...) takes domains")
        return self._replaced("fix", params)

    @check_arguments
    def where(self, condition: Expr) -> Experiment:
        """Adds a constraint between parameters, such as `ref("low") < ref("high")`.

        Raises:
            ArgumentError: for what is no condition.
        """
        if condition in self.clauses.space.constraints:
            return self
        return self._with("space.where", space=self.clauses.space.where(condition))

    # What runs

    @check_arguments
    def trainable(self, f: Callable[..., Any]) -> Experiment:
        """The training code: a function or generator function of the config, or a `Trainable` subclass.

        Raises:
            ArgumentError: for what is none of these.
        """
        return self._with("trainable", trainable=_function("trainable", f))

    @check_arguments
    def data(self, **objects: Any) -> Experiment:
        """Large objects, shipped once and passed to the trainable by keyword.

        What one trial changes in place reaches no other trial, on every engine: NumPy arrays come as views that cannot
        be written to, also inside other objects; pandas frames come as copies, and so does all else that can be
        pickled. What cannot, such as a lock or an open connection, is shared by the trials of a worker.

        Raises:
            ArgumentError: for a keyword that is already set to another object.
        """
        held = dict(self.clauses.data)
        for name, item in ((as_text("a name in data", name), item) for name, item in objects.items()):
            if held.setdefault(name, DataObject(item)) != DataObject(item):
                found = f"{name} {self._already(f'data.{name}')}"
                raise ArgumentError("E004", f"data.{name}", found, "each keyword once")
        return self._with("data", *(f"data.{name}" for name in objects), data=tuple(held.items()))

    # What for

    @check_arguments
    def minimize(self, metric: str) -> Experiment:
        """The objective: a metric of which less is better."""
        return self._objective("minimize", metric, "min")

    @check_arguments
    def maximize(self, metric: str) -> Experiment:
        """The objective: a metric of which more is better."""
        return self._objective("maximize", metric, "max")

    def _objective(self, subject: str, metric: str, mode: Mode) -> Experiment:
        goal = Objective(as_text(f"{subject}.metric", metric, _metric_hint(subject, metric)), mode)
        metric = goal.metric
        objectives = {item.metric: item for item in self.clauses.objectives}
        if objectives.setdefault(metric, goal) != goal:
            found = f"{objectives[metric].mode}imize({metric!r}) {self._already(f'objective.{metric}')}"
            raise ArgumentError("E004", subject, found, "one direction for a metric")
        return self._with("objective", f"objective.{metric}", objectives=tuple(objectives.values()))

    # Policies

    @check_arguments
    def searcher(self, spec: Any) -> Experiment:
        """What proposes configurations, such as `random_search()`.

        Raises:
            ArgumentError: for what is no searcher.
        """
        searcher_of(spec)
        return self._with("searcher", searcher=spec)

    @check_arguments
    def scheduler(self, spec: Any) -> Experiment:
        """What decides which trials go on, such as `asha(max_t=81)`.

        Raises:
            ArgumentError: for what is no scheduler.
        """
        scheduler_of(spec)
        return self._with("scheduler", scheduler=spec)

    # Ends

    @check_arguments
    def stop(self, *conditions: Expr | Callable[[str, dict[str, Any]], bool], **reached: float) -> Experiment:
        """When a trial ends; the first one met ends it.

        Args:
            conditions: expressions such as `metric("loss") < 0.01`, or functions `(trial_id, result) -> bool`.
            reached: a metric's name and the value that ends the trial when the metric comes up to it; or down to it,
                where the objective minimizes that metric.

        Raises:
            ArgumentError: for what is no condition, a condition over parameters, or a value that is no number.
        """
        if not conditions and not reached:
            raise ArgumentError("E002", "stop", "no condition", "conditions, or metrics and values by keyword")
        added: list[Reached | Expr] = [_condition(condition) for condition in conditions]
        named = {as_text("a name in stop", name): item for name, item in reached.items()}
        added += [Reached(name, _threshold(f"stop.{name}", item)) for name, item in named.items()]
        stop = tuple(dict.fromkeys((*self.clauses.stop, *added)))
        return self._with("stop", *(f"stop.{part!r}" for part in added), stop=stop)

    @check_arguments
    def budget(
        self,
        seconds: float | None = None,
        trials: int | None = None,
        iterations: int | None = None,
        failures: int | None = None,
    ) -> Experiment:
        """What ends the whole experiment: the first of these limits that is reached.

        Args:
            seconds: of running, above 0; the time between an interruption and a resume does not count.
            trials: how many may start, at least 1.
            iterations: how many may be reported by all trials together, at least 1. Under arrival order what is under
                way when they are used up still counts, so it may be overshot by a batch of reports.
            failures: how many trials may fail for good, at least 1.

        Raises:
            ArgumentError: for an argument out of range, or without any.
        """
        return self._with("budget", budget=budget_of(seconds, trials, iterations, failures))

    @check_arguments
    def until(self, condition: Expr) -> Experiment:
        """What ends the whole run before all trials have ended. It can be resumed.

        Without this clause that is `failing(same=5)`: five trials failed with the same error before any succeeded.

        Args:
            condition: over the whole study, such as `tunedsl.stopping.failing(same=20)`. A `failing(...)` replaces the
                one before it; `failing(same=0)` lets a run go on whatever fails.

        Raises:
            ArgumentError: for what is no condition over the study.
        """
        parts = leaves(condition) if isinstance(condition, Expr) else ()
        if not isinstance(condition, Expr) or not all(isinstance(leaf, Failing) for leaf in parts):
            hint = "a condition over one trial's reports goes to .stop(...)"
            raise ArgumentError("E003", "until", repr(condition), "a condition over the study: failing(same=5)", hint)
        kept = [part for part in self.clauses.until if type(part) is not type(condition) or type(part) is not Failing]
        return self._with("until", until=tuple(dict.fromkeys((*kept, condition))))

    @check_arguments
    def samples(self, n: int) -> Experiment:
        """How many proposals; with `grid` parameters, how many repeats of the whole grid. At least 1."""
        return self._with("samples", samples=as_int("samples.n", n, minimum=1))

    # Means

    @check_arguments
    def resources(
        self,
        function: Callable[[Any], Any] | None = None,
        /,
        *,
        cpu: float | None = None,
        gpu: float | None = None,
        memory: int | str | None = None,
        custom: Mapping[str, float] | None = None,
        bundles: Sequence[Mapping[str, float | str]] | None = None,
        strategy: Strategy = "PACK",
    ) -> Experiment:
        """A trial's resources: one CPU without this clause.

        Args:
            function: `(config) -> {"cpu": ..., ...}`, instead of all others.
            cpu, gpu: amounts; fractions share a core or a device.
            memory: bytes, or text such as `"2GiB"`.
            custom: the cluster's own resources by name.
            bundles: parts that may lie on different nodes, instead of plain amounts.
            strategy: how bundles are placed: `PACK`, `SPREAD`, `STRICT_PACK`, `STRICT_SPREAD`.

        Raises:
            ArgumentError: for what is no amount.
        """
        plain: Any = {"cpu": cpu, "gpu": gpu, "memory": memory, "custom": custom, "bundles": bundles}
        if function is None:
            return self._with("resources", resources=Resources.of(**plain, strategy=strategy))
        if any(item is not None for item in plain.values()):
            raise ArgumentError("E003", "resources", "a function and amounts", "one of the two")
        return self._with("resources", resources=_function("resources", function))

    @check_arguments
    def parallel(self, n: int) -> Experiment:
        """How many trials run at a time, at most; at least 1."""
        return self._with("parallel", parallel=as_int("parallel.n", n, minimum=1))

    @check_arguments
    def order(self, order: Order) -> Experiment:
        """How events are ordered: `"arrival"`, as they come, or `"logical"`, which no timing changes."""
        return self._with("order", order=as_choice("order", order, get_args(Order)))

    @check_arguments
    def seed(self, n: int) -> Experiment:
        """The root of all randomness; `results.seed` is the one that a run had.

        Without this clause one is drawn when it is first needed. `compile`, `preview`, `explain` and `dry_run` show
        what the next `run` does with it; each run after that draws another one.
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
        wait: float = INITIAL_BACKOFF_SECONDS,
        wait_growth: float = 2.0,
        wait_most: float = 60.0,
        in_a_row: int | None = None,
    ) -> Experiment:
        """How often a failed trial is run again, from its newest checkpoint, and how.

        A checkpoint that is not there any more, or that `load` cannot read, is passed over by the next retry, which
        starts from the one before it.

        Args:
            n: for all kinds of failure that are not named, -1 for no limit. `lost` is no fault of the trial and counts
                at least 3, also without this clause.
            crash, oom, lost, timeout, bad_report, storage, idle: for one kind: an error in the trainable; out of
                memory; a worker or node that is gone or preempted; `timeout(seconds=)`; a report that is none; a
                checkpoint that cannot be written or read; `timeout(idle=)`.
            grow: after each `oom`, so many times the memory, up to what a node has; needs `resources(memory=...)`.
            wait, wait_growth, wait_most: seconds before the first retry of a kind, by how much longer each further one
                waits, and the most that any does. A trial that waits keeps its place. After `lost` nothing waits.
            in_a_row: retries of a trial whose worker dies (`lost` or `oom`) again and again with no report between,
                whatever `lost` and `oom` allow; -1 for no limit. 5 without it, or `lost` or `oom` where that is more.

        Raises:
            ArgumentError: for counts below -1, a factor below 1, or a time below 0.
        """
        kinds = (crash, oom, lost, timeout, bad_report, storage, idle)
        waiting: Any = {"wait": wait, "wait_growth": wait_growth, "wait_most": wait_most}
        return self._with("retry", retry=Retry.of(n, *kinds, grow=grow, in_a_row=in_a_row, **waiting))

    @check_arguments
    def fail_fast(self, on: bool = True) -> Experiment:
        """Ends the experiment with the first trial that fails for good."""
        return self._with("fail_fast", fail_fast=as_bool("fail_fast", on))

    @check_arguments
    def timeout(
        self, seconds: float | None = None, idle: float | None = None, grace: float | None = None
    ) -> Experiment:
        """How long one attempt at a trial may take, go without a report, and run on after the trial's end.

        On Ray a worker that is over a limit is killed and replaced, wherever its trial hangs. Inline nothing can end a
        thread from outside: the trial fails where it is, and if its code has not ended after the grace period, its
        thread is left to itself and the other trials run in a new one. Time that a trial waits for a decision or for
        its turn, or that its checkpoint takes, does not count; time before its first report does.

        Args:
            seconds: for an attempt, above 0; beyond it the trial fails with kind `timeout`.
            idle: since the attempt began or reported last, above 0; beyond it the trial fails with kind `idle`.
            grace: above 0, 30 without it: how long a trial's code may run on after its trial has ended, such as in
                `finally` or `cleanup`. Beyond it you are told where it hangs, its result stays, and its place is given
                to another trial. It holds without this clause, too.

        Raises:
            ArgumentError: for an argument out of range, or without any.
        """
        return self._with("timeout", timeout=Timeout.of(seconds, idle, grace))

    @check_arguments
    def isolate(self, level: Isolation = "process") -> Experiment:
        """What a trial shares its worker process with.

        Args:
            level: `"process"`: nothing, each attempt has a new one, which costs its start, a second or so. `"pool"`, as
                without this clause: trials come one after the other; what one leaves of its working directory,
                environment and global random state is put back, and a worker with threads, memory or GPU memory left
                over is replaced. `"none"`: the same, and nothing is looked at.

        Raises:
            ArgumentError: for any other level.
        """
        hint = did_you_mean(str(level), get_args(Isolation))
        return self._with("isolate", isolate=as_choice("isolate", level, get_args(Isolation), hint))

    @check_arguments
    def checkpoint(
        self, every: int | None = None, keep: int | None = None, at_end: bool = False, best: str | None = None
    ) -> Experiment:
        """When trials of the class form save: every so many iterations, at their end; and what is kept."""
        policy = CheckpointPolicy(
            None if every is None else as_int("checkpoint.every", every, minimum=1),
            None if keep is None else as_int("checkpoint.keep", keep, minimum=1),
            as_bool("checkpoint.at_end", at_end),
            None if best is None else as_text("checkpoint.best", best),
        )
        return self._with("checkpoint", checkpoint=policy)

    # Names, places, output

    @check_arguments
    def named(self, name: str) -> Experiment:
        """The experiment's name, which is its folder's."""
        return self._with("named", name=as_text("named.name", name))

    @check_arguments
    def store(self, path: str | os.PathLike[str]) -> Experiment:
        """Where experiments' folders lie. It is no part of the plan.

        Args:
            path: a folder, or an fsspec address for journals and checkpoints (trials' other files then lie under
                ./tunedsl-results). A folder's `~` is the user's home. Endpoints, keys and passwords come from fsspec's
                own configuration on each machine (`~/.config/fsspec/conf.json`, `FSSPEC_S3_ENDPOINT_URL=...`).

        Raises:
            ArgumentError: for what is no path, or an address with a password in it or without a folder.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise ArgumentError("E003", "store.path", repr(path), "a path")
        place = str.__str__(os.fspath(path))
        login, at, _ = place.partition("://")[2].partition("/")[0].rpartition("@")
        if at and ":" in login:
            hint = "fsspec's configuration file holds passwords, ~/.config/fsspec/conf.json"
            raise ArgumentError("E003", "store.path", "an address with a password", "one without", hint)
        if "://" in place and not place.partition("://")[2].strip("/"):
            raise ArgumentError("E003", "store.path", repr(place), "an address with a folder", f"{place}tuning")
        return self._with("store", store=place if "://" in place else os.path.expanduser(place))

    @check_arguments
    def name_trials(self, f: Callable[[int, Any], str]) -> Experiment:
        """Names trials, and so their folders: `f(number, config)`."""
        return self._with("name_trials", naming=_function("name_trials", f))

    @check_arguments
    def log_to_file(self, to: bool | str | tuple[str, str] = True) -> Experiment:
        """Writes what trials print into files in their folders; `tunedsl logs PATH TRIAL` shows them.

        On Ray all output of a trial is heard: of Python, C code and subprocesses. Inline it is that of Python (`print`,
        warnings, `logging`), of the trial's threads too. A further attempt appends, under a line that says which.
        Without this clause, trials on Ray have what Python prints in `stdout.log` and `stderr.log`, made at the first
        line; inline, where trials share your process, it stays on the terminal. False leaves it there on Ray, too:
        where Ray puts it.

        Args:
            to: True for `stdout.log` and `stderr.log`; one file's name for both; or two.

        Raises:
            ArgumentError: for what is no file name, or one that is in use.
        """
        pair = isinstance(to, (tuple, list)) and len(to) == 2 and all(isinstance(part, str) for part in to)
        if not (pair or isinstance(to, (bool, str))):
            raise ArgumentError("E003", "log_to_file.to", repr(to), "True, a file name, or a pair of them")
        plain: Any = str.__str__(to) if isinstance(to, str) else to
        written: Any = tuple(map(str.__str__, plain)) if pair else plain
        output_of(written)
        return self._with("log_to_file", log_to_file=written)

    @check_arguments
    def sinks(self, *sinks: Any) -> Experiment:
        """Who hears of the run: `tensorboard()` and others of `tunedsl.sinks`, or a sink of your own.

        They write into the folders of trials while the run goes on, and slow nothing down: those of this package work
        in a process of their own. One that fails is said and left behind. A finished run's journal tells them the
        same: `results.export(tensorboard())`, `tunedsl export PATH --to tensorboard`.

        Args:
            sinks: specs; or subclasses of `tunedsl.sinks.Sink`, with keywords by `own(MySink, ...)`.

        Raises:
            ArgumentError: for what is no sink.
        """
        if not sinks:
            raise ArgumentError("E002", "sinks", "no sink", "sinks such as tensorboard()")
        added = tuple(map(sink_of, sinks))
        return self._with("sinks", sinks=tuple(dict.fromkeys((*self.clauses.sinks, *added))))

    # Composition

    @check_arguments
    def __or__(self, other: Experiment) -> Experiment:
        """The clauses of both experiments.

        Raises:
            ArgumentError: for clauses that both set differently, naming the two places of each.
        """
        if not isinstance(other, Experiment):
            return NotImplemented

        clashes: dict[str, str] = {}

        def clash(subject: str, left: Any, right: Any) -> None:
            sides = ((left, self), (right, other))
            shown = (f"{item!r} at {side.places.get(subject, 'an unknown place')}" for item, side in sides)
            clashes[subject] = " and ".join(shown)

        clauses = merge_clauses(self.clauses, other.clauses, clash)
        if len(clashes) > 1:
            found = "; ".join(f"{subject} is {shown}" for subject, shown in clashes.items())
            raise ArgumentError("E005", ", ".join(clashes), found, "one of the two for each")
        for subject, found in clashes.items():
            raise ArgumentError("E005", subject, found, "one of the two")
        return Experiment(clauses, {**other.places, **self.places}, self.upcoming_seed)

    @check_arguments
    def pipe(self, *functions: Callable[[Experiment], Experiment]) -> Experiment:
        """Applies functions from experiment to experiment, the first one first.

        Raises:
            ArgumentError: when one returns something else.
        """
        piped = self
        for function in functions:
            piped = function(piped)
            if not isinstance(piped, Experiment):
                name = getattr(function, "__name__", repr(function))
                raise ArgumentError("E003", "pipe", f"{name} returned {piped!r}", "an experiment")
        return piped

    def __space__(self) -> Space:
        """The space, for use inside another; raises `ArgumentError` when there are other clauses beside it."""
        others = [
            SUBJECTS.get(field.name, field.name)
            for field in attrs.fields(Clauses)
            if field.name != "space" and getattr(self.clauses, field.name) != field.default
        ]
        if others:
            raise ArgumentError("E003", "space", f"an experiment with {', '.join(others)}", "a space with nothing else")
        return self.clauses.space

    def __repr__(self) -> str:
        return "".join(source_lines(self.clauses))

    def _repr_html_(self) -> str:
        space = self.clauses.space
        rows = [(f"space.{name}", source_repr(node)) for name, node in space.params]
        rows += [("where", repr(condition)) for condition in space.constraints]
        calls = (call.removeprefix(".").partition("(") for call in list(source_lines(self.clauses))[1:])
        rows += [(clause, given.removesuffix(")")) for clause, _, given in calls]
        return markup.paragraph("", f"experiment {self.clauses.name or ''}".rstrip()) + markup.table(
            (clause, shorten(said, _WIDEST, placeholder=" ...") if len(said) > _WIDEST else said)
            for clause, said in rows
        )

    # Verbs

    @check_arguments
    def check(self, engine: str = "ray", address: str | None = None) -> Diagnostics:
        """All errors and warnings, without running anything: a tuple, empty and shown as "no errors" without any."""
        from tunedsl.runs.compiling import check

        return check(self, engine, address)

    @check_arguments
    def compile(self, engine: str = "ray", address: str | None = None) -> Plan:
        """The plan.

        Raises:
            CompileError: with every error, not the first.
        """
        from tunedsl.runs.compiling import compile_plan

        return compile_plan(self, engine, address)

    @check_arguments
    def explain(self) -> str:
        """The plan as text; raises as `compile` does."""
        return self.compile().explain()

    @check_arguments
    def preview(self, n: int | None = None) -> list[dict[str, Any]]:
        """The first `n` configurations as the next `run` has them; raises as `compile` and `Plan.preview` do.

        Without `.seed(...)` a seed is drawn for that run; `explain` shows it, and `.seed(...)` with it keeps it.
        """
        return self.compile().preview(n)

    @check_arguments
    def dry_run(
        self,
        curve: Curve | CurveModel | None = None,
        cost: float | Cost | None = None,
        iterations: int | None = None,
        workers: int | None = None,
    ) -> Forecast:
        """Runs the plan on a virtual clock; see `tunedsl.runs.dry_run`.

        Args:
            curve: what a trial reports at an iteration.
            cost: seconds an iteration.
            iterations: how many each trial makes by itself.
            workers: trials at a time, where the plan leaves it open.
        """
        from tunedsl.runs import dry_run

        return dry_run(self, curve=curve, cost=cost, iterations=iterations, workers=workers)

    @check_arguments
    def run(
        self,
        engine: str | Engine = "ray",
        *,
        address: str | None = None,
        quiet: bool = False,
        listeners: Iterable[Listener] = (),
    ) -> Results:
        """Runs the experiment on `"ray"`, or in this process by `"inline"`; see `tunedsl.runs.run`."""
        from tunedsl.runs import run

        return run(self, engine, address=address, quiet=quiet, listeners=listeners)

    @check_arguments
    def resume(
        self,
        path: str | os.PathLike[str] | None = None,
        engine: str | Engine | None = None,
        *,
        address: str | None = None,
        quiet: bool = False,
        amend: bool = False,
        retry_failed: bool = False,
        listeners: Iterable[Listener] = (),
    ) -> Results:
        """Continues this experiment's newest run, or the one in `path`; see `tunedsl.runs.resume_experiment`."""
        from tunedsl.runs import resume_experiment

        folder = path if path is None else os.fspath(path)
        return resume_experiment(
            self,
            folder,
            engine,
            address=address,
            quiet=quiet,
            amend=amend,
            retry_failed=retry_failed,
            listeners=listeners,
        )

    @check_arguments
    def rerun(
        self,
        trial: TrialResult,
        engine: str | Engine = "inline",
        *,
        address: str | None = None,
        quiet: bool = False,
    ) -> TrialResult:
        """Runs a trial of this experiment's results again, with its seed; see `tunedsl.runs.rerun`."""
        from tunedsl.runs import rerun

        return rerun(trial, self, engine, address=address, quiet=quiet)


@check_arguments
def space(**params: Any) -> Experiment:
    """Starts an experiment with its parameters.

    Args:
        params: name to domain, expression, constant, nested dict or `space(...)`.

    Raises:
        ArgumentError: for what is neither data nor importable.

    >>> from tunedsl.spaces import uniform
    >>> space(lr=uniform(0, 1)).minimize("loss").samples(8)
    space(lr=uniform(0.0, 1.0)).minimize('loss').samples(8)
    """
    return Experiment().space(**params)


def _function(subject: str, f: Any) -> FunctionRef:
    """A user's function or class by its reference."""
    if isinstance(f, FunctionRef):
        return f
    if not callable(f):
        raise ArgumentError("E003", subject, repr(f), "a function or class")
    try:
        return FunctionRef.of(f)
    except CodecError:
        hint = "write a function that calls it; objects that it needs go through .data(...)"
        raise ArgumentError("E003", subject, f"{f!r}, which has no name", "a function or class", hint) from None


def _metric_hint(subject: str, item: Any) -> str:
    """What to write where something other than the name of a metric was given."""
    if callable(item):
        return f"the function that reports the metric is a clause of its own: .trainable({_name(item)})"
    if isinstance(item, (list, tuple)) and item and all(isinstance(name, str) for name in item):
        return f"a clause for each: {''.join(f'.{subject}({name!r})' for name in item)}"
    return ""


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", "train"))


def _condition(condition: Any) -> Expr:
    if isinstance(condition, Expr):
        foreign = next((leaf for leaf in leaves(condition) if isinstance(leaf, Ref)), None)
        if foreign is not None:
            hint = f"metric({foreign.path!r}) is what the trial reports under that name"
            raise ArgumentError("E003", "stop", f"the parameter {foreign!r}", "a condition over metrics", hint)
        return condition
    if callable(condition):
        return Calls(_function("stop", condition))
    hint = 'by keyword, stop(training_iteration=10); as an expression, stop(metric("loss") < 0.1)'
    raise ArgumentError("E003", "stop", repr(condition), "a condition", hint)


def _threshold(subject: str, item: Any) -> float:
    found = float(item if isinstance(item, bool) else as_number(subject, item))
    if math.isnan(found):
        hint = f"diverged({subject.removeprefix('stop.')!r}) is met by NaN"
        raise ArgumentError("E003", subject, repr(item), "a value that a metric can come up to", hint)
    return found

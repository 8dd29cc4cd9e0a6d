"""The experiment: an immutable value with a method for each clause and for each verb.

The clauses are in `plan.builder`; the verbs are carried out by `runs`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from tunedsl.base.arguments import check_arguments
from tunedsl.base.diagnostics import Diagnostics
from tunedsl.base.interrupts import interruptible
from tunedsl.base.suggestions import CLAUSES, hinted
from tunedsl.plan import Plan
from tunedsl.plan.builder import ExperimentBuilder

if TYPE_CHECKING:
    from pathlib import Path

    from tunedsl.backends import Engine
    from tunedsl.backends.simulated import Cost, Curve, CurveModel
    from tunedsl.driver.driver import Listener
    from tunedsl.kernel.events import Continuation
    from tunedsl.results import Results
    from tunedsl.results.trial import TrialResult
    from tunedsl.runs import Forecast, Study


@hinted(CLAUSES)
@attrs.frozen(repr=False)
class Experiment(ExperimentBuilder):
    """The definition of what to tune and how. Every clause returns a new experiment.

    A clause that is written again replaces its earlier value. `space`, `where`, `data`, `minimize`, `maximize`,
    `stop`, `until` and `sinks` add to it instead. Experiments compare, hash and print by value.
    """

    @check_arguments
    def check(self, engine: str = "ray", address: str | None = None) -> Diagnostics:
        """All errors and warnings, without running anything; empty, and shown as "no errors", without any."""
        from tunedsl.runs.compiling import check

        return check(self, engine, address)

    @check_arguments
    def compile(self, engine: str = "ray", address: str | None = None) -> Plan:
        """The plan of the experiment.

        Raises:
            CompileError: with all errors, not only the first.
        """
        from tunedsl.runs.compiling import compile_plan

        return compile_plan(self, engine, address)

    @check_arguments
    def explain(self) -> str:
        """The plan as text; raises as `compile` does."""
        return self.compile().explain()

    @check_arguments
    def preview(self, n: int | None = None) -> list[dict[str, Any]]:
        """The first `n` configurations of the next `run`; raises as `compile` and `Plan.preview` do.

        Without `.seed(...)` a seed is drawn for that run. `explain` shows it; pass it to `.seed(...)` to keep it.
        """
        return self.compile().preview(n)

    @check_arguments
    def dry_run(
        self,
        curve: Curve | CurveModel | None = None,
        cost: float | Cost | None = None,
        iterations: int | None = None,
        workers: int | None = None,
        like: str | Path | None = None,
        runs: int = 20,
    ) -> Forecast:
        """Runs the plan on a virtual clock; see `tunedsl.runs.dry_run`.

        Args:
            curve: the metrics that a trial reports at an iteration.
            cost: seconds per iteration.
            iterations: the number of iterations after which a trial ends by itself.
            workers: concurrent trials, if the plan does not say.
            like: an earlier run, whose curves and durations are followed.
            runs: the number of dry runs with `like`.
        """
        from tunedsl.runs import dry_run

        return dry_run(self, curve=curve, cost=cost, iterations=iterations, workers=workers, like=like, runs=runs)

    @interruptible()
    @check_arguments
    def run(
        self,
        engine: str | Engine = "ray",
        *,
        address: str | None = None,
        wait_for_nodes: float | None = None,
        ship: bool = False,
        quiet: bool = False,
        listeners: Iterable[Listener] = (),
        dashboard: bool = False,
    ) -> Results:
        """Runs the experiment on `"ray"`, in `"local"` processes, or `"inline"`; see `tunedsl.runs.run`."""
        from tunedsl.runs import run

        return run(
            self,
            engine,
            address=address,
            wait_for_nodes=wait_for_nodes,
            ship=ship,
            quiet=quiet,
            listeners=listeners,
            dashboard=dashboard,
        )

    @interruptible()
    @check_arguments
    def resume(
        self,
        path: str | os.PathLike[str] | None = None,
        engine: str | Engine | None = None,
        *,
        address: str | None = None,
        wait_for_nodes: float | None = None,
        ship: bool = False,
        quiet: bool = False,
        amend: bool | Continuation = False,
        defaults: Mapping[str, Any] | None = None,
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
            wait_for_nodes=wait_for_nodes,
            ship=ship,
            quiet=quiet,
            amend=amend,
            defaults=defaults,
            retry_failed=retry_failed,
            listeners=listeners,
        )

    @interruptible(None)
    @check_arguments
    def fork(
        self,
        path: str | os.PathLike[str],
        at: int | str | None = None,
        engine: str | Engine | None = None,
        *,
        address: str | None = None,
        quiet: bool = False,
        ended: Continuation = "continue",
        defaults: Mapping[str, Any] | None = None,
        listeners: Iterable[Listener] = (),
    ) -> Results:
        """Runs this experiment from a moment of another run; see `tunedsl.runs.fork_experiment`."""
        from tunedsl.runs import fork_experiment

        options: dict[str, Any] = {"ended": ended, "defaults": defaults, "listeners": listeners}
        return fork_experiment(self, os.fspath(path), at, engine, address=address, quiet=quiet, **options)

    @interruptible("experiment.open({!r})")
    @check_arguments
    def open(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        lease: float | None = None,
        quiet: bool = False,
        amend: bool = False,
        listeners: Iterable[Listener] = (),
    ) -> Study:
        """Opens the experiment for ask and tell; see `tunedsl.runs.open_experiment`.

        No trainable is needed. A `path` with a run continues it; any other begins one there.
        """
        from tunedsl.runs import open_experiment

        return open_experiment(self, path, lease=lease, quiet=quiet, amend=amend, listeners=listeners)

    @interruptible(None)
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
def space(mapping: Mapping[str, Any] | None = None, /, **params_by_name: Any) -> Experiment:
    """Starts an experiment with its parameters.

    Args:
        mapping: name to domain, expression, constant, nested dict or `space(...)`.
        params_by_name: the same, as keywords.

    Raises:
        ArgumentError: for a value that is neither data nor importable.

    >>> from tunedsl.spaces import uniform
    >>> space(lr=uniform(0, 1)).minimize("loss").samples(8)
    space(lr=uniform(0.0, 1.0)).minimize('loss').samples(8)
    """
    return Experiment().space(mapping, **params_by_name)

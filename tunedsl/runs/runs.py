"""Starts and resumes runs: checks the arguments, chooses folders and engine, and builds the `RunSetup`.

How a run is executed is in `runs.setup`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import attrs

from tunedsl.backends.inline import InlineEngine
from tunedsl.backends.protocol import Engine
from tunedsl.backends.simulated import SimulatedEngine
from tunedsl.base import codec
from tunedsl.base.arguments import as_number, check_arguments
from tunedsl.base.diagnostics import errors_of
from tunedsl.base.errors import CompileError, JournalError, TunedslError, wrong_value
from tunedsl.base.interrupts import hold_interrupts, interruptible
from tunedsl.base.keys import fresh_seed
from tunedsl.base.names import did_you_mean
from tunedsl.driver.driver import Listener
from tunedsl.journal import (
    FORMAT,
    Header,
    Journal,
    Writer,
    create,
    location_of,
    parent_of,
    read_status,
    reopen,
)
from tunedsl.kernel import Event
from tunedsl.kernel.events import Continuation
from tunedsl.plan import Diff, Plan
from tunedsl.plan.amending import amendment_notes
from tunedsl.plan.definition import Definition
from tunedsl.plan.settings import EXTERNAL
from tunedsl.results import Results, load
from tunedsl.runs import compiling
from tunedsl.runs.amendments import amendment_of, changed_plan_fields, check_code, corrected, difference
from tunedsl.runs.beside import check_dashboard, open_dashboard
from tunedsl.runs.locations import (
    checkpoint_storage,
    create_folder,
    create_run_folder,
    journal_location,
    local_folder,
    local_store,
)
from tunedsl.runs.newest import newest
from tunedsl.runs.provenance import Outlets, provenance
from tunedsl.runs.setup import RunSetup, carry_out
from tunedsl.searchers.contract import searcher_of

_importing: ContextVar[str] = ContextVar("importing", default="")


@contextlib.contextmanager
def importing(file: object) -> Iterator[None]:
    """Forbids runs in the body, which imports a file or module for the experiments in it."""
    token = _importing.set(str(file))
    try:
        yield
    finally:
        _importing.reset(token)


def may_run() -> None:
    """Raises `TunedslError` inside `importing`."""
    if _importing.get():
        raise TunedslError(
            f"The file {_importing.get()} runs an experiment while it is imported.\n"
            '  help: put the call under if __name__ == "__main__":'
        )


@interruptible()
@check_arguments
def run(
    tuned: Definition | Plan,
    engine: str | Engine = "ray",
    *,
    address: str | None = None,
    wait_for_nodes: float | None = None,
    ship: bool = False,
    quiet: bool = False,
    listeners: Iterable[Listener] = (),
    dashboard: bool = False,
) -> Results:
    """Run an experiment or a plan in a new folder of the experiment's store.

    Args:
        tuned: an experiment, which is compiled; or a plan, with its own seed.
        engine: `ray`, `local`, `inline`, or an engine such as `SimulatedEngine(...)`.
        address: the address of a Ray cluster; by default a running local cluster, or a new one.
        wait_for_nodes: how many seconds the run waits, now or later, while no node of the cluster can run a trial; 0
            disables waiting. By default it waits for an autoscaler, and for nodes that the cluster had before.
        ship: whether to send tunedsl and the experiment's own modules to a Ray cluster that lacks them.
        quiet: whether to print nothing.
        listeners: receive each event.
        dashboard: whether to open the dashboard of the store next to the run, in a process that ends with this one. Its
            address is printed; a notebook shows a link.

    Raises:
        CompileError: before the start, with every error of the experiment.
        TunedslError: when the plan was read from data and needs objects of `.data(...)`.
        ResourceError: when there is no such cluster, or it has no node for a trial and the run does not wait for one,
            or none joins in time for the first trial.
        Interrupted: after Ctrl+C, or as `Paused` when the cluster is lost. The run can be resumed. It is a
            `KeyboardInterrupt`.
    """
    may_run()
    chosen = chosen_engine(engine, address, wait_for_nodes, ship)
    plan = tuned if isinstance(tuned, Plan) else compiling.compile_plan(tuned, chosen.name, address)
    definition = plan.definition or Definition()
    if isinstance(tuned, Plan):
        _check_plan(plan, chosen.name, address)
    if plan is not tuned:
        plan = with_fresh_seed(plan, definition)
    elif plan.drawn_seed:
        definition.upcoming_seed.take(plan.seed)
    return begin(plan, definition, chosen, quiet, listeners, dashboard=dashboard)


def with_fresh_seed(plan: Plan, definition: Definition) -> Plan:
    """The plan of a new run, which takes the experiment's upcoming seed, or draws one if another run has taken it."""
    if plan.drawn_seed and not definition.upcoming_seed.take(plan.seed):
        drawn: Plan = attrs.evolve(plan, seed=fresh_seed())  # type: ignore[misc]  # `value` makes attrs classes
        return drawn
    return plan


def begin(
    plan: Plan,
    definition: Definition,
    engine: Engine,
    quiet: bool = False,
    listeners: Iterable[Listener] = (),
    first: Sequence[Event] = (),
    dashboard: bool = False,
) -> Results:
    """Run a plan in a new folder.

    Args:
        definition: names the store, the data objects and the sinks, which are not part of the plan.
        first: events that precede all others in the journal.
        dashboard: as for `run`.
    """
    if dashboard:
        check_dashboard()
    setup, writer = new_run(plan, definition, engine, quiet, listeners, first)
    if dashboard:
        open_dashboard(setup.home, setup.root, quiet)
    return carry_out(setup, writer)


def new_run(
    plan: Plan,
    definition: Definition,
    engine: Engine,
    quiet: bool = False,
    listeners: Iterable[Listener] = (),
    first: Sequence[Event] = (),
    root: Path | None = None,
) -> tuple[RunSetup, Writer]:
    """The setup of a new run, and its journal with the header; arguments as for `begin`.

    Args:
        root: the run's folder; by default a new one in the store.
    """
    _check_trainable(plan, engine)
    hold_interrupts()
    if root:
        create_folder(root, root.parent)
    else:
        root = create_run_folder(definition, plan.name)
    home = journal_location(definition, root)
    try:
        writer = create(home)
    except JournalError:
        with contextlib.suppress(OSError):
            root.rmdir()  # the run has not begun
        raise
    outlets = Outlets.of(definition)
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {**provenance(definition), **outlets.to_data()}))
    writer.flush()
    data = definition.data_objects()
    return RunSetup(plan, engine, home, root, outlets, data, quiet, tuple(listeners), tuple(first)), writer


def _check_plan(plan: Plan, engine: str, address: str | None) -> None:
    """Checks that a plan, which may have been compiled elsewhere, can run here."""
    if plan.definition is not None:
        found = compiling.check(plan.definition, engine, address)
        if errors_of(found):
            raise CompileError(found)
    elif plan.data:
        raise TunedslError(
            f"The plan was read without the objects of .data({', '.join(plan.data)}).\n"
            f"  help: run the experiment that it was compiled from, or experiment.compile().run()"
        )
    _check_installed(plan)


def _check_trainable(plan: Plan, engine: Engine) -> None:
    if plan.trainable is None and engine.name != EXTERNAL:
        raise TunedslError(
            f"The plan has no trainable for the engine {engine.name} to run: it is for ask and tell.\n"
            "  help: experiment.open(), or tunedsl ask PATH"
        )


def _check_installed(plan: Plan) -> None:
    missing = [fault for fault in searcher_of(plan.searcher).validate(plan.searcher) if fault.code == "E049"]
    if missing:
        raise CompileError(missing)


@interruptible()
@check_arguments
def resume(
    path: str | Path,
    engine: str | Engine | None = None,
    *,
    address: str | None = None,
    wait_for_nodes: float | None = None,
    ship: bool = False,
    quiet: bool = False,
    retry_failed: bool = False,
    listeners: Iterable[Listener] = (),
) -> Results:
    """Resume the run in `path`; return the results of a finished one.

    The trainable is imported by the plan's reference. If the experiment has `.data(...)`, or functions that cannot be
    imported, call `experiment.resume(path)` instead.

    Args:
        path: the experiment's folder or address.
        engine: as for `run`; by default the engine of the run.
        address, wait_for_nodes, ship: as for `run`.
        quiet: whether to print nothing.
        retry_failed: whether failed trials run again, also of a finished run. They start from their newest checkpoints
            if there are any, with all their retries and the trainable's current code.
        listeners: receive each event.

    Raises:
        JournalError: when the journal is damaged, or another driver holds it.
        CompileError: when a package that the searcher needs is not installed.
        CodecError: when a function cannot be imported, or its code has changed.
    """
    may_run()
    journal = Journal(path)
    plan, differences = corrected(journal) if retry_failed else (journal.plan, Diff(()))
    if plan.data:
        raise TunedslError(
            f"The run {path} needs the objects of .data({', '.join(plan.data)}).\n"
            f"  help: experiment.resume({str(path)!r})"
        )
    _print(amendment_notes(differences), quiet)
    retry_failed = retry_failed and _has_failed(journal, quiet)
    if _is_over(journal, plan, retry_failed):
        return load(journal.folder)
    setup = RunSetup(
        plan,
        chosen_engine(engine or read_status(journal).engine, address, wait_for_nodes, ship),
        journal.folder,
        local_folder(journal.folder),
        Outlets.recorded(journal.header),
        quiet=quiet,
        listeners=tuple(listeners),
        past=journal,
        storage=checkpoint_storage(journal, None),
        retry_failed=retry_failed,
    )
    return _reopen(setup, journal)


@interruptible()
@check_arguments
def resume_experiment(
    definition: Definition,
    path: str | Path | None = None,
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
    """Resume an experiment's newest run, or the one in `path`, also with a changed experiment.

    Args:
        definition: the experiment.
        path: a run's folder or address; by default the newest run.
        engine: as for `run`; by default the engine of the run.
        address, wait_for_nodes, ship: as for `run`.
        quiet: whether to print nothing.
        amend: whether to continue with the changed experiment, also after a finished run. Ended trials that the
            changed experiment would have continued do so, the best first: from their checkpoints with `True` or
            `"continue"`, from the start with `"restart"`, not at all with `"keep"`. The guide "Resume, amend, fork"
            says what can be changed.
        defaults: the values of new parameters for earlier trials, by dotted name.
        retry_failed: whether failed trials run again, also of a finished run. They start from their newest checkpoints
            if there are any, with all their retries. The trainable's code may have changed.
        listeners: receive each event.

    Raises:
        AmendError: when the experiment has changed and `amend` is false, or a change is not possible. It is a
            `JournalError` and shows the difference.
        JournalError: when there is no such run.
    """
    may_run()
    folder = location_of(path) if path is not None else newest(definition, local_store(definition))
    journal = Journal(folder)
    chosen = engine or read_status(journal).engine
    name = chosen if isinstance(chosen, str) else chosen.name
    plan, differences, unknown = difference(definition, journal, bool(amend), name, retry_failed)
    _print((f"{what}: cannot be compared with that of the run, and is used unchanged" for what in unknown), quiet)
    is_noted = amend and parent_of(journal.header) is None
    unchanged = [f"{folder}: the experiment has not changed: there is nothing to amend"] if is_noted else []
    amendment = amendment_of(journal, plan, amend, defaults or {})
    _print(amendment_notes(differences) or unchanged, quiet)
    retry_failed = retry_failed and _has_failed(journal, quiet)
    if _is_over(journal, plan, retry_failed):
        return load(journal.folder)
    setup = RunSetup(
        plan,
        chosen_engine(chosen, address, wait_for_nodes, ship),
        journal.folder,
        local_folder(journal.folder),
        Outlets.of(definition),
        definition.data_objects(),
        quiet,
        tuple(listeners),
        past=journal,
        storage=checkpoint_storage(journal, definition.clauses.store),
        retry_failed=retry_failed,
        amendment=amendment,
    )
    return _reopen(setup, journal)


def _has_failed(journal: Journal, quiet: bool) -> bool:
    """Whether the run has failed trials; prints a message when it has none."""
    failed = bool(load(journal.folder).errors)
    _print([] if failed else [f"{journal.folder}: no trial has failed: there is nothing to retry"], quiet)
    return failed


def _is_over(journal: Journal, plan: Plan, retry_failed: bool) -> bool:
    """Whether nothing is left to run; checked before the engine, whose import may take seconds."""
    return read_status(journal).finished and not changed_plan_fields(journal, plan) and not retry_failed


def _reopen(setup: RunSetup, journal: Journal) -> Results:
    return carry_out(setup, reopened(setup, journal, read_status(journal).count))


def reopened(setup: RunSetup, journal: Journal, count: int) -> Writer:
    """The writer of a run that continues after its first `count` records; checks its code first."""
    _check_trainable(setup.plan, setup.engine)
    _check_installed(setup.plan)
    if journal.torn:
        setup.say([f"{journal.path}: {journal.torn} bytes that a crash cut short are dropped"])
    hold_interrupts()
    writer = reopen(journal, count)
    try:
        check_code(setup.plan, journal.folder)
    except BaseException:
        writer.close()
        raise
    return writer


def _print(lines: Iterable[str], quiet: bool) -> None:
    for line in () if quiet else lines:
        print(line, file=sys.stderr)


def chosen_engine(
    engine: str | Engine, address: str | None = None, wait_for_nodes: float | None = None, ship: bool = False
) -> Engine:
    """The engine that the user names or passes; raises `ArgumentError` for an unknown name."""
    if not isinstance(engine, str):
        return engine
    if engine == "inline":
        return InlineEngine()
    if engine == "simulated":
        return SimulatedEngine()
    if engine == "local":
        if address is not None:
            raise wrong_value("address", address, 'None with the engine "local"', 'write run("ray", address=...)')
        from tunedsl.backends.local import LocalEngine

        return LocalEngine()
    if engine == EXTERNAL:
        hint = "experiment.open(path), or tunedsl ask PATH; run and resume take another engine"
        raise TunedslError(f"This run uses ask and tell: no worker runs its trials.\n  help: {hint}")
    if engine == "ray":
        from tunedsl.backends.ray import RayEngine  # Ray takes seconds to import

        if wait_for_nodes is not None and not as_number("wait_for_nodes", wait_for_nodes) >= 0:
            raise wrong_value("wait_for_nodes", wait_for_nodes, "seconds, 0 or more")
        return RayEngine(address, wait_for_nodes, ship)
    known = ("ray", "local", "inline", "simulated")
    raise wrong_value("engine", engine, f"one of {', '.join(known)}", did_you_mean(engine, known))

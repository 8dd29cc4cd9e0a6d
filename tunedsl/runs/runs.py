"""One run from its folder to its results: begin, resume, close. The driver does what is between."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import attrs

from tunedsl.backends.inline import InlineEngine
from tunedsl.backends.protocol import Engine
from tunedsl.backends.simulated import SimulatedEngine
from tunedsl.base import codec
from tunedsl.base.diagnostics import errors_of
from tunedsl.base.errors import (
    ArgumentError,
    CompileError,
    Interrupted,
    JournalError,
    Paused,
    StorageError,
    TunedslError,
)
from tunedsl.base.forks import this_process
from tunedsl.base.keys import fresh_seed
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import import_reference, referenced_objects
from tunedsl.driver.driver import Driver, Listener
from tunedsl.driver.interrupts import IgnoreInterrupts, exit_quietly, ignore_sigint_at_exit
from tunedsl.experiment import Experiment
from tunedsl.export.export import export_during_run
from tunedsl.journal import (
    FORMAT,
    Address,
    Header,
    Journal,
    Location,
    Mark,
    Writer,
    create,
    file_system,
    is_address,
    location_of,
    read_status,
    reopen,
)
from tunedsl.journal.requests import Inbox
from tunedsl.kernel import Event
from tunedsl.plan import Plan
from tunedsl.plan.amending import amendment_notes
from tunedsl.results import Results, load
from tunedsl.results.failures import failures
from tunedsl.runs.amendments import changed_plan_fields, check_fits, difference, matches
from tunedsl.runs.provenance import outlets_of, provenance, stamp, written_outlets
from tunedsl.runs.resume_command import resume_command
from tunedsl.searchers.contract import searcher_of
from tunedsl.views.progress import progress
from tunedsl.worker import Shipment
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.output import restore_streams
from tunedsl.worker.tracing import message_of

STORE: Final = "tunedsl-results"
"""Where experiments keep their folders that name no store, in the working directory."""
_importing: ContextVar[str] = ContextVar("importing", default="")
MAX_NAMED: Final = 10
_START_MESSAGES: Final = {"ray": "starting workers", "inline": "running in this process, one trial at a time"}
"""What is said at once, by engine: the first event may be long in coming."""


@contextlib.contextmanager
def importing(file: object) -> Iterator[None]:
    """While a file or module is imported for the experiments in it, nothing that it calls may run one."""
    token = _importing.set(str(file))
    try:
        yield
    finally:
        _importing.reset(token)


def may_run() -> None:
    """Raises `TunedslError` while a file is imported for the experiments in it."""
    if _importing.get():
        raise TunedslError(
            f'{_importing.get()} runs an experiment while it is imported: put that under if __name__ == "__main__":'
        )


def run(
    tuned: Experiment | Plan,
    engine: str | Engine = "ray",
    *,
    address: str | None = None,
    quiet: bool = False,
    listeners: Iterable[Listener] = (),
) -> Results:
    """Runs an experiment, or its plan as it is, to its end in a new folder under the experiment's store.

    Args:
        tuned: an experiment, which is compiled; or a plan, with the seed that it has.
        engine: `ray`, `inline`, or an engine such as `SimulatedEngine(...)`.
        address: of a Ray cluster; without one a running local one, or one that is started.
        quiet: whether to print nothing.
        listeners: who else hears of each event.

    Raises:
        CompileError: before anything starts, with every error of the experiment.
        TunedslError: for a plan that was read from data and needs objects of `.data(...)`.
        ResourceError: when the cluster has no node for such a trial.
        Interrupted: after Ctrl+C; the folder's run can be resumed. It is a `KeyboardInterrupt`.
    """
    may_run()
    chosen = chosen_engine(engine, address)
    plan = tuned if isinstance(tuned, Plan) else tuned.compile(engine=chosen.name, address=address)
    experiment = plan.experiment or Experiment()
    if isinstance(tuned, Plan):
        _check_plan(plan, chosen.name, address)
    if plan.drawn_seed and not experiment.upcoming_seed.take(plan.seed) and plan is not tuned:
        plan = attrs.evolve(plan, seed=fresh_seed())  # type: ignore[misc]  # another thread's run has used the seed
    return begin(plan, experiment, chosen, quiet, listeners)


def begin(
    plan: Plan,
    experiment: Experiment,
    engine: Engine,
    quiet: bool = False,
    listeners: Iterable[Listener] = (),
    first: Sequence[Event] = (),
) -> Results:
    """Runs a plan to its end in a new folder.

    Args:
        experiment: says where, with which objects, and who is told; no part of the plan.
        first: events that stand before all others in the journal.
    """
    root = _new_folder(_store(experiment), plan.name)
    home = _journal_location(experiment, root)
    try:
        writer = create(home)
    except JournalError:
        with contextlib.suppress(OSError):
            root.rmdir()  # nothing began
        raise
    outlets = outlets_of(experiment)
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {**provenance(experiment), **codec.encode(outlets)}))
    writer.flush()
    return _drive(plan, engine, home, root, writer, _data(experiment), quiet, listeners, None, outlets, first=first)


def _check_plan(plan: Plan, engine: str, address: str | None) -> None:
    """Whether a plan that was compiled before, maybe elsewhere, runs here."""
    if plan.experiment is not None:
        found = plan.experiment.check(engine, address)
        if errors_of(found):
            raise CompileError(found)
    elif plan.data:
        raise TunedslError(
            f"the plan was read from data, without the objects of .data({', '.join(plan.data)}): "
            f"run the experiment that it was compiled from, or experiment.compile().run()"
        )
    _check_installed(plan)


def _check_installed(plan: Plan) -> None:
    missing = [fault for fault in searcher_of(plan.searcher).validate(plan.searcher) if fault.code == "E049"]
    if missing:
        raise CompileError(missing)


def resume(
    path: str | Path,
    engine: str | Engine | None = None,
    *,
    address: str | None = None,
    quiet: bool = False,
    listeners: Iterable[Listener] = (),
) -> Results:
    """Goes on where the journal in `path` ends; a finished experiment gives its results.

    The trainable is imported by the reference that the plan has of it. Where the experiment has
    `.data(...)`, resume it by `experiment.resume(path)`, which knows the objects.

    Raises:
        JournalError: when the journal is damaged, or another driver holds it.
        CompileError: when a package that the searcher needs is not installed.
        CodecError: when the trainable cannot be imported, or its source has changed.
    """
    journal = Journal(path)
    plan = journal.plan
    if plan.data:
        raise TunedslError(
            f"{path} was run with .data({', '.join(plan.data)}): resume it by experiment.resume({str(path)!r})"
        )
    return _resume(
        plan, location_of(path), {}, engine, address, quiet, listeners, written_outlets(journal.header), None
    )


def resume_experiment(
    experiment: Experiment,
    path: str | Path | None = None,
    engine: str | Engine | None = None,
    *,
    address: str | None = None,
    quiet: bool = False,
    amend: bool = False,
    listeners: Iterable[Listener] = (),
) -> Results:
    """Goes on with an experiment's newest run, or with the one in `path`; also with one that was changed since.

    Args:
        amend: whether the run goes on by the experiment as it is now. Samples, stop rules, budgets, resources, width,
            the policies for failures and checkpoints, the trainable, and the scheduler can be changed, of a finished
            run too. The journal has it from there on; trials that have ended stay ended. A new scheduler, and one that
            was told that no more trials come, begins with the trials that come: others go on to their stop rule.

    Raises:
        AmendError: a `JournalError` that shows the difference, when the experiment was changed and that was not asked
            for, or it differs in what cannot be changed.
        JournalError: when there is no such run.
    """
    folder = location_of(path) if path is not None else _newest_run(experiment)
    journal = Journal(folder)
    chosen = engine or read_status(journal).engine
    name = chosen if isinstance(chosen, str) else chosen.name
    plan, differences = difference(experiment, journal, amend, name)
    if not quiet:
        for line in amendment_notes(differences):
            print(line, file=sys.stderr)
    outlets, store = outlets_of(experiment), experiment.clauses.store
    return _resume(plan, folder, _data(experiment), engine, address, quiet, listeners, outlets, store)


def _resume(
    plan: Plan,
    folder: Location,
    data: Mapping[str, Any],
    engine: str | Engine | None,
    address: str | None,
    quiet: bool,
    listeners: Iterable[Listener],
    outlets: Mapping[str, Any],
    store: str | None,
) -> Results:
    may_run()
    journal = Journal(folder)
    found, changed = read_status(journal), changed_plan_fields(journal, plan)
    if found.finished and not changed:
        return load(journal.folder)
    _check_installed(plan)
    if journal.torn and not quiet:
        print(f"{journal.path}: {journal.torn} bytes that a crash cut short are dropped", file=sys.stderr)
    chosen = chosen_engine(engine or found.engine, address)
    storage = _checkpoint_storage(journal, store)
    writer = reopen(journal, found.count)
    root = _local_folder(journal.folder)
    return _drive(plan, chosen, journal.folder, root, writer, data, quiet, listeners, journal, outlets, storage)


def _drive(
    plan: Plan,
    engine: Engine,
    home: Location,
    root: Path,
    writer: Writer,
    data: Mapping[str, Any],
    quiet: bool,
    listeners: Iterable[Listener],
    past: Journal | None,
    outlets: Mapping[str, Any],
    storage: str | None = None,
    first: Sequence[Event] = (),
) -> Results:
    is_mine = this_process()
    objects = referenced_objects(plan)
    resolve = _resolver(objects)
    if isinstance(home, Address):
        storage = home
    shipment = Shipment.of(plan, data, objects, str(root.resolve()), storage, outlets["output"])
    view = progress(plan, root.name, quiet=quiet)
    if past is None and not quiet:
        for warning in plan.warnings:
            print(warning, file=sys.stderr)
    why, sinks = "failed", contextlib.ExitStack()
    try:
        inbox = Inbox(root, lambda text: None if quiet else print(text, file=sys.stderr))
        driver = Driver(plan, engine, writer, shipment, resolve, (view, *listeners), inbox, first)
        if past is not None:
            driver.follow(past)
            check_fits(home, past.plan, plan, driver.state)
            driver.amend(changed_plan_fields(past, plan))
            known = (kept.folder for trial in driver.state.trials.values() for kept in trial.checkpoints)
            CheckpointStorage(shipment.storage).sweep(known)
            if driver.searcher_session.drifted and not quiet:
                trials = ", ".join(map(str, driver.searcher_session.drifted[:MAX_NAMED]))
                count = len(driver.searcher_session.drifted)
                print(
                    f"the searcher now proposes otherwise for {count} trials ({trials}): the journal wins",
                    file=sys.stderr,
                )
        opened = {"engine": engine.name, "at": stamp(), "host": platform.node(), "pid": os.getpid()}
        writer.mark(Mark(opened=opened))
        writer.flush()
        sinks.enter_context(export_during_run(home, root, outlets["sinks"], quiet))
        if engine.name in _START_MESSAGES:
            view.begin(_START_MESSAGES[engine.name])
        sinks.enter_context(IgnoreInterrupts())  # around the driver: one Ctrl+C more must not break off the closing
        driver.run()
        why = "finished"
        if driver.paused is not None and not driver.state.finished:
            why = f"paused: {driver.paused}"
            raise _announce(Paused(str(home), resume_command(plan, home)))
    except KeyboardInterrupt as error:
        if isinstance(error, Paused) or not is_mine():
            raise
        why = "interrupted"
        raise _announce(Interrupted(str(home), resume_command(plan, home))) from None
    except Exception as error:
        why = f"failed: {message_of(error).partition(chr(10))[0]}"
        raise
    finally:
        if is_mine():  # a child that the user's code has forked has nothing to close
            with sinks:  # they hear the end, too
                writer.mark(Mark(closed=why))
                writer.close()
                restore_streams()
    results = load(home)
    results.experiment = plan.experiment
    failed = "" if quiet else failures(results)
    if failed:
        print(failed, file=sys.stderr)
    return results


def _announce(error: Interrupted) -> Interrupted:
    """An interruption that the user has been told of: uncaught, it ends the process without a word."""
    print(f"\n{error}", file=sys.stderr)
    error.is_announced = True
    exit_quietly()
    ignore_sigint_at_exit()
    return error


def chosen_engine(engine: str | Engine, address: str | None) -> Engine:
    """The engine that a user names; raises `ArgumentError` for an unknown name."""
    if not isinstance(engine, str):
        return engine
    if engine == "inline":
        return InlineEngine()
    if engine == "simulated":
        return SimulatedEngine()
    if engine == "ray":
        from tunedsl.backends.ray import RayEngine  # Ray takes seconds to import

        return RayEngine(address)
    known = ("ray", "inline", "simulated")
    raise ArgumentError("E003", "engine", repr(engine), f"one of {', '.join(known)}", did_you_mean(engine, known))


def _resolver(objects: Mapping[str, Any]) -> Callable[[str], Any]:
    return lambda reference: objects[reference] if reference in objects else import_reference(reference)


def _store(experiment: Experiment) -> Path:
    """Where the experiment's local folders are; at an address its journal and checkpoints, here the rest."""
    store = experiment.clauses.store
    return Path(STORE if store is None or is_address(store) else store).absolute()


def _journal_location(experiment: Experiment, root: Path) -> Location:
    """Where a run's journal and checkpoints are: in its folder, or by the same name at the store's address."""
    store = experiment.clauses.store
    return root if store is None or not is_address(store) else Address(store) / root.name


def _local_folder(home: Location) -> Path:
    """The local folder of a run, also of one whose journal is at an address and began on another machine."""
    if not isinstance(home, Address):
        return home
    root = Path(STORE).absolute() / home.name
    root.mkdir(parents=True, exist_ok=True)
    return root


def _checkpoint_storage(journal: Journal, store: str | None) -> str | None:
    """Where checkpoints are when not beside the journal: a journal's word is not enough for that, the store's is.

    Raises:
        JournalError: when the experiment does not name that store.
    """
    said = journal.header.provenance.get("storage")
    if said is None or said == journal.folder:
        return None
    if not isinstance(said, str) or store is None or not said.startswith(f"{store.rstrip('/')}/") or ".." in said:
        hint = "resume it by experiment.resume(...) of the experiment that has this store"
        raise JournalError(journal.path, f"says that its checkpoints are at {said!r:.200}; {hint}")
    return said


def _data(experiment: Experiment) -> dict[str, Any]:
    return {name: held.object for name, held in experiment.clauses.data}


def _new_folder(store: Path, name: str) -> Path:
    root = store / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    try:
        root.mkdir(parents=True)
    except OSError as error:
        raise StorageError(f"the experiment's folder cannot be made in store({str(store)!r}): {error}") from error
    return root


def _newest_run(experiment: Experiment) -> Location:
    store = experiment.clauses.store
    if store is not None and is_address(store):
        folders: list[Location] = [*_folders_at(Address(store))]
    else:
        files = _store(experiment).glob("*/journal.jsonl")
        folders = [file.parent for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)]
    for folder in folders:
        if matches(experiment, Journal(folder)):
            return folder
    hint = "; one of the experiment as it was before it was changed is resumed by its path, with amend=True"
    raise JournalError(store or STORE, f"holds no run of this experiment{hint if folders else ''}")


def _folders_at(store: Address) -> list[Address]:
    """The runs at an address, by the time in their names, the newest first."""
    try:
        files, root = file_system(store)
        files.invalidate_cache()
        names = [item["name"].rstrip("/").rpartition("/")[2] for item in files.ls(root, detail=True)]
    except FileNotFoundError:
        return []
    except TunedslError:
        raise
    except Exception as error:
        raise JournalError(store, f"cannot be listed: {type(error).__name__}: {error}") from error
    return [store / name for name in sorted(names, key=lambda name: name.split("-")[-3:], reverse=True)]

"""One run from its folder to its results: begin, resume, close. The driver does what is between."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunedsl.backends.inline import InlineEngine
from tunedsl.backends.protocol import Engine, Telling
from tunedsl.backends.simulated import SimulatedEngine
from tunedsl.base import codec
from tunedsl.base.errors import (
    ArgumentError,
    CompileError,
    Interrupted,
    JournalError,
    Paused,
    StorageError,
    TunedslError,
)
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import import_reference, referenced_objects
from tunedsl.driver.driver import Driver, Listener
from tunedsl.driver.interrupts import IgnoreInterrupts, ignore_sigint_at_exit
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
from tunedsl.plan import Plan
from tunedsl.plan.amending import amendment_notes
from tunedsl.plan.output import Output, output_of
from tunedsl.results import Results, load
from tunedsl.results.failures import failures
from tunedsl.runs.amendments import changed_plan_fields, check_fits, difference, matches
from tunedsl.searchers.contract import searcher_of
from tunedsl.views.progress import progress
from tunedsl.worker import Shipment
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.output import restore_streams
from tunedsl.worker.tracing import message_of

if TYPE_CHECKING:
    from tunedsl.experiment import Experiment

STORE: Final = "tunedsl-results"
"""Where experiments keep their folders that name no store, in the working directory."""
_importing: ContextVar[str] = ContextVar("importing", default="")
MAX_NAMED: Final = 10
PACKAGES: Final = ("tunedsl", "ray", "numpy", "attrs", "msgspec")


@contextlib.contextmanager
def importing(file: Path) -> Iterator[None]:
    """While a file is imported for the experiments in it, nothing that it calls may run one."""
    token = _importing.set(str(file))
    try:
        yield
    finally:
        _importing.reset(token)


def _check_not_importing() -> None:
    if _importing.get():
        raise TunedslError(
            f'{_importing.get()} runs an experiment while it is imported: put that under if __name__ == "__main__":'
        )


def run(
    experiment: Experiment,
    engine: str | Engine = "ray",
    *,
    address: str | None = None,
    quiet: bool = False,
    listeners: Iterable[Listener] = (),
) -> Results:
    """Compiles an experiment and runs it to its end in a new folder under its store.

    Args:
        engine: `ray`, `inline`, or an engine such as `SimulatedEngine(...)`.
        address: of a Ray cluster; without one a running local one, or one that is started.
        quiet: whether to print nothing.
        listeners: who else hears of each event.

    Raises:
        CompileError: before anything starts, with every error of the experiment.
        ResourceError: when the cluster has no node for such a trial, or there is no such cluster.
        Interrupted: after Ctrl+C, as `Paused` when the cluster is gone; the folder's run can be resumed.
    """
    _check_not_importing()
    chosen = _engine(engine, address)
    plan = experiment.compile(engine=chosen.name, address=address)
    root = _new_folder(_store(experiment), plan.name)
    home = _journal_location(experiment, root)
    try:
        writer = create(home)
    except JournalError:
        with contextlib.suppress(OSError):
            root.rmdir()  # nothing began
        raise
    outlets = _output_settings(experiment)
    provenance = {**_provenance(experiment), **codec.encode(outlets)}
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, provenance))
    writer.flush()
    return _drive(plan, chosen, home, root, writer, _data(experiment), quiet, listeners, None, outlets)


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
        plan, location_of(path), {}, engine, address, quiet, listeners, _recorded_output_settings(journal.header), None
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
    outlets, store = _output_settings(experiment), experiment.clauses.store
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
    _check_not_importing()
    journal = Journal(folder)
    found, changed = read_status(journal), changed_plan_fields(journal, plan)
    if found.finished and not changed:
        return load(journal.folder)
    missing = [fault for fault in searcher_of(plan.searcher).validate(plan.searcher) if fault.code == "E049"]
    if missing:
        raise CompileError(missing)
    if journal.torn and not quiet:
        print(f"{journal.path}: {journal.torn} bytes that a crash cut short are dropped", file=sys.stderr)
    chosen = _engine(engine or found.engine, address)
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
) -> Results:
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
        driver = Driver(plan, engine, writer, shipment, resolve, (view, *listeners), inbox)
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
        opened = {"engine": engine.name, "at": _timestamp(), "host": platform.node(), "pid": os.getpid()}
        writer.mark(Mark(opened=opened))
        writer.flush()
        sinks.enter_context(export_during_run(home, root, outlets["sinks"], quiet))
        if isinstance(engine, Telling):
            engine.tell = view.begin
        sinks.enter_context(IgnoreInterrupts())  # around the driver: one Ctrl+C more must not break off the closing
        driver.run()
        why = "finished"
        if driver.paused is not None and not driver.state.finished:
            why = f"paused: {driver.paused}"
            raise _announce(Paused(str(home)))
    except KeyboardInterrupt as error:
        if isinstance(error, Paused):
            raise
        why = "interrupted"
        raise _announce(Interrupted(str(home))) from None
    except Exception as error:
        why = f"failed: {message_of(error).partition(chr(10))[0]}"
        raise
    finally:
        with sinks:  # they hear the end, too
            writer.mark(Mark(closed=why))
            writer.close()
            restore_streams()
    results = load(home)
    failed = "" if quiet else failures(results)
    if failed:
        print(failed, file=sys.stderr)
    return results


def _announce(error: Interrupted) -> Interrupted:
    """An interruption that the user has been told of: uncaught, it ends the process without a word."""
    print(f"\n{error}", file=sys.stderr)
    error.is_announced = True
    ignore_sigint_at_exit()
    return error


def _engine(engine: str | Engine, address: str | None) -> Engine:
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
    return Path(STORE if store is None or is_address(store) else store)


def _journal_location(experiment: Experiment, root: Path) -> Location:
    """Where a run's journal and checkpoints are: in its folder, or by the same name at the store's address."""
    store = experiment.clauses.store
    return root if store is None or not is_address(store) else Address(store) / root.name


def _local_folder(home: Location) -> Path:
    """The local folder of a run, also of one whose journal is at an address and began on another machine."""
    if not isinstance(home, Address):
        return home
    root = Path(STORE) / home.name
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


def _output_settings(experiment: Experiment) -> dict[str, Any]:
    """Where the run is told of, and where its trials' output goes: no part of the plan."""
    return {"sinks": experiment.clauses.sinks, "output": output_of(experiment.clauses.log_to_file)}


def _recorded_output_settings(header: Header) -> dict[str, Any]:
    """The same, as the run began with it."""
    written = header.provenance
    sinks, output = written.get("sinks"), written.get("output", codec.encode(Output()))
    return {"sinks": () if sinks is None else codec.decode(sinks), "output": codec.decode(output)}


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


def _timestamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _provenance(experiment: Experiment) -> dict[str, Any]:
    """Where and with what the run began: versions, commit, platform, script."""
    place = experiment.places.get("trainable")
    script = Path(place.file).resolve() if place is not None else None
    return {
        "at": _timestamp(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(_versions()),
        "git": _git_commit(),
        "script": str(script) if script is not None and script.is_file() else None,
    }


@lru_cache
def _versions() -> dict[str, str]:
    """Of what is installed of `PACKAGES`; finding them out takes milliseconds each."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _git_commit() -> dict[str, Any] | None:
    """The commit of the folder that the user works in, and whether it has changes."""
    words = ["git", "status", "--porcelain=v2", "--branch"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=5).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    head = next((line.split()[-1] for line in said if line.startswith("# branch.oid ")), "(initial)")
    if head == "(initial)":
        return None
    return {"commit": head, "dirty": not all(line.startswith("#") for line in said)}

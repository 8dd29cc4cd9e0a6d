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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunedsl.base import codec
from tunedsl.base.errors import ArgumentError, Interrupted, JournalError, StorageError, TunedslError
from tunedsl.base.literals import import_reference, live_objects
from tunedsl.base.names import did_you_mean
from tunedsl.engine.driver import Driver, Listener
from tunedsl.engine.inline import InlineEngine
from tunedsl.engine.port import Engine
from tunedsl.engine.simulated import SimulatedEngine
from tunedsl.journal import FORMAT, FileWriter, Header, Journal, Mark, journal_file
from tunedsl.kernel import Finish
from tunedsl.plan import Plan
from tunedsl.plan.output import Output, output_of
from tunedsl.results import Results, load
from tunedsl.sinks.exporting import listening
from tunedsl.sinks.progress import progress
from tunedsl.trainable import Shipment
from tunedsl.trainable.checkpoints import is_address
from tunedsl.trainable.output import put_back

if TYPE_CHECKING:
    from tunedsl.experiment import Experiment

STORE: Final = "tunedsl-results"
"""Where experiments keep their folders that name no store, in the working directory."""
_importing: ContextVar[str] = ContextVar("importing", default="")
MOST_NAMED: Final = 10
PACKAGES: Final = ("tunedsl", "ray", "numpy", "attrs", "msgspec")


@contextlib.contextmanager
def importing(file: Path) -> Iterator[None]:
    """While a file is imported for the experiments in it, nothing that it calls may run one."""
    token = _importing.set(str(file))
    try:
        yield
    finally:
        _importing.reset(token)


def _may_run() -> None:
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
        ResourceError: when the cluster has no node for such a trial.
        Interrupted: after Ctrl+C; the folder's run can be resumed.
    """
    _may_run()
    chosen = _engine(engine, address)
    plan = experiment.compile(engine=chosen.name, address=address)
    root = _new_folder(_store(experiment), plan.name)
    store = experiment.clauses.store or ""
    storage = f"{store.rstrip('/')}/{root.name}" if is_address(store) else None
    writer = FileWriter(journal_file(root))
    outlets = _outlets(experiment)
    provenance = {**_provenance(experiment), "storage": storage, **codec.encode(outlets)}
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, provenance))
    writer.flush()
    return _drive(plan, chosen, root, writer, _data(experiment), quiet, listeners, None, outlets)


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
        CodecError: when the trainable cannot be imported, or its source has changed.
    """
    plan = Journal(path).plan
    if plan.data:
        raise TunedslError(
            f"{path} was run with .data({', '.join(plan.data)}): resume it by experiment.resume({str(path)!r})"
        )
    return _resume(plan, Path(path), {}, engine, address, quiet, listeners, _written_outlets(Journal(path).header))


def resume_experiment(
    experiment: Experiment,
    path: str | Path | None = None,
    engine: str | Engine | None = None,
    *,
    address: str | None = None,
    quiet: bool = False,
    listeners: Iterable[Listener] = (),
) -> Results:
    """Goes on with an experiment's newest run, or with the one in `path`.

    Raises:
        JournalError: when there is no such run, or `path` holds another experiment's.
    """
    folder = Path(path) if path is not None else _newest(experiment)
    header = Journal(folder).header
    plan = experiment.seed(header.plan["$value"][1]["seed"]).compile(engine="inline")
    if plan.digest != header.digest:
        raise JournalError(folder, "holds the run of another experiment: what was changed since shows `tunedsl.diff`")
    return _resume(plan, folder, _data(experiment), engine, address, quiet, listeners, _outlets(experiment))


def _resume(
    plan: Plan,
    root: Path,
    data: Mapping[str, Any],
    engine: str | Engine | None,
    address: str | None,
    quiet: bool,
    listeners: Iterable[Listener],
    outlets: Mapping[str, Any],
) -> Results:
    _may_run()
    journal = Journal(root)
    count = end = 0
    name, finished = "ray", False
    for line, end in journal.placed():  # noqa: B007 - the last end is the journal's size
        count = line.n + 1
        if line.m is not None and line.m.opened is not None:
            name = line.m.opened.get("engine", name)
        finished = finished or any(isinstance(command, Finish) for command in line.c)
    if finished:
        return load(root)
    if journal.torn and not quiet:
        print(f"{journal.path}: {journal.torn} bytes that a crash cut short are dropped", file=sys.stderr)
    writer = FileWriter(journal.path, count, end)
    chosen = _engine(engine or name, address)
    return _drive(plan, chosen, journal.path.parent, writer, data, quiet, listeners, journal, outlets)


def _drive(
    plan: Plan,
    engine: Engine,
    root: Path,
    writer: FileWriter,
    data: Mapping[str, Any],
    quiet: bool,
    listeners: Iterable[Listener],
    past: Journal | None,
    outlets: Mapping[str, Any],
) -> Results:
    objects = live_objects(plan)
    resolve = _resolver(objects)
    storage = Journal(root).header.provenance.get("storage")
    shipment = Shipment.of(plan, data, objects, str(root.resolve()), storage, outlets["output"])
    view = progress(plan, root.name, quiet=quiet)
    if past is None and not quiet:
        for warning in plan.warnings:
            print(warning, file=sys.stderr)
    why, sinks = "failed", contextlib.ExitStack()
    try:
        driver = Driver(plan, engine, writer, shipment, resolve, (view, *listeners))
        if past is not None:
            driver.follow(past)
            if driver.desk.drifted and not quiet:
                trials = ", ".join(map(str, driver.desk.drifted[:MOST_NAMED]))
                count = len(driver.desk.drifted)
                print(
                    f"the searcher now proposes otherwise for {count} trials ({trials}): the journal wins",
                    file=sys.stderr,
                )
        opened = {"engine": engine.name, "at": _stamp(), "host": platform.node(), "pid": os.getpid()}
        writer.mark(Mark(opened=opened))
        writer.flush()
        sinks.enter_context(listening(root, outlets["sinks"], quiet))
        driver.run()
        why = "finished"
    except KeyboardInterrupt:
        why = "interrupted"
        raise Interrupted(str(root)) from None
    except Exception as error:
        why = f"failed: {type(error).__name__}: {error}"
        raise
    finally:
        with sinks:  # they hear the end, too
            writer.mark(Mark(closed=why))
            writer.close()
            put_back()
    return load(root)


def _engine(engine: str | Engine, address: str | None) -> Engine:
    if not isinstance(engine, str):
        return engine
    if engine == "inline":
        return InlineEngine()
    if engine == "simulated":
        return SimulatedEngine()
    if engine == "ray":
        from tunedsl.engine.ray import RayEngine  # Ray takes seconds to import

        return RayEngine(address)
    known = ("ray", "inline", "simulated")
    raise ArgumentError("E003", "engine", repr(engine), f"one of {', '.join(known)}", did_you_mean(engine, known))


def _resolver(objects: Mapping[str, Any]) -> Callable[[str], Any]:
    return lambda reference: objects[reference] if reference in objects else import_reference(reference)


def _store(experiment: Experiment) -> Path:
    """Where the experiment's folders are; at an address there are its checkpoints only."""
    store = experiment.clauses.store
    return Path(STORE if store is None or is_address(store) else store)


def _data(experiment: Experiment) -> dict[str, Any]:
    return {name: held.object for name, held in experiment.clauses.data}


def _outlets(experiment: Experiment) -> dict[str, Any]:
    """Where the run is told of, and where its trials' output goes: no part of the plan."""
    return {"sinks": experiment.clauses.sinks, "output": output_of(experiment.clauses.log_to_file)}


def _written_outlets(header: Header) -> dict[str, Any]:
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


def _newest(experiment: Experiment) -> Path:
    store = _store(experiment)
    found = sorted(store.glob("*/journal.jsonl"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in found:
        header = Journal(file).header
        seed = header.plan["$value"][1]["seed"]
        if experiment.seed(seed).compile(engine="inline").digest == header.digest:
            return file.parent
    raise JournalError(store, "holds no run of this experiment")


def _stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _provenance(experiment: Experiment) -> dict[str, Any]:
    """Where and with what the run began: versions, commit, platform, script."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    place = experiment.places.get("trainable")
    script = Path(place.file).resolve() if place is not None else None
    return {
        "at": _stamp(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "git": _commit(),
        "script": str(script) if script is not None and script.is_file() else None,
    }


def _commit() -> dict[str, Any] | None:
    """The commit of the folder that the user works in, and whether it has changes."""
    try:
        head = _git("rev-parse", "HEAD").strip()
        return {"commit": head, "dirty": bool(_git("status", "--porcelain").strip())}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True, timeout=5).stdout

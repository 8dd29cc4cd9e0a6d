"""Opens runs for ask and tell: new ones, and existing ones by their experiment or by their path alone."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from tunedsl.backends.external import ExternalEngine
from tunedsl.base.arguments import as_number, check_arguments
from tunedsl.base.errors import wrong_value
from tunedsl.base.interrupts import interruptible
from tunedsl.driver.driver import Listener
from tunedsl.journal import Address, Journal, location_of, read_status
from tunedsl.journal.reader import JOURNAL_FILE
from tunedsl.journal.requests import RequestRefused
from tunedsl.plan import Plan
from tunedsl.plan.definition import Definition
from tunedsl.plan.settings import EXTERNAL
from tunedsl.runs import compiling
from tunedsl.runs.amendments import difference
from tunedsl.runs.locations import checkpoint_storage, local_folder
from tunedsl.runs.provenance import Outlets
from tunedsl.runs.runs import may_run, new_run, reopened, with_fresh_seed
from tunedsl.runs.setup import RunSetup
from tunedsl.runs.study import Study


@interruptible("experiment.open({!r})")
@check_arguments
def open_experiment(
    definition: Definition,
    path: str | os.PathLike[str] | None = None,
    *,
    lease: float | None = None,
    quiet: bool = False,
    amend: bool = False,
    listeners: Iterable[Listener] = (),
) -> Study:
    """Open an experiment to ask for its trials and tell their results.

    Args:
        definition: the experiment.
        path: the run's folder: a new one, or that of a run to continue. By default a new folder of the store.
        lease: seconds without a report or `tell` after which a trial fails as `lost`; `ask` returns it again as
            `.retry(lost=...)` allows. By default the lease of the run, or no limit for a new run.
        quiet: whether to print no warnings of the compiler.
        amend: whether to continue a run of another version of the experiment; see `resume`.
        listeners: receive each event.

    Raises:
        CompileError: with every error of the experiment.
        AmendError: when the run in `path` is of another experiment, and `amend` is false.
        JournalError: when the journal is damaged, or another driver holds it.
    """
    may_run()
    lease = _checked_lease(lease)
    if path is not None and _has_run(path):
        journal = Journal(location_of(path))
        plan, _, _ = difference(definition, journal, amend, EXTERNAL)
        return _reopen(journal, plan, lease, definition, quiet, tuple(listeners))
    plan = with_fresh_seed(compiling.compile_plan(definition, EXTERNAL), definition)
    engine = ExternalEngine(lease)
    root = None if path is None else Path(path).absolute()
    return Study(*new_run(plan, definition, engine, quiet, (engine.before, *listeners), root=root), engine)


@interruptible("experiment.open({!r})")
@check_arguments
def open_path(path: str | os.PathLike[str], *, lease: float | None = None, quiet: bool = False) -> Study:
    """Open the run in `path` without its experiment; functions of the experiment are imported.

    Args:
        path: the run's folder or address.
        lease: as for `open_experiment`.
        quiet: as for `open_experiment`.

    Raises:
        RequestRefused: when workers run its trials.
        JournalError: when there is no run, it is damaged, or another driver holds it.
        CodecError: when a function cannot be imported, or has changed.
    """
    journal = Journal(location_of(path))
    engine = read_status(journal).engine
    if engine != EXTERNAL:
        raise RequestRefused(
            f"Workers of {engine} run the trials, so this run has no ask and tell.\n  help: tunedsl resume {path}"
        )
    return _reopen(journal, journal.plan, _checked_lease(lease), None, quiet, ())


def _reopen(
    journal: Journal,
    plan: Plan,
    lease: float | None,
    definition: Definition | None,
    quiet: bool,
    listeners: tuple[Listener, ...],
) -> Study:
    status = read_status(journal)
    recorded = status.opened.get("lease")
    engine = ExternalEngine(lease if lease is not None or not isinstance(recorded, (int, float)) else float(recorded))
    engine.repeated = status.repeated
    setup = RunSetup(
        plan,
        engine,
        journal.folder,
        local_folder(journal.folder),
        Outlets.recorded(journal.header) if definition is None else Outlets.of(definition),
        {} if definition is None else definition.data_objects(),
        quiet,
        (engine.before, *listeners),
        past=journal,
        storage=checkpoint_storage(journal, None if definition is None else definition.clauses.store),
    )
    return Study(setup, reopened(setup, journal, status.count), engine, status)


def _has_run(path: str | os.PathLike[str]) -> bool:
    place = location_of(path)
    return True if isinstance(place, Address) else (place / JOURNAL_FILE).exists() or place.suffix == ".jsonl"


def _checked_lease(lease: float | None) -> float | None:
    if lease is None:
        return None
    seconds = as_number("open.lease", lease)
    if not (math.isfinite(seconds) and seconds > 0):
        raise wrong_value("open.lease", lease, "a finite number of seconds above 0")
    return seconds

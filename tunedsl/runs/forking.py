"""Begins a run from a moment of another one, which does not change."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from tunedsl.backends.protocol import Engine
from tunedsl.base.arguments import check_arguments
from tunedsl.driver.driver import Listener
from tunedsl.journal import Address, Journal, Location, copy_checkpoints, create, fold, fork_point, write_fork
from tunedsl.kernel.events import Continuation
from tunedsl.plan.definition import Definition
from tunedsl.results import Results
from tunedsl.runs.locations import (
    checkpoint_storage,
    create_run_folder,
    create_unique_folder,
    journal_location,
    run_name,
)
from tunedsl.runs.provenance import stamp
from tunedsl.runs.runs import may_run, resume_experiment


@check_arguments
def fork(path: str | Path, at: int | str | None = None) -> Location:
    """Begin a run with the records of another one, up to a moment; `resume` continues it.

    The new run gets a folder next to the other one, with copies of the checkpoints that its trials need. The other run
    is not changed, and may be running. Trials that ran at that moment continue as after an interruption.

    Args:
        path: the folder or address of the other run.
        at: the number of the last record to share; or `"trial 17"`, the moment before the proposal of that trial; by
            default the journal's end.

    Returns:
        The folder or address of the new run.

    Raises:
        ArgumentError: when the run has no such record or trial.
        JournalError: when there is no such run, or its journal is damaged before that moment.

    Example:
        >>> new = fork("results/digits-20260101-120000-ab12", at="trial 17")  # doctest: +SKIP
        >>> resume(new)  # doctest: +SKIP
    """
    return _fork(Journal(path), at, None)


@check_arguments
def fork_experiment(
    definition: Definition,
    path: str | Path,
    at: int | str | None = None,
    engine: str | Engine | None = None,
    *,
    address: str | None = None,
    quiet: bool = False,
    ended: Continuation = "continue",
    defaults: Mapping[str, Any] | None = None,
    listeners: Iterable[Listener] = (),
) -> Results:
    """Fork a run and continue the new run by an experiment, as `resume_experiment` with `amend`.

    Args:
        definition: the experiment; the new run is in its store, if it has one.
        path, at: as for `fork`.
        engine, address, quiet, defaults, listeners: as for `resume_experiment`.
        ended: whether ended trials continue that the experiment would have continued, as `amend` of
            `resume_experiment`.

    Raises:
        AmendError: when the run cannot continue with this experiment; the new folder then has the shared records.
    """
    may_run()
    new = _fork(Journal(path), at, definition)
    options: dict[str, Any] = {"address": address, "quiet": quiet, "defaults": defaults, "listeners": listeners}
    return resume_experiment(definition, new, engine, amend=ended, **options)


def _fork(journal: Journal, at: int | str | None, definition: Definition | None) -> Location:
    point = fork_point(journal, at)
    store = None if definition is None else definition.clauses.store
    source = checkpoint_storage(journal, store) or journal.folder
    state = None
    for line, state in islice(fold(journal), point.record + 1):  # noqa: B007 - the last one counts
        pass
    assert state is not None  # a journal has a header
    home = _home(journal, definition)
    try:
        copy_checkpoints(source if isinstance(source, Path) else Address(source), state, home)
        writer = create(home)
        try:
            provenance = {**journal.header.provenance, "at": stamp()}
            provenance.pop("storage", None)
            write_fork(journal, point, writer, provenance)
        finally:
            writer.close()
    except BaseException:
        if isinstance(home, Path):
            with contextlib.suppress(OSError):
                shutil.rmtree(home)
        raise
    return home


def _home(journal: Journal, definition: Definition | None) -> Location:
    """The new run's location: in the experiment's store, or else next to its parent."""
    name = journal.first_plan.name
    if definition is not None and definition.clauses.store is not None:
        return journal_location(definition, create_run_folder(definition, name))
    store = journal.folder.parent
    if isinstance(store, Path):
        return create_unique_folder(store, name)
    return store / run_name(name, at_address=True)

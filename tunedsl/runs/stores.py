"""Lists the experiments in a store with their status, and finds and deletes what they no longer need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, NoResult, StorageError, TunedslError
from tunedsl.base.types import TrialStatus
from tunedsl.journal import Address, Location, file_system, has_driver, journal_file, location_of
from tunedsl.journal.reader import SEGMENTS
from tunedsl.results import Results, load
from tunedsl.worker.checkpoints import CheckpointStorage


@attrs.frozen
class StoredRun:
    """One experiment in a store.

    Attributes:
        path: its folder or address.
        name: its name; empty when its journal cannot be read.
        state: as `results.state`, or why its journal cannot be read.
        began: start time, as `2026-01-31T12:00:00+0000`.
        trials: how many trials it has.
        errors: how many of them failed.
        metric, best: the first objective and its best value, if there is one.
        size: bytes of its folder.
        statuses: how many trials are `completed`, `stopped`, `failed`, `running`, `paused`, `pending`, `cancelled`.
    """

    path: Location
    name: str
    state: str
    began: str
    trials: int
    errors: int
    metric: str
    best: float | None
    size: int
    statuses: dict[TrialStatus, int] = attrs.field(factory=dict)


@attrs.frozen
class Freeable:
    """What can be deleted from an experiment.

    Attributes:
        path: its folder or address.
        places: the checkpoints to delete, relative to `base`; empty for the whole folder.
        base: the location of its checkpoints.
        size: bytes that this frees.
        what: a description for users.
    """

    path: Location
    places: tuple[str, ...]
    base: str
    size: int
    what: str


def list_runs(store: str | os.PathLike[str]) -> list[StoredRun]:
    """List the experiments in a store, newest first.

    Args:
        store: a folder or an address; an experiment's own folder lists only that one.

    Raises:
        StorageError: when there is no such folder.
    """
    found = [_entry(path) for path in run_paths(location_of(store))]
    return sorted(found, key=lambda entry: (entry.began, entry.path.name), reverse=True)


def freeable(path: str | os.PathLike[str], whole: bool = False) -> Freeable:
    """Find what can be deleted from an experiment, without deleting it.

    Without `whole` these are checkpoints that a crash left incomplete and, for a finished experiment, those of all
    trials but the best. An experiment that can be resumed keeps its checkpoints.

    Args:
        path: its folder or address.
        whole: whether to delete everything.

    Raises:
        JournalError: when there is no journal, it is damaged, or a driver is running.
    """
    place = location_of(path)
    journal = place / SEGMENTS if isinstance(place, Address) else journal_file(place)
    if has_driver(journal):
        raise JournalError(journal, "A driver is running this experiment.")
    if whole:
        if not _is_experiment(place):
            raise JournalError(journal, "There is no journal here.")
        return Freeable(place, (), "", _size(place), "the whole experiment")
    results = load(place)
    base = results.journal.header.provenance.get("storage") or str(place)
    needed = {name for trial in _kept(results) for name in trial}
    storage = CheckpointStorage(base)
    places = tuple(sorted(set(storage.list_checkpoints()) - needed))
    size = sum(_size(location_of(storage.where(name))) for name in places)
    what = f"{len(places)} checkpoints" + (
        " of trials other than the best" if results.finished else " that are incomplete"
    )
    return Freeable(place, places, base, size, what)


def delete_runs(found: Iterable[Freeable]) -> None:
    """Delete what `freeable` found.

    Raises:
        StorageError: when something could not be deleted, which it names.
    """
    left: list[str] = []
    for item in found:
        if item.places:
            left += CheckpointStorage(item.base).discard(item.places)
        elif item.what == "the whole experiment":
            _remove(item.path)
    if left:
        raise StorageError(f"Some files could not be deleted: {', '.join(left)}.")


def _kept(results: Results) -> Iterator[Iterable[str]]:
    """The checkpoints that are kept, trial by trial."""
    if not results.finished:
        for record in results.reading.records.values():
            yield record.checkpoints.values()
        return
    try:
        best = results.best
    except NoResult:
        return
    yield results.reading.records[best.number].checkpoints.values()


def run_paths(store: Location) -> list[Location]:
    """The folders or addresses of the experiments in a store; only its own, if it is one.

    Raises:
        StorageError: when there is no such folder.
    """
    if _is_experiment(store):
        return [store]
    if isinstance(store, Address):
        files, root = file_system(store)
        names = sorted(name.rstrip("/").rpartition("/")[2] for name in files.ls(root, detail=False))
        return [path for name in names if _is_experiment(path := store / name)]
    if not store.is_dir():
        raise StorageError(f"The store {store} does not exist.")
    return [folder for folder in sorted(store.iterdir()) if folder.is_dir() and _is_experiment(folder)]


def _is_experiment(path: Location) -> bool:
    if isinstance(path, Address):
        files, root = file_system(path / SEGMENTS)
        return bool(files.exists(root))
    return journal_file(path).is_file() or (path / SEGMENTS).is_dir()


def _entry(path: Location) -> StoredRun:
    try:
        results = load(path)
        plan, state = results.plan, results.state
        metric = plan.objectives[0].metric if plan.objectives else ""
        try:
            best = float(results.best.metrics[metric]) if metric else None
        except NoResult:
            best = None
        began = results.journal.header.provenance.get("at", "")
        stats = results.stats
        counts = stats.trials, len(results.errors)
        return StoredRun(path, plan.name, state, began, *counts, metric, best, _size(path), stats.statuses)
    except TunedslError as error:
        return StoredRun(path, "", f"cannot be read: {reason(error)}", "", 0, 0, "", None, _size(path))


def _size(path: Location) -> int:
    if isinstance(path, Address):
        files, root = file_system(path)
        return int(files.du(root))
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            if (status.st_dev, status.st_ino) not in seen:  # count a file once that checkpoints share by hard links
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def _remove(path: Location) -> None:
    if isinstance(path, Address):
        files, root = file_system(path)
        files.rm(root, recursive=True)
        return
    if path.is_symlink():
        raise StorageError(f"The folder {path} is a link.\n  help: remove its target, or the link")
    try:
        shutil.rmtree(Path(path))
    except OSError as error:
        raise StorageError(f"The folder {path} cannot be deleted: {reason(error)}.") from error

"""The experiments under a store: which there are, how they stand, and what of them may be removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from tunedsl.base.errors import JournalError, NoResult, StorageError, TunedslError
from tunedsl.base.types import TrialStatus
from tunedsl.journal import Address, Location, file_system, has_driver, journal_file, location_of
from tunedsl.journal.reader import SEGMENTS
from tunedsl.results import Results, load
from tunedsl.worker.checkpoints import CheckpointStorage


@attrs.frozen
class StoredRun:
    """One experiment under a store.

    Attributes:
        path: its folder, or its address.
        name: the experiment's name; empty where its journal cannot be read.
        state: as `results.state`, or why its journal cannot be read.
        began: when, as `2026-01-31T12:00:00+0000`.
        trials: how many were proposed.
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
    """What may be removed of an experiment.

    Attributes:
        path: its folder, or its address.
        places: what would go, relative to `base`; empty for the whole folder.
        base: where its checkpoints are.
        size: bytes that are free afterwards.
        what: the same in words.
    """

    path: Location
    places: tuple[str, ...]
    base: str
    size: int
    what: str


def list_runs(store: str | os.PathLike[str]) -> list[StoredRun]:
    """The experiments under a store, the newest first.

    Args:
        store: a folder or an address; one that is an experiment itself is the only one.

    Raises:
        StorageError: when there is no such folder.
    """
    found = [_entry(path) for path in _paths(location_of(store))]
    return sorted(found, key=lambda entry: (entry.began, entry.path.name), reverse=True)


def freeable(path: str | os.PathLike[str], whole: bool = False) -> Freeable:
    """What may be removed of an experiment; nothing is removed by asking.

    Without `whole` that is what a crash left half written and, of an experiment that is finished, the checkpoints of
    all trials but the best one. An experiment that can be resumed keeps its checkpoints.

    Args:
        path: its folder or address.
        whole: whether everything may go.

    Raises:
        JournalError: when there is no journal, it is damaged, or a driver is at work on it.
    """
    place = location_of(path)
    journal = place / SEGMENTS if isinstance(place, Address) else journal_file(place)
    if has_driver(journal):
        raise JournalError(journal, "a driver is running this experiment")
    if whole:
        if not _is_experiment(place):
            raise JournalError(journal, "there is no journal here")
        return Freeable(place, (), "", _size(place), "the whole experiment")
    results = load(place)
    base = results.journal.header.provenance.get("storage") or str(place)
    needed = {name for trial in _kept(results) for name in trial}
    storage = CheckpointStorage(base)
    places = tuple(sorted(set(storage.list_checkpoints()) - needed))
    size = sum(_size(location_of(storage.where(name))) for name in places)
    what = f"{len(places)} checkpoints" + (" of other trials than the best one" if results.finished else " cut short")
    return Freeable(place, places, base, size, what)


def delete_runs(found: Iterable[Freeable]) -> None:
    """Removes what `freeable` named.

    Raises:
        StorageError: naming what could not be removed.
    """
    left: list[str] = []
    for item in found:
        if item.places:
            left += CheckpointStorage(item.base).discard(item.places)
        elif item.what == "the whole experiment":
            _remove(item.path)
    if left:
        raise StorageError(f"could not be removed: {', '.join(left)}")


def _kept(results: Results) -> Iterator[Iterable[str]]:
    """The places of the checkpoints that stay."""
    if not results.finished:
        for record in results.reading.records.values():
            yield record.checkpoints.values()
        return
    try:
        best = results.best
    except NoResult:
        return
    yield results.reading.records[best.number].checkpoints.values()


def _paths(store: Location) -> list[Location]:
    if _is_experiment(store):
        return [store]
    if isinstance(store, Address):
        files, root = file_system(store)
        names = sorted(name.rstrip("/").rpartition("/")[2] for name in files.ls(root, detail=False))
        return [path for name in names if _is_experiment(path := store / name)]
    if not store.is_dir():
        raise StorageError(f"there is no store {store}")
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
        return StoredRun(path, "", f"cannot be read: {error}", "", 0, 0, "", None, _size(path))


def _size(path: Location) -> int:
    if isinstance(path, Address):
        files, root = file_system(path)
        return int(files.du(root))
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            if (status.st_dev, status.st_ino) not in seen:  # files that checkpoints share count once
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def _remove(path: Location) -> None:
    if isinstance(path, Address):
        files, root = file_system(path)
        files.rm(root, recursive=True)
        return
    if path.is_symlink():
        raise StorageError(f"{path} is a link: remove what it points to, or the link")
    try:
        shutil.rmtree(Path(path))
    except OSError as error:
        raise StorageError(f"{path} cannot be removed: {error}") from error

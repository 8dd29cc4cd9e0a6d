"""Opens a journal for writing, locally or at an address: a new one, or one that is resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, Final

import attrs
from filelock import Timeout

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, StorageError
from tunedsl.base.retry import print_to_stderr
from tunedsl.journal.epochs import Claims, has_epochs
from tunedsl.journal.lease import (
    FileLeaseStore,
    LeaseStore,
    current_holder,
    last_holder,
    lease_conflict,
    lease_file,
    lock_of,
    machine_id,
)
from tunedsl.journal.location import Address, Location
from tunedsl.journal.objects import ObjectWriter
from tunedsl.journal.reader import SEGMENTS, Journal, journal_file, segment_folder, unclosed_lines
from tunedsl.journal.records import DamagedRecord, from_line
from tunedsl.journal.writer import FileWriter, Writer, release, try_lock
from tunedsl.kernel import Amended, Finish, RetryRequested

_REOPENS: Final = (b'["amended",', b'["retry_requested",')
"""Start of the records that reopen a finished experiment."""


def create(folder: Location, notify: Callable[[str], None] = print_to_stderr) -> Writer:
    """Create a journal in an experiment's folder.

    Raises:
        JournalError: when it cannot be written, or another driver holds it.
    """
    if isinstance(folder, Address):
        return ObjectWriter(folder / SEGMENTS, notify=notify)
    return _local_writer(journal_file(folder), 0, 0, 0, notify)


def reopen(journal: Journal, count: int, notify: Callable[[str], None] = print_to_stderr) -> Writer:
    """Open a journal to append to it.

    Args:
        journal: a journal that was read to its end.
        count: how many records it has.

    Raises:
        JournalTaken: when another driver holds it, or has written to it since it was read.
        JournalError: when it cannot be written.
    """
    if isinstance(journal.path, Address):
        return ObjectWriter(journal.path, count, notify)
    return _local_writer(journal.path, count, journal.size, journal.file_bytes, notify)


def _local_writer(file: Path, count: int, size: int, found: int, notify: Callable[[str], None]) -> Writer:
    """A writer that the file's lock protects; or one with epochs, where nothing is locked.

    A lock may be of one machine alone. So epochs also decide after a driver on another machine, whose lease is stale.
    """
    lock = None if has_epochs(file.parent) else try_lock(file)
    if lock is not None and not _is_foreign(file):
        return FileWriter(file, count, size, notify, found, lock)
    try:
        if current_holder(FileLeaseStore(lease_file(file))) is not None:
            raise lease_conflict(file, FileLeaseStore(lease_file(file)))
        try:
            file.touch()  # the folder is recognized by it
        except OSError as error:
            raise JournalError(file, f"The journal cannot be opened for writing: {reason(error)}.") from error
        return ObjectWriter(segment_folder(file), count, notify, lambda first: unclosed_lines(file, first))
    finally:
        if lock is not None:
            release(lock)


def _is_foreign(file: Path) -> bool:
    """Whether the last driver was on another machine and has not released its lease."""
    found = last_holder(FileLeaseStore(lease_file(file)))
    return found is not None and found.machine != machine_id()


def has_driver(journal: Location) -> bool:
    """Whether a driver holds the journal."""
    if not has_epochs(journal.parent):
        assert isinstance(journal, Path)  # addresses have epochs
        lock = lock_of(journal)
        if Path(lock.lock_file).exists():
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return True
            except (OSError, NotImplementedError):
                pass  # another user's folder, or no locks: the lease tells
            else:
                release(lock)
    try:
        return current_holder(lease_store(journal)) is not None
    except (OSError, StorageError):
        return False


def lease_store(journal: Location) -> LeaseStore:
    """Where the lease of a journal is read."""
    if isinstance(journal, Address) or has_epochs(journal.parent):
        return Claims(journal.parent)
    return FileLeaseStore(lease_file(journal))


@attrs.frozen
class JournalStatus:
    """What a driver needs to know of a journal before it resumes.

    Attributes:
        count: number of records.
        engine: the name of the last engine.
        finished: whether the experiment is finished.
        opened: what the last driver wrote when it opened the journal.
        repeated: the last mark of the reports that each asked trial has repeated.
        told: the handled requests to tell.
    """

    count: int
    engine: str
    finished: bool
    opened: Mapping[str, Any] = attrs.field(factory=dict)
    repeated: Mapping[int, tuple[int, int, int]] = attrs.field(factory=dict)
    told: Set[str] = frozenset()


def read_status(journal: Journal) -> JournalStatus:
    """Read a journal's status; only the records that matter for it are decoded.

    Raises:
        JournalError: when it cannot be read.
    """
    number, finished = -1, False
    opened: dict[str, Any] = {}
    repeated: dict[int, tuple[int, int, int]] = {}
    told: set[str] = set()
    begun: dict[int | None, str] = {}  # requests to tell by trial, whose event has not come yet
    for number, (raw, place) in enumerate(journal.raw()):
        if not (
            begun
            or raw.startswith(b'"m":', raw.find(b",") + 1)
            or b'["finish",' in raw
            or any(tag in raw for tag in _REOPENS)
        ):
            continue
        try:
            line = from_line(raw[:-1], number)
        except DamagedRecord as damage:
            raise JournalError(place, str(damage), number) from None
        if line.m is not None and line.m.opened is not None:
            opened = line.m.opened
            begun.clear()
        if line.m is not None and line.m.repeated is not None:
            repeated[line.m.repeated[0]] = line.m.repeated
        if line.m is not None and line.m.told is not None:
            if line.m.repeated is not None or line.m.trial is None:
                told.add(line.m.told)
            else:
                begun[line.m.trial] = line.m.told
        if begun and line.e is not None:
            told.update(filter(None, [begun.pop(getattr(line.e, "trial", None), None)]))
        if isinstance(line.e, (Amended, RetryRequested)):
            finished = False
        finished = finished or any(isinstance(command, Finish) for command in line.c)
    return JournalStatus(number + 1, str(opened.get("engine", "ray")), finished, opened, repeated, told)

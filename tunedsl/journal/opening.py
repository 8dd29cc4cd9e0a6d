"""Opens a journal for writing, locally or at an address: a new one, or one that is resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, Final

import attrs
from filelock import Timeout

from tunedsl.base.errors import JournalError
from tunedsl.base.retry import print_to_stderr
from tunedsl.journal.lease import FileLeaseStore, current_holder, lease_file, lock_of
from tunedsl.journal.location import Address, Location
from tunedsl.journal.objects import LEASE_OBJECT, ObjectLeaseStore, ObjectWriter
from tunedsl.journal.reader import SEGMENTS, Journal, journal_file
from tunedsl.journal.records import DamagedRecord, from_line
from tunedsl.journal.writer import FileWriter, Writer, release
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
    return FileWriter(journal_file(folder), notify=notify)


def reopen(journal: Journal, count: int, notify: Callable[[str], None] = print_to_stderr) -> Writer:
    """Open a journal to append to it.

    Args:
        journal: a journal that was read to its end.
        count: how many records it has.

    Raises:
        JournalError: when it cannot be written, or another driver holds it.
    """
    if isinstance(journal.path, Address):
        return ObjectWriter(journal.path, count, notify)
    return FileWriter(journal.path, count, journal.size, notify, journal.file_bytes)


def has_driver(journal: Location) -> bool:
    """Whether a driver holds the journal."""
    if isinstance(journal, Address):
        try:
            return current_holder(ObjectLeaseStore(journal.parent / LEASE_OBJECT)) is not None
        except OSError:
            return False
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
    return current_holder(FileLeaseStore(lease_file(journal))) is not None


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

"""Appending to a journal: records collect until `flush`, which must come before their commands act.

After `flush` a killed process loses nothing. The disk is asked to keep it (`fdatasync`) at most
once a second and at the end, so a power cut costs at most that second; the journal then is a
valid prefix, and the run goes on from there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from tunedsl.base.errors import JournalError
from tunedsl.journal.hold import FileSlot, Hold, hold_file, holder, refusal
from tunedsl.journal.records import Header, Line, Mark, to_line
from tunedsl.kernel.commands import Command
from tunedsl.kernel.events import Event

SYNC_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 1.0
"""Where nothing can be locked: how long two drivers that begin at the same time are given to see each other."""


class Writer(Protocol):
    """Where a driver writes; `count` is the number of the next record."""

    count: int

    def header(self, header: Header) -> None: ...
    def event(self, event: Event, commands: Sequence[Command]) -> None: ...
    def mark(self, mark: Mark) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class MemoryWriter:
    """Keeps the lines in memory, for dry runs and tests."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[bytes] = []

    def header(self, header: Header) -> None:
        self._append(Line(self.count, h=header))

    def event(self, event: Event, commands: Sequence[Command]) -> None:
        self._append(Line(self.count, e=event, c=tuple(commands)))

    def mark(self, mark: Mark) -> None:
        self._append(Line(self.count, m=mark))

    def flush(self) -> None:
        """Nothing to do: memory is as durable as it gets."""

    def close(self) -> None:
        self.flush()

    def _append(self, line: Line) -> None:
        self.lines.append(to_line(line))
        self.count += 1


class FileWriter(MemoryWriter):
    """Appends to a file that no other driver may write to at the same time.

    Args:
        file: the journal; created when it does not exist.
        count: records that it holds.
        size: bytes that those take; what stands behind them is a torn tail and is cut.

    Raises:
        JournalError: when another driver holds the journal.
    """

    def __init__(self, file: Path, count: int = 0, size: int = 0) -> None:
        super().__init__()
        self.count = count
        self._path = file
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._hold = _hold(self._file, file)
        except BaseException:
            os.close(self._file)
            raise
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)
        self._size = size
        self._synced = time.monotonic()

    def flush(self) -> None:
        """Hands all that was collected to the operating system, whole or not at all.

        Raises:
            JournalError: when it could not be written; the file then ends where it ended before.
        """
        if not self.lines:
            return
        self._hold.check()
        rest = memoryview(b"".join(self.lines))
        total = len(rest)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise JournalError(self._path, f"cannot be written: {error}", self.count - len(self.lines)) from error
        self._size += total
        self.lines.clear()
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """Writes what is left and lets other drivers have the journal."""
        try:
            self.flush()
            self._sync()
        finally:
            self._hold.release()
            os.close(self._file)

    def _sync(self) -> None:
        os.fdatasync(self._file)
        self._synced = time.monotonic()


def _hold(descriptor: int, file: Path) -> Hold:
    """The hold on a journal: a lock where the file system has locks, and in any case who has it."""
    slot, settle = FileSlot(hold_file(file)), 0.0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise refusal(file, slot) from None
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS):
            raise
        settle = SETTLE_SECONDS
    try:
        return Hold(file, slot, settle)
    except OSError as error:
        raise JournalError(file, f"cannot be held: {error}") from error


def is_held(file: Path) -> bool:
    """Whether a driver is writing this journal now."""
    try:
        with file.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return holder(FileSlot(hold_file(file))) is not None

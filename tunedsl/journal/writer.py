"""Appending to a journal: records collect until `flush`, which must come before their commands act.

In a local folder, after `flush` a killed process loses nothing. The disk is asked to keep it (`fdatasync`) at most once
a second and at the end, so a power cut costs at most that second; the journal then is a valid prefix, and the run goes
on from there. Storage that is full is waited for. A file that has grown is closed: packed into a segment, and emptied.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from filelock import BaseFileLock, Timeout

from tunedsl.base.errors import JournalError
from tunedsl.base.forks import in_children
from tunedsl.base.retry import JournalRetry, is_transient, print_to_stderr
from tunedsl.journal.lease import FileLeaseStore, Lease, lease_conflict, lease_file, lock_of
from tunedsl.journal.records import MAX_WIDTH, Header, Line, Mark, to_line
from tunedsl.journal.segments import MAX_LINE, name_of, packed
from tunedsl.kernel.commands import Command
from tunedsl.kernel.events import CapacityChanged, Event

SYNC_SECONDS: Final = 1.0
PROBE_SECONDS: Final = 0.05
SETTLE_SECONDS: Final = 1.0
"""Where nothing can be locked: how long two drivers that begin at the same time are given to see each other."""
_OPEN_FLAGS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
SEGMENT_BYTES: Final = 2**23
"""Bytes at which a journal's file is closed into a segment."""


class Writer(Protocol):
    """Where a driver writes; `count` is the number of the next record.

    `flush` says whether it had to wait for storage. While it waits it asks `asked` whether the user wants to end.
    """

    count: int

    def header(self, header: Header) -> None: ...
    def event(self, event: Event, commands: Sequence[Command]) -> None: ...
    def mark(self, mark: Mark) -> None: ...
    def copy(self, line: bytes) -> None: ...
    def flush(self) -> bool: ...
    def close(self) -> None: ...
    def set_cancel_check(self, is_cancelled: Callable[[], bool]) -> None: ...


class MemoryWriter:
    """Keeps the lines in memory, for dry runs and tests."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[bytes] = []

    def header(self, header: Header) -> None:
        self._append(Line(self.count, h=header))

    def event(self, event: Event, commands: Sequence[Command]) -> None:
        if isinstance(event, CapacityChanged) and event.width + event.ahead > MAX_WIDTH:
            raise JournalError("the journal", f"{event.width:,} trials at a time: at most {MAX_WIDTH:,} can be written")
        self._append(Line(self.count, e=event, c=tuple(commands)))

    def mark(self, mark: Mark) -> None:
        self._append(Line(self.count, m=mark))

    def copy(self, line: bytes) -> None:
        """Takes the next record over from another journal, as it stands there, newline included."""
        self.lines.append(line)
        self.count += 1

    def flush(self) -> bool:
        """Nothing to do: memory is as durable as it gets."""
        return False

    def close(self) -> None:
        self.flush()

    def set_cancel_check(self, is_cancelled: Callable[[], bool]) -> None:
        """Nothing here waits."""

    def _append(self, line: Line) -> None:
        written = to_line(line)
        if len(written) >= MAX_LINE:
            raise JournalError(
                "the journal", f"a record of {len(written):,} bytes: at most {MAX_LINE:,} can be written"
            )
        self.lines.append(written)
        self.count += 1


class FileWriter(MemoryWriter):
    """Appends to a file that no other driver may write to at the same time.

    Args:
        file: the journal; created when it does not exist.
        count: records that it holds, those in closed segments included.
        size: bytes that those in the file take; what stands behind them is a torn tail and is cut.
        notify: receives a message when the run waits for the disk and when it continues.

    Raises:
        JournalError: when another driver holds the journal.
    """

    def __init__(
        self, file: Path, count: int = 0, size: int = 0, notify: Callable[[str], None] = print_to_stderr
    ) -> None:
        super().__init__()
        self.count = count
        self._path = file
        self._retry = JournalRetry(f"the journal {file}", notify)
        self._notify = notify
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | _OPEN_FLAGS, 0o644)
        except OSError as error:
            raise JournalError(file, f"cannot be opened for writing: {error}") from error
        self._file = descriptor
        try:
            self._lock, self._hold = _acquire_lease(file)
        except BaseException:
            os.close(self._file)
            raise
        self._unregister = in_children(self._drop)
        os.ftruncate(self._file, size)
        self._size = self._sure = size
        self._waiting = b""
        self._unsure: list[bytes] = []
        self._begun = False
        self._limit = SEGMENT_BYTES
        self._synced = time.monotonic()

    def set_cancel_check(self, is_cancelled: Callable[[], bool]) -> None:
        """Lets `asked` end the wait for a full disk."""
        self._retry.set_cancel_check(is_cancelled)

    def flush(self) -> bool:
        """Hands all that was collected to the operating system, whole or not at all.

        Where the disk is full it waits, except in a writer's first flush: a run that cannot begin should not wait.

        Returns:
            Whether it had to wait.

        Raises:
            JournalError: when it could not be written; the file then ends where it ended before.
        """
        if not self.lines:
            return False
        self._hold.check()
        first = self.count - len(self.lines)
        self._waiting += b"".join(self.lines)
        self.lines.clear()
        try:
            waited = self._retry.call(self._put, lambda error: self._begun and is_transient(error))
        except OSError as error:
            raise JournalError(self._path, f"cannot be written: {error}", first) from error
        self._begun = True
        if self._size >= self._limit:
            self._close_segment()
        return waited

    def close(self) -> None:
        """Writes what is left, as far as the disk takes it now, and lets other drivers have the journal."""
        if self._file < 0:
            return
        self._unregister()
        first = self.count - len(self.lines)
        self._waiting += b"".join(self.lines)
        self.lines.clear()
        try:
            self._hold.check()
            self._put(sync=True)
        except OSError as error:
            self._notify(
                f"{self._path}: nothing from record {first} on could be written ({error}); none of it was acted on"
            )
        finally:
            self._hold.release()
            os.close(self._file)
            if self._lock is not None:
                release(self._lock)

    def _drop(self) -> None:
        """Leaves the journal to the parent, in a forked child; its lock does so by itself."""
        os.close(self._file)
        self._file = -1

    def _put(self, sync: bool = False) -> None:
        """Writes what waits; after an error the file ends with a whole record, and the rest still waits."""
        if self._waiting:
            rest = memoryview(self._waiting)
            place = self._size
            try:
                while rest:
                    done = write_at(self._file, rest, place)
                    rest, place = rest[done:], place + done
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
            self._unsure.append(self._waiting)
            self._waiting, self._size = b"", place
        if sync or time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def _sync(self) -> None:
        """Asks the disk to keep all. One that only now says that it is full may have dropped what it took before."""
        try:
            sync(self._file)
        except OSError:
            self._waiting = b"".join(self._unsure) + self._waiting
            self._unsure.clear()
            os.ftruncate(self._file, self._sure)
            self._size = self._sure
            raise
        self._unsure.clear()
        self._sure = self._size
        self._synced = time.monotonic()

    def _close_segment(self) -> None:
        """Packs the file into a segment and empties it. Where that fails the file just goes on to grow."""
        content = read_start(self._file, self._size)
        last = self.count - 1
        folder = self._path.with_suffix("")
        place = folder / name_of(last + 1 - content.count(b"\n"), last, packed=True)
        part = place.with_name(f"{place.name}.part")
        try:
            folder.mkdir(exist_ok=True)
            with part.open("wb") as file:
                file.write(packed(content))
                file.flush()
                os.fsync(file.fileno())
            part.replace(place)
            sync_folder(folder)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
                place.unlink(missing_ok=True)
            if not place.exists():  # else it is whole, and the file must not go on beside it
                self._limit = self._size + SEGMENT_BYTES
                return
        os.ftruncate(self._file, 0)
        self._size = self._sure = 0
        self._unsure.clear()
        self._limit = SEGMENT_BYTES


def write_at(descriptor: int, data: memoryview, offset: int) -> int:
    """Writes at an offset, on systems without `pwrite` too; gives how many bytes it took."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, data)


def read_start(descriptor: int, size: int) -> bytes:
    """The first `size` bytes of an open file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    parts: list[bytes] = []
    while size > 0 and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def sync(descriptor: int) -> None:
    """Asks the disk to keep a file's content."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(folder: Path) -> None:
    """Asks the disk to keep a folder's names, where folders can be opened for that."""
    if os.name == "nt":
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def release(lock: BaseFileLock) -> None:
    """Gives a lock back and removes its file, which nobody can lock between the two."""
    with contextlib.suppress(OSError):  # some systems do not remove what is open; an empty file stays there
        os.unlink(lock.lock_file)
    lock.release()


def _acquire_lease(file: Path) -> tuple[BaseFileLock | None, Lease]:
    """The hold on a journal: a lock where the file system has locks, and in any case who has it."""
    slot = FileLeaseStore(lease_file(file))
    lock = _try_lock(file, slot)
    try:
        return lock, Lease(file, slot, SETTLE_SECONDS if lock is None else 0.0)
    except BaseException as error:
        if lock is not None:
            release(lock)
        if isinstance(error, OSError):
            raise JournalError(file, f"cannot be held: {error}") from error
        raise


def _try_lock(file: Path, slot: FileLeaseStore) -> BaseFileLock | None:
    """The lock of a journal, taken; None where the file system has no locks.

    Raises:
        JournalError: when another driver has it, or it cannot be made.
    """
    lock = lock_of(file)
    try:
        lock.acquire(timeout=PROBE_SECONDS)  # somebody may only have looked whether it is held
    except Timeout:
        raise lease_conflict(file, slot) from None
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS):
            raise JournalError(file, f"cannot be locked: {error}") from error
        return None
    return lock

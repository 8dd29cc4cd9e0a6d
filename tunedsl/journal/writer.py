"""Appends to a journal: records collect until `flush`, which must precede the effects of their commands.

A process that is killed after `flush` loses nothing. The file is synced (`fdatasync`) at most once a second and at the
end, so a power cut loses at most the last second; the rest is a valid journal that can be resumed. A full disk is
waited for. A file that has grown large is packed into a segment and emptied. Where the file system has no locks, and at
addresses, `journal.objects` writes.
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

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, JournalTaken
from tunedsl.base.forks import in_children
from tunedsl.base.retry import JournalRetry, is_transient, print_to_stderr
from tunedsl.journal.epochs import Claims, has_epochs
from tunedsl.journal.lease import FileLeaseStore, Lease, current_holder, lease_conflict, lease_file, lock_of
from tunedsl.journal.records import MAX_WIDTH, Header, Line, Mark, to_line
from tunedsl.journal.segments import MAX_LINE, name_of, packed
from tunedsl.kernel.commands import Command
from tunedsl.kernel.events import CapacityChanged, Event

SYNC_SECONDS: Final = 1.0
PROBE_SECONDS: Final = 0.05
_OPEN_FLAGS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
SEGMENT_BYTES: Final = 2**23
"""Size in bytes from which a journal's file is packed into a segment."""


class Writer(Protocol):
    """What a driver writes its journal with.

    `flush` returns whether it had to wait for storage; the wait ends when the cancel check returns true.

    Attributes:
        count: the number of the next record.
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
    """Keeps a journal in memory, for dry runs and tests."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[bytes] = []

    def header(self, header: Header) -> None:
        self._append(Line(self.count, h=header))

    def event(self, event: Event, commands: Sequence[Command]) -> None:
        if isinstance(event, CapacityChanged) and event.width + event.ahead > MAX_WIDTH:
            raise JournalError(
                "the journal", f"{event.width:,} concurrent trials are more than the limit of {MAX_WIDTH:,}."
            )
        self._append(Line(self.count, e=event, c=tuple(commands)))

    def mark(self, mark: Mark) -> None:
        self._append(Line(self.count, m=mark))

    def copy(self, line: bytes) -> None:
        """Appends the next record of another journal, unchanged, with its newline."""
        self.lines.append(line)
        self.count += 1

    def flush(self) -> bool:
        """Does nothing."""
        return False

    def close(self) -> None:
        self.flush()

    def set_cancel_check(self, is_cancelled: Callable[[], bool]) -> None:
        """Does nothing: this writer never waits."""

    def _append(self, line: Line) -> None:
        written = to_line(line)
        if len(written) >= MAX_LINE:
            raise JournalError(
                "the journal", f"A record of {len(written):,} bytes is longer than the limit of {MAX_LINE:,}."
            )
        self.lines.append(written)
        self.count += 1


class FileWriter(MemoryWriter):
    """Appends to a local file, which it locks against other drivers.

    Args:
        file: the journal; created if it does not exist.
        count: how many records it has, with those in closed segments.
        size: bytes of the complete records in the file; a torn tail after them is cut off.
        notify: receives a message when the run waits for the disk and when it continues.
        found: bytes of the file when its records were read; by default `size`.
        lock: the journal's lock, which the writer releases; by default it takes the lock.

    Raises:
        JournalTaken: when another driver holds the journal, or has written to it since it was read.
        JournalError: when it cannot be written.
    """

    def __init__(
        self,
        file: Path,
        count: int = 0,
        size: int = 0,
        notify: Callable[[str], None] = print_to_stderr,
        found: int | None = None,
        lock: BaseFileLock | None = None,
    ) -> None:
        super().__init__()
        self.count = count
        self._path = file
        self._retry = JournalRetry(f"the journal {file}", notify)
        self._notify = notify
        held = try_lock(file) if lock is None else lock
        if held is None:
            raise JournalError(file, "The journal cannot be locked: its file system has no locks.")
        self._lock = held
        with contextlib.ExitStack() as undo:
            undo.callback(release, held)
            try:
                self._file = os.open(file, os.O_RDWR | os.O_CREAT | _OPEN_FLAGS, 0o644)
            except OSError as error:
                raise JournalError(file, f"The journal cannot be opened for writing: {reason(error)}.") from error
            undo.callback(os.close, self._file)
            try:
                self._lease = Lease(file, FileLeaseStore(lease_file(file)))
            except OSError as error:
                raise JournalError(file, f"The lease of the experiment cannot be taken: {reason(error)}.") from error
            undo.callback(self._lease.release)
            if os.fstat(self._file).st_size != (size if found is None else found):
                text = "Another driver has written to the journal since it was read."
                raise JournalTaken(file, text, hint="run it again")
            undo.pop_all()
        self._unregister = in_children(self._drop)
        os.ftruncate(self._file, size)
        self._size = self._synced_size = size
        self._pending = b""
        self._unsynced: list[bytes] = []
        self._begun = False
        self._limit = SEGMENT_BYTES
        self._synced = time.monotonic()

    def set_cancel_check(self, is_cancelled: Callable[[], bool]) -> None:
        """Sets what ends a wait for a full disk."""
        self._retry.set_cancel_check(is_cancelled)

    def flush(self) -> bool:
        """Write the collected records, all or none.

        It waits while the disk is full, except in a writer's first flush: a run that cannot begin should not wait.

        Returns:
            Whether it had to wait.

        Raises:
            JournalError: when they could not be written; the file is then unchanged.
        """
        if not self.lines:
            return False
        self._lease.check()
        first = self.count - len(self.lines)
        self._pending += b"".join(self.lines)
        self.lines.clear()
        try:
            waited = self._retry.call(self._put, lambda error: self._begun and is_transient(error))
        except OSError as error:
            raise JournalError(self._path, f"The journal cannot be written: {reason(error)}.", first) from error
        self._check_epochs()
        self._begun = True
        if self._size >= self._limit:
            self._close_segment()
        return waited

    def close(self) -> None:
        """Writes the remaining records without retries, and releases the journal."""
        if self._file < 0:
            return
        self._unregister()
        first = self.count - len(self.lines)
        self._pending += b"".join(self.lines)
        self.lines.clear()
        try:
            self._lease.check()
            self._put(sync=True)
            self._check_epochs()
        except OSError as error:
            self._notify(f"{self._path}: no record from {first} could be written ({error}), and none took effect")
        finally:
            self._lease.release()
            os.close(self._file)
            release(self._lock)

    def _check_epochs(self) -> None:
        """Raises `JournalTaken` when a driver on a machine that does not see the lock has taken the journal over."""
        if has_epochs(self._path.parent):
            found = current_holder(Claims(self._path.parent))
            text = "." if found is None else f": {found}."
            raise JournalTaken(self._path, f"Another driver has taken over this experiment{text}")

    def _drop(self) -> None:
        """Closes the file in a forked child; the lock does the same by itself."""
        os.close(self._file)
        self._file = -1

    def _put(self, sync: bool = False) -> None:
        """Writes the pending bytes; after an error the file ends with a complete record and the bytes stay pending."""
        if self._pending:
            rest = memoryview(self._pending)
            place = self._size
            try:
                while rest:
                    done = write_at(self._file, rest, place)
                    rest, place = rest[done:], place + done
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
            self._unsynced.append(self._pending)
            self._pending, self._size = b"", place
        if sync or time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def _sync(self) -> None:
        """Syncs the file; after an error all writes since the last sync are repeated: the disk may have lost them."""
        try:
            sync(self._file)
        except OSError:
            self._pending = b"".join(self._unsynced) + self._pending
            self._unsynced.clear()
            os.ftruncate(self._file, self._synced_size)
            self._size = self._synced_size
            raise
        self._unsynced.clear()
        self._synced_size = self._size
        self._synced = time.monotonic()

    def _close_segment(self) -> None:
        """Packs the file into a segment and empties it; when that fails, the file continues to grow."""
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
            if not place.exists():  # otherwise the segment is complete, and the file must be emptied
                self._limit = self._size + SEGMENT_BYTES
                return
        os.ftruncate(self._file, 0)
        self._size = self._synced_size = 0
        self._unsynced.clear()
        self._limit = SEGMENT_BYTES


def write_at(descriptor: int, data: memoryview, offset: int) -> int:
    """Writes at an offset, also on systems without `pwrite`; returns the number of bytes written."""
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
    """Flushes a file's content to disk."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(folder: Path) -> None:
    """Flushes a folder's entries to disk, where the system allows it."""
    if os.name == "nt":
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def release(lock: BaseFileLock) -> None:
    """Removes the lock's file and releases the lock, in this order, so that no driver locks a removed file."""
    with contextlib.suppress(OSError):  # some systems do not remove open files; an empty file stays
        os.unlink(lock.lock_file)
    lock.release()


def try_lock(file: Path) -> BaseFileLock | None:
    """Lock a journal; returns None where the file system has no locks.

    Raises:
        JournalTaken: when another driver holds the lock.
        JournalError: when it cannot be created.
    """
    lock = lock_of(file)
    try:
        lock.acquire(timeout=PROBE_SECONDS)  # another process may hold it for a moment to check it
    except Timeout:
        raise lease_conflict(file, FileLeaseStore(lease_file(file))) from None
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS):
            raise JournalError(file, f"The journal cannot be locked: {reason(error)}.") from error
        return None
    return lock

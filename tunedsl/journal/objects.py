"""Writes a journal at an fsspec address, where objects cannot be appended to: each flush writes a new object.

Small objects are packed into larger ones, so that their number grows with the logarithm of the number of records.
Events without commands may stay in memory for a moment; a crash loses those, and the trial reports them again.
Reading is in `journal.reader`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, StorageError
from tunedsl.base.retry import JournalRetry, print_to_stderr
from tunedsl.journal.lease import Lease
from tunedsl.journal.location import Address, file_system, reconnect, write_object
from tunedsl.journal.segments import Segment, chain, lines_of, name_of, packed, segments_in
from tunedsl.journal.writer import SETTLE_SECONDS, MemoryWriter
from tunedsl.kernel.commands import Command
from tunedsl.kernel.events import Event, Reported, Started

MAX_BATCH: Final = 32
"""Number of objects of the same level that are packed into one."""
CLOSED_BYTES: Final = 2**22
"""Unpacked bytes from which an object is not packed again."""
LINGER_SECONDS: Final = 1.0
"""How long events without commands may stay in memory."""
LINGER_BYTES: Final = 2**20
LEASE_OBJECT: Final = "journal.hold"


@attrs.define
class _OpenObject:
    """An object that may still be packed with others.

    Attributes:
        first, last: numbers of its first and last record.
        content: its lines.
        level: how many times its lines were packed.
    """

    first: int
    last: int
    content: bytes
    level: int


class ObjectWriter(MemoryWriter):
    """Writes a journal as numbered, immutable objects.

    Args:
        folder: the address of the journal's segments.
        count: how many records it has already.
        notify: receives a message when the run waits for the storage and when it continues.

    Raises:
        JournalError: when another driver holds the lease, or the storage does not answer.
    """

    def __init__(self, folder: Address, count: int = 0, notify: Callable[[str], None] = print_to_stderr) -> None:
        super().__init__()
        self.count = count
        self._folder = folder
        self._retry = JournalRetry(f"the journal {folder.parent}", notify)
        self._notify = notify
        self._open: list[_OpenObject] = []
        self._urgent = self._begun = False
        self._bytes = 0
        self._flushed = time.monotonic()
        try:
            self._lease = Lease(folder.parent, ObjectLeaseStore(folder.parent / LEASE_OBJECT), SETTLE_SECONDS)
        except (OSError, StorageError) as error:
            raise JournalError(
                folder.parent, f"The lease of the experiment cannot be taken: {reason(error)}."
            ) from error
        self._reopen_objects()

    def set_cancel_check(self, is_cancelled: Callable[[], bool]) -> None:
        """Sets what ends a wait for storage that fails."""
        self._retry.set_cancel_check(is_cancelled)

    def event(self, event: Event, commands: Sequence[Command]) -> None:
        super().event(event, commands)
        plain = isinstance(event, Started) or (isinstance(event, Reported) and not (event.ends or event.saved))
        self._urgent = self._urgent or bool(commands) or not plain
        self._bytes += len(self.lines[-1])

    def copy(self, line: bytes) -> None:
        super().copy(line)
        self._urgent = True

    def flush(self) -> bool:
        """Store the collected records, unless they may wait for more.

        It waits while the storage fails, except in a writer's first flush: a run that cannot begin should not wait.

        Returns:
            Whether it had to wait.

        Raises:
            JournalError: when they could not be stored.
        """
        if not self.lines or not (self._urgent or self._due()):
            return False
        self._lease.check()
        return self._store(lambda error: self._begun)

    def close(self) -> None:
        """Stores the remaining records without retries, packs the open objects, and releases the lease."""
        first = self.count - len(self.lines)
        try:
            if self.lines:
                self._store(lambda error: False)
            if len(self._open) > 1:
                self._pack(self._open)
        except JournalError as error:
            self._notify(f"{reason(error)}; no record from {first} is stored, and none took effect")
        finally:
            self._lease.release()

    def _due(self) -> bool:
        waited = time.monotonic() - self._flushed
        return not self._begun or waited >= LINGER_SECONDS or self._bytes >= LINGER_BYTES

    def _store(self, is_retryable: Callable[[Exception], bool]) -> bool:
        piece = _OpenObject(self.count - len(self.lines), self.count - 1, b"".join(self.lines), 0)
        place = self._folder / name_of(piece.first, piece.last)
        try:
            waited = self._retry.call(lambda: self._put(place, piece.content), is_retryable)
        except Exception as error:
            raise JournalError(
                place, f"The journal cannot be written: {type(error).__name__}: {reason(error)}.", piece.first
            ) from error
        self.lines.clear()
        self._bytes, self._urgent, self._begun = 0, False, True
        self._flushed = time.monotonic()
        self._open.append(piece)
        while len(self._open) >= MAX_BATCH and self._open[-MAX_BATCH].level == self._open[-1].level:
            if not self._pack(self._open[-MAX_BATCH:]):
                break
        return waited

    def _put(self, place: Address, content: bytes) -> None:
        try:
            write_object(place, content)
        except Exception:
            reconnect(place)
            raise

    def _pack(self, pieces: list[_OpenObject]) -> bool:
        """Packs consecutive objects into one; returns False and changes nothing when that fails."""
        merged = _OpenObject(
            pieces[0].first, pieces[-1].last, b"".join(piece.content for piece in pieces), pieces[-1].level + 1
        )
        try:
            self._put(self._folder / name_of(merged.first, merged.last, packed=True), packed(merged.content))
        except Exception:
            return False
        for piece in pieces:
            with contextlib.suppress(Exception):  # readers skip what the new object covers
                remove(self._folder / name_of(piece.first, piece.last, packed=piece.level > 0))
        del self._open[-len(pieces) :]
        if len(merged.content) < CLOSED_BYTES:
            self._open.append(merged)
        else:
            self._open.clear()  # earlier objects stay unchanged: only neighbours are packed
        return True

    def _reopen_objects(self) -> None:
        """Removes leftovers of an earlier driver, and reopens its last unpacked objects for packing."""
        if not self.count:
            return
        found = segments_in(self._folder)
        used = list(chain(found))
        for segment in set(found) - set(used):
            remove(segment.place)
        tail: list[Segment] = []
        while used and not used[-1].packed:
            tail.insert(0, used.pop())
        self._open = [_OpenObject(item.first, item.last, b"".join(lines_of(item, item.first)), 0) for item in tail]


class ObjectLeaseStore:
    """Stores a lease in an object; the storage's clock tells its age."""

    def __init__(self, place: Address) -> None:
        self._place = place

    def read(self) -> bytes | None:
        with _as_os_error():
            files, path = file_system(self._place)
            try:
                return bytes(files.cat_file(path))
            except FileNotFoundError:
                return None

    def write(self, data: bytes) -> None:
        with _as_os_error():
            write_object(self._place, data)

    def age(self) -> float:
        with _as_os_error():
            files, path = file_system(self._place)
            files.invalidate_cache()
            written = files.modified(path).timestamp()
            probe = Address(f"{self._place}.now")
            try:
                write_object(probe, b"")
                now = files.modified(file_system(probe)[1]).timestamp()
                remove(probe)
            except Exception:
                now = time.time()  # without write access, use this machine's clock
            return float(now - written)

    def remove(self) -> None:
        with contextlib.suppress(Exception):
            remove(self._place)


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def remove(place: object) -> None:
    """Removes an object; a missing one is not an error."""
    files, path = file_system(str(place))
    with contextlib.suppress(FileNotFoundError):
        files.rm_file(path)

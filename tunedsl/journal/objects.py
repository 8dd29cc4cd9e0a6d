"""Writes a journal where no lock decides who may write it, at an fsspec address or in a folder.

Each flush writes a new object, whose name carries the epoch of its driver. It succeeds only if the driver's claim still
exists after the write: what a driver wrote after another one had taken the journal over is never acted on
(`journal.epochs`). Small objects are packed into larger ones, so that their number grows with the logarithm of the
number of records. Events without commands may stay in memory for a moment; a crash loses those, and the trial reports
them again. Reading is in `journal.reader`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, JournalTaken, StorageError
from tunedsl.base.retry import JournalRetry, print_to_stderr
from tunedsl.journal.epochs import EpochLease
from tunedsl.journal.location import Address, Location, reconnect
from tunedsl.journal.segments import Segment, chain, lines_of, name_of, packed, segments_in
from tunedsl.journal.small_files import remove_object, write_object
from tunedsl.journal.writer import MemoryWriter
from tunedsl.kernel.commands import Command
from tunedsl.kernel.events import Event, Reported, Started

MAX_BATCH: Final = 32
"""Number of objects of the same level that are packed into one."""
CLOSED_BYTES: Final = 2**22
"""Unpacked bytes from which an object is not packed again."""
LINGER_SECONDS: Final = 1.0
"""How long events without commands may stay in memory."""
LINGER_BYTES: Final = 2**20


@attrs.define
class _OpenObject:
    """An object that may still be packed with others.

    Attributes:
        first, last: numbers of its first and last record.
        content: its lines.
        level: how many times its lines were packed.
        place: where it is.
        previous: the epoch of the object before it.
    """

    first: int
    last: int
    content: bytes
    level: int
    place: Location
    previous: int


class ObjectWriter(MemoryWriter):
    """Writes a journal as numbered, immutable objects.

    Args:
        folder: the folder or address of the journal's segments.
        count: how many records it has already.
        notify: receives a message when the run waits for the storage and when it continues.
        unclosed: reads the records that a driver with a lock has left in the journal's file, after the segments.

    Raises:
        JournalTaken: when another driver holds the lease, or has written to the journal since it was read.
        JournalError: when the storage does not answer.
    """

    def __init__(
        self,
        folder: Location,
        count: int = 0,
        notify: Callable[[str], None] = print_to_stderr,
        unclosed: Callable[[int], bytes] = lambda first: b"",
    ) -> None:
        super().__init__()
        self._folder = folder
        self._retry = JournalRetry(f"the journal {folder.parent}", notify)
        self._notify = notify
        self._open: list[_OpenObject] = []
        self._urgent = self._begun = self._is_fenced = False
        self._bytes = 0
        self._flushed = time.monotonic()
        self._lease = EpochLease(folder.parent)
        self._previous = self._lease.epoch
        try:
            self._reopen(unclosed)
            if self.count != count:
                text = "Another driver has written to the journal since it was read."
                raise JournalTaken(folder.parent, text, hint="run it again")
        except BaseException:
            self._lease.release()
            raise

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
        return self._store(lambda error: self._begun)

    def close(self) -> None:
        """Stores the remaining records without retries, packs the open objects, and releases the lease."""
        first = self.count - len(self.lines)
        try:
            if self.lines and not self._is_fenced:
                self._store(lambda error: False)
            if len(self._open) > 1 and not self._is_fenced:
                self._pack(self._open)
        except JournalTaken:
            raise
        except JournalError as error:
            self._notify(f"{reason(error)}; no record from {first} is stored, and none took effect")
        finally:
            self._lease.release()

    def abandon(self) -> None:
        """Stop renewing the lease without releasing it, as a driver does that sleeps or was killed."""
        self._lease.abandon()

    def _due(self) -> bool:
        waited = time.monotonic() - self._flushed
        return not self._begun or waited >= LINGER_SECONDS or self._bytes >= LINGER_BYTES

    def _store(self, is_retryable: Callable[[Exception], bool]) -> bool:
        piece = self._new_object(self.count - len(self.lines), self.count - 1, b"".join(self.lines), 0, self._previous)
        try:
            waited = self._retry.call(
                lambda: self._put(piece.place, piece.content),
                lambda error: is_retryable(error) and not isinstance(error, JournalTaken),
            )
        except JournalTaken:
            self._is_fenced = True
            raise
        except Exception as error:
            raise JournalError(
                piece.place, f"The journal cannot be written: {type(error).__name__}: {reason(error)}.", piece.first
            ) from error
        self.lines.clear()
        self._bytes, self._urgent, self._begun = 0, False, True
        self._flushed = time.monotonic()
        self._previous = self._lease.epoch
        self._open.append(piece)
        while len(self._open) >= MAX_BATCH and self._open[-MAX_BATCH].level == self._open[-1].level:
            if not self._pack(self._open[-MAX_BATCH:]):
                break
        return waited

    def _new_object(self, first: int, last: int, content: bytes, level: int, previous: int) -> _OpenObject:
        name = name_of(first, last, level > 0, self._lease.epoch, previous)
        return _OpenObject(first, last, content, level, self._folder / name, previous)

    def _put(self, place: Location, content: bytes) -> None:
        """Writes an object, and verifies that no other driver had taken the journal over before it was there."""
        try:
            write_object(place, content)
            self._lease.check()
        except JournalTaken:
            raise
        except Exception:
            if isinstance(place, Address):
                reconnect(place)
            raise

    def _pack(self, pieces: list[_OpenObject]) -> bool:
        """Packs consecutive objects into one; returns False and changes nothing when that fails."""
        content = b"".join(piece.content for piece in pieces)
        merged = self._new_object(pieces[0].first, pieces[-1].last, content, pieces[-1].level + 1, pieces[0].previous)
        try:
            self._put(merged.place, packed(content))
        except Exception:
            return False
        for piece in pieces:
            with contextlib.suppress(Exception):  # readers skip what the new object covers
                remove_object(piece.place)
        del self._open[-len(pieces) :]
        if len(merged.content) < CLOSED_BYTES:
            self._open.append(merged)
        else:
            self._open.clear()  # earlier objects stay unchanged: only neighbours are packed
        return True

    def _reopen(self, unclosed: Callable[[int], bytes]) -> None:
        try:
            self._reopen_objects(unclosed)
        except (OSError, StorageError) as error:
            self._lease.check()  # a later driver may have packed what this one reads
            raise JournalError(self._folder, f"The journal cannot be read: {reason(error)}.") from error

    def _reopen_objects(self, unclosed: Callable[[int], bytes]) -> None:
        """Counts the records, writes the last ones again in this epoch, and reopens unpacked objects for packing.

        After that all readers, this driver among them, follow this epoch. So what earlier drivers left can be removed.
        """
        found = segments_in(self._folder)
        used = list(chain(found))
        if used:
            self.count, self._previous = used[-1].end + 1, used[-1].epoch
        first, content = self.count, b"" if any(segment.epoch for segment in used) else unclosed(self.count)
        if used and not content:
            first, content = self.count - 1, b"".join(lines_of(used[-1], self.count - 1))
            self._previous = used[-1].previous if used[-1].first == first else used[-1].epoch
        if not content:
            return
        self.count = first + content.count(b"\n")
        seal = self._new_object(first, self.count - 1, content, 0, self._previous)
        self._put(seal.place, content)
        found.append(Segment(seal.first, seal.last, seal.place, False, self._lease.epoch, self._previous))
        self._previous = self._lease.epoch
        used = list(chain(found))
        kept = {segment.place for segment in used}
        for segment in found:
            if segment.place not in kept:
                remove_object(segment.place)
        while used and not used[-1].packed:
            last = used.pop()
            lines = b"".join(lines_of(last, last.first))
            self._open.insert(0, _OpenObject(last.first, last.end, lines, 0, last.place, last.previous))

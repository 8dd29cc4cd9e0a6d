"""Segments: immutable files that each hold a range of consecutive records.

A closed segment is packed by gzip. A segment that another one covers is a leftover of packing and is skipped, as is
what a driver wrote after another one had taken its journal over (`journal.epochs`). Segments are written atomically, so
one that does not match its name is damaged. Decoding records is in `journal.records`.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, Final

import attrs

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, StorageError
from tunedsl.journal.location import Address, Location, file_system, leads_inside
from tunedsl.journal.small_files import list_names

MAX_LINE: Final = 2**28
"""Maximum bytes of one record; a longer line is not read to its end."""
READ_BYTES: Final = 2**24
"""Size in bytes up to which an object is fetched in one request."""
PACKING: Final = 3
"""The gzip level; higher ones take more time and save little."""
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_OPEN_FLAGS: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""A flag that the system lacks is 0."""

_NAME = re.compile(r"([0-9]{12,18})-([0-9]{12,18})(?:\.([0-9]{1,9})\.([0-9]{1,9}))?\.jsonl(\.gz)?")


@attrs.frozen
class Segment:
    """A segment.

    Attributes:
        first, last: the numbers of its first and last record.
        place: where it is.
        packed: whether it is packed.
        epoch: the epoch of the driver that wrote it.
        previous: the epoch of the segment before it, as its driver read the journal.
        end: the last record that belongs to the journal; a later epoch may continue before `last`.
        within: a folder that it must be in, also where links lead; None for any place.
    """

    first: int
    last: int
    place: Location
    packed: bool
    epoch: int = 0
    previous: int = 0
    end: int = attrs.field()
    within: Path | None = None

    @end.default
    def _whole(self) -> int:
        return self.last


def name_of(first: int, last: int, packed: bool = False, epoch: int = 0, previous: int = 0) -> str:
    """The file name of a segment.

    >>> name_of(0, 41, packed=True)
    '000000000000-000000000041.jsonl.gz'
    >>> name_of(42, 50, epoch=2, previous=1)
    '000000000042-000000000050.2.1.jsonl'
    """
    epochs = f".{epoch}.{previous}" if epoch else ""
    return f"{first:012d}-{last:012d}{epochs}.jsonl{'.gz' if packed else ''}"


def segments_in(folder: Location, within: Path | None = None) -> list[Segment]:
    """The segments in a folder, unordered; an empty list when there is no such folder.

    Args:
        folder: the folder.
        within: a folder that they must be in when they are read.

    Raises:
        JournalError: when the folder cannot be listed.
    """
    try:
        names = list_names(folder)
    except StorageError as error:
        raise _unreachable(folder, error) from error
    except Exception as error:
        raise JournalError(folder, f"The folder cannot be listed: {type(error).__name__}: {reason(error)}.") from error
    found = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None and int(match[1]) <= int(match[2]):
            first, last, epoch, previous = (int(number or 0) for number in match.groups()[:4])
            found.append(Segment(first, last, folder / name, match[5] is not None, epoch, previous, within=within))
    return found


def chain(segments: Iterable[Segment], start: int = 0) -> Iterator[Segment]:
    """The segments with the records from number `start`, in order.

    The newest epoch decides which records those before it have, also where an earlier driver wrote further, or wrote
    after it had lost its claim.

    Raises:
        JournalError: where records are missing, or two segments of an epoch overlap.
    """
    position, found = start, list(segments)
    ordered = reversed(_backwards(found, start)) if any(item.epoch for item in found) else sorted(found, key=_order)
    for segment in ordered:
        if segment.last < position:
            continue  # packed into an earlier one
        if segment.first > position:
            raise JournalError(segment.place, f"The records {position} to {segment.first - 1} are missing.", position)
        if segment.first < position != start:
            raise JournalError(
                segment.place, f"The segment repeats records of an earlier one, from {segment.first}.", position
            )
        yield segment
        position = segment.end + 1


def _order(segment: Segment) -> tuple[int, int, bool]:
    return segment.first, -segment.last, not segment.packed


def _backwards(segments: Iterable[Segment], start: int) -> list[Segment]:
    """The segments from the newest record back to `start`; each names the epoch of the one before it.

    The epochs that were met on the way wrote whatever precedes. Of the segments with a record, the longest counts:
    packing left the others. Where records are missing, it continues with the last ones before the gap.
    """
    by_first = sorted(segments, key=_order)
    reaches = list(accumulate((item.last for item in by_first), max))  # how far the segments up to each one go
    firsts = [item.first for item in by_first]
    found: list[Segment] = []
    epochs: set[int] = set()

    def covering(record: int) -> Segment | None:
        best = None
        for index in range(bisect_right(firsts, record) - 1, -1, -1):
            if reaches[index] < record:
                break
            if by_first[index].last >= record and by_first[index].epoch in epochs:
                best = by_first[index]
        return best

    def newest_before(record: int) -> Segment | None:
        """The tip: of the newest epoch, the segment that goes furthest."""
        left = [item for item in by_first if item.first < record]
        return max(left, key=lambda item: (item.epoch, min(item.last, record - 1), -item.first), default=None)

    record = reaches[-1] + 1 if reaches else 0
    while record > start:
        before = covering(record - 1) if found else None
        before = newest_before(record) if before is None else before
        if before is None or before.last < start:
            break
        overlaps = found and found[-1].epoch == before.epoch and before.last >= found[-1].first
        found.append(before if overlaps else attrs.evolve(before, end=min(before.last, record - 1)))
        epochs |= {before.epoch, before.previous}
        record = before.first
    return found


def lines_of(segment: Segment, start: int) -> Iterator[bytes]:
    """The lines of a segment from record `start`, each with its newline.

    Raises:
        FileNotFoundError: when it no longer exists, since a driver has packed it into another.
        JournalError: when it does not match its name.
    """
    number = segment.first
    try:
        with open_location(segment.place, segment.within) as raw, _unpacked(raw, segment.packed) as file:
            for number in range(segment.first, segment.end + 1):
                line = file.readline(MAX_LINE)
                if not line.endswith(b"\n"):
                    raise JournalError(segment.place, "The segment ends before the last record in its name.", number)
                if number >= start:
                    yield line
            if segment.end == segment.last and file.read(1):
                raise JournalError(
                    segment.place, "The segment continues after the last record in its name.", segment.last
                )
    except FileNotFoundError:
        raise
    except (EOFError, zlib.error, OSError) as error:
        raise JournalError(segment.place, f"The segment cannot be read: {reason(error)}.", number) from error


@contextmanager
def _unpacked(raw: IO[bytes], packed: bool) -> Iterator[IO[bytes]]:
    if not packed:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw) as file:
        yield io.BufferedReader(file)


@contextmanager
def open_location(place: Location, within: Path | None = None) -> Iterator[IO[bytes]]:
    """Open a regular file or an object for reading; a file must be in the folder `within`, if that is given.

    Raises:
        FileNotFoundError: when it does not exist.
        JournalError: when it is not a regular file, is elsewhere, or the storage does not answer.
    """
    if isinstance(place, Path):
        with open_regular(place, within=within) as local:
            yield local
        return
    try:
        remote = _fetched(place)
    except FileNotFoundError:
        raise
    except StorageError as error:
        raise _unreachable(place, error) from error
    except Exception as error:
        raise JournalError(place, f"The segment cannot be read: {type(error).__name__}: {reason(error)}.") from error
    with remote:
        yield remote


def _fetched(place: Address) -> Any:
    files, path = file_system(place)
    if files.size(path) <= READ_BYTES:
        return io.BytesIO(files.cat_file(path))
    return files.open(path, "rb")


def open_regular(path: Path, follow_links: bool = True, within: Path | None = None) -> IO[bytes]:
    """Open a regular local file for reading; a pipe could block and a device might not end.

    Args:
        path: the file.
        follow_links: whether it may be a symbolic link.
        within: a folder that it must be in, also where links lead.

    Raises:
        JournalError: for anything but a regular file, and for one that is not in the folder.
    """
    if within is not None:
        real, follow_links = Path(os.path.realpath(path)), False
        if not leads_inside(within, real):
            raise JournalError(path, f"A symbolic link leads out of {within}.")
        path = real  # what was checked is what is opened
    file = os.open(path, os.O_RDONLY | _OPEN_FLAGS | (0 if follow_links else _NO_FOLLOW))
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise JournalError(path, "The journal is not a regular file.")
    return os.fdopen(file, "rb")


def packed(content: bytes) -> bytes:
    """The content of a closed segment with these lines; equal lines give equal bytes."""
    return gzip.compress(content, PACKING, mtime=0)


def _unreachable(place: Location, error: StorageError) -> JournalError:
    message, _, hint = str(error).partition("\n  help: ")
    return JournalError(place, message, hint=hint)

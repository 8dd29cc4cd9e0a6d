"""Segments: immutable files that each hold a range of consecutive records.

A closed segment is packed by gzip. A segment that another one covers is a leftover of packing and is skipped. Segments
are written atomically, so one that does not match its name is damaged. Decoding records is in `journal.records`.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import attrs

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, StorageError
from tunedsl.journal.location import Address, Location, file_system

MAX_LINE: Final = 2**28
"""Maximum bytes of one record; a longer line is not read to its end."""
READ_BYTES: Final = 2**24
"""Size in bytes up to which an object is fetched in one request."""
PACKING: Final = 3
"""The gzip level; higher ones take more time and save little."""
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_OPEN_FLAGS: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""A flag that the system lacks is 0."""

_NAME = re.compile(r"([0-9]{12,18})-([0-9]{12,18})\.jsonl(\.gz)?")


@attrs.frozen
class Segment:
    """A segment: the numbers of its first and last record, its location, and whether it is packed."""

    first: int
    last: int
    place: Location
    packed: bool


def name_of(first: int, last: int, packed: bool = False) -> str:
    """The file name of a segment.

    >>> name_of(0, 41, packed=True)
    '000000000000-000000000041.jsonl.gz'
    """
    return f"{first:012d}-{last:012d}.jsonl{'.gz' if packed else ''}"


def segments_in(folder: Location) -> list[Segment]:
    """The segments in a folder, unordered; an empty list when there is no such folder.

    Raises:
        JournalError: when the folder cannot be listed.
    """
    try:
        names = _at(folder) if isinstance(folder, Address) else os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except StorageError as error:
        raise _unreachable(folder, error) from error
    except Exception as error:
        raise JournalError(folder, f"The folder cannot be listed: {type(error).__name__}: {reason(error)}.") from error
    found = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None and int(match[1]) <= int(match[2]):
            found.append(Segment(int(match[1]), int(match[2]), folder / name, match[3] is not None))
    return found


def _at(folder: Address) -> list[str]:
    files, path = file_system(folder)
    files.invalidate_cache()
    return [item["name"].rpartition("/")[2] for item in files.ls(path, detail=True)]


def chain(segments: Iterable[Segment], start: int = 0) -> Iterator[Segment]:
    """The segments with the records from number `start`, in order.

    Raises:
        JournalError: where records are missing, or two segments overlap.
    """
    position = start
    for segment in sorted(segments, key=lambda item: (item.first, -item.last, not item.packed)):
        if segment.last < position:
            continue
        if segment.first > position:
            raise JournalError(segment.place, f"The records {position} to {segment.first - 1} are missing.", position)
        if segment.first < position != start:
            raise JournalError(
                segment.place, f"The segment repeats records of an earlier one, from {segment.first}.", position
            )
        yield segment
        position = segment.last + 1


def lines_of(segment: Segment, start: int) -> Iterator[bytes]:
    """The lines of a segment from record `start`, each with its newline.

    Raises:
        FileNotFoundError: when it no longer exists, since a driver has packed it into another.
        JournalError: when it does not match its name.
    """
    number = segment.first
    try:
        with open_location(segment.place) as raw, _unpacked(raw, segment.packed) as file:
            for number in range(segment.first, segment.last + 1):
                line = file.readline(MAX_LINE)
                if not line.endswith(b"\n"):
                    raise JournalError(segment.place, "The segment ends before the last record in its name.", number)
                if number >= start:
                    yield line
            if file.read(1):
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
def open_location(place: Location) -> Iterator[IO[bytes]]:
    """Open a regular file or an object for reading.

    Raises:
        FileNotFoundError: when it does not exist.
        JournalError: when it is not a regular file, or the storage does not answer.
    """
    if isinstance(place, Path):
        with open_regular(place) as local:
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


def open_regular(path: Path, follow_links: bool = True) -> IO[bytes]:
    """Open a regular local file for reading; a pipe could block and a device might not end.

    Raises:
        JournalError: for anything but a regular file.
    """
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

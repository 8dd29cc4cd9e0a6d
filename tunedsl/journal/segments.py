"""Segments: files that hold the records from one number to another, and never change once they are written.

A closed segment is packed (gzip). One that another covers is left over from packing, and passed over.
A segment appears whole or not at all, so one that is not what its name says is damage.
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

from tunedsl.base.errors import JournalError, StorageError
from tunedsl.journal.location import Address, Location, file_system

MAX_LINE: Final = 2**28
"""Bytes that one record may take; a longer line is no record, and is not read to its end."""
READ_BYTES: Final = 2**24
"""Bytes up to which an object is fetched in one piece."""
PACKING: Final = 3
"""The level of gzip: beyond it, time grows faster than what it saves."""
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_OPEN_FLAGS: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags that POSIX or Windows lacks are 0 there."""

_NAME = re.compile(r"([0-9]{12,18})-([0-9]{12,18})\.jsonl(\.gz)?")


@attrs.frozen
class Segment:
    """One file: its records' first and last number, where it is, and whether it is packed."""

    first: int
    last: int
    place: Location
    packed: bool


def name_of(first: int, last: int, packed: bool = False) -> str:
    """The name of a segment's file.

    >>> name_of(0, 41, packed=True)
    '000000000000-000000000041.jsonl.gz'
    """
    return f"{first:012d}-{last:012d}.jsonl{'.gz' if packed else ''}"


def segments_in(folder: Location) -> list[Segment]:
    """The segments in a folder, in no order; none where there is no such folder.

    Raises:
        JournalError: when the folder cannot be listed.
    """
    try:
        names = _at(folder) if isinstance(folder, Address) else os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except StorageError as error:
        raise JournalError(folder, str(error)) from error
    except Exception as error:
        raise JournalError(folder, f"cannot be listed: {type(error).__name__}: {error}") from error
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
    """The segments that hold the records from `start` on, in order.

    Raises:
        JournalError: where records are missing, or two segments overlap.
    """
    position = start
    for segment in sorted(segments, key=lambda item: (item.first, -item.last, not item.packed)):
        if segment.last < position:
            continue
        if segment.first > position:
            raise JournalError(
                segment.place, f"records {position} to {segment.first - 1} are missing before it", position
            )
        if segment.first < position != start:
            raise JournalError(segment.place, f"holds records that stand before it, from {segment.first} on", position)
        yield segment
        position = segment.last + 1


def lines_of(segment: Segment, start: int) -> Iterator[bytes]:
    """The lines of a segment from record `start` on, each with its newline.

    Raises:
        FileNotFoundError: when it is gone: packed into another, if a driver is at work.
        JournalError: when it does not hold what its name says.
    """
    number = segment.first
    try:
        with open_location(segment.place) as raw, _unpacked(raw, segment.packed) as file:
            for number in range(segment.first, segment.last + 1):
                line = file.readline(MAX_LINE)
                if not line.endswith(b"\n"):
                    raise JournalError(segment.place, "ends here, before the last record that its name says", number)
                if number >= start:
                    yield line
            if file.read(1):
                raise JournalError(segment.place, "goes on behind the last record that its name says", segment.last)
    except FileNotFoundError:
        raise
    except (EOFError, zlib.error, OSError) as error:
        raise JournalError(segment.place, f"cannot be read: {error}", number) from error


@contextmanager
def _unpacked(raw: IO[bytes], packed: bool) -> Iterator[IO[bytes]]:
    if not packed:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw) as file:
        yield io.BufferedReader(file)


@contextmanager
def open_location(place: Location) -> Iterator[IO[bytes]]:
    """A file for reading; whatever else has its name (a device, a pipe) is refused.

    Raises:
        FileNotFoundError: when it is not there.
        JournalError: when it is no file, or the storage does not answer.
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
        raise JournalError(place, str(error)) from error
    except Exception as error:
        raise JournalError(place, f"cannot be read: {type(error).__name__}: {error}") from error
    with remote:
        yield remote


def _fetched(place: Address) -> Any:
    files, path = file_system(place)
    if files.size(path) <= READ_BYTES:
        return io.BytesIO(files.cat_file(path))
    return files.open(path, "rb")


def open_regular(path: Path, follow_links: bool = True) -> IO[bytes]:
    """Opens a local file for reading, if it is a regular file: a pipe would block, a device need not end.

    Raises:
        JournalError: for anything but a regular file.
    """
    file = os.open(path, os.O_RDONLY | _OPEN_FLAGS | (0 if follow_links else _NO_FOLLOW))
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise JournalError(path, "is not a regular file")
    return os.fdopen(file, "rb")


def packed(content: bytes) -> bytes:
    """What a closed segment of these lines holds; equal for equal lines."""
    return gzip.compress(content, PACKING, mtime=0)

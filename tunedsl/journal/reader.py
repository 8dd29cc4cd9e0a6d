"""Reads a journal, also while it is being written.

A last line without a newline is a torn tail, which a crash cut short: it is skipped and counted in `torn`. Any other
invalid line is damage, and raises an error that names the record. Following a growing journal is in `journal.tail`.
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Final

import msgspec

from tunedsl.base import codec
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import CodecError, JournalError
from tunedsl.journal.epochs import has_epochs
from tunedsl.journal.location import Address, Location, location_of
from tunedsl.journal.records import FORMAT, DamagedRecord, Header, Line, from_line
from tunedsl.journal.segments import MAX_LINE, Segment, chain, lines_of, open_regular, segments_in
from tunedsl.kernel.amending import plan_after
from tunedsl.kernel.events import Amended, DigestView, Event
from tunedsl.plan import Plan

JOURNAL_FILE = "journal.jsonl"
SEGMENTS = "journal"
"""The folder of an experiment's segments."""
TRIES: Final = 5
"""How many times a journal is listed while a driver packs it."""

_pack = msgspec.json.Encoder().encode
_AMENDED: Final = b'"e":["amended",'
MIN_AMENDED_BYTES: Final = 48
"""The first bytes of a line, among which an amendment's tag is."""
_NUMBER = re.compile(rb'\{"n":([0-9]{1,18})[,}]')


def journal_file(path: str | os.PathLike[str]) -> Path:
    """The journal file of an experiment's local folder; a journal file is returned unchanged."""
    path = Path(path)
    return path / JOURNAL_FILE if path.is_dir() or path.suffix != ".jsonl" else path


def segment_folder(journal: Location) -> Location:
    """The folder of a journal's segments."""
    return journal if isinstance(journal, Address) else journal.with_suffix("")


def in_epochs(file: Path) -> bool:
    """Whether a driver has taken a local journal without a lock: then segments hold all records."""
    return has_epochs(file.parent) and any(segment.epoch for segment in segments_in(segment_folder(file)))


class Journal:
    """A journal in a folder, at an address, or in memory.

    Args:
        source: an experiment's folder or address, a journal file, or lines in memory.
        within: a folder that its files must be in, also where links lead; None for any place.

    Attributes:
        path: the journal's file; at an address its folder of segments.
        torn: bytes of a torn tail; known once all records were read.
        size: bytes of complete records in the journal's file; known once all records were read.
        file_bytes: bytes of the journal's file when it was read.
    """

    def __init__(self, source: str | os.PathLike[str] | list[bytes], within: Path | None = None) -> None:
        self._within = within
        self._lines = source if isinstance(source, list) else None
        self.path: Location
        if isinstance(source, list):
            self.path = Path("memory")
        else:
            place = location_of(source)
            self.path = place / SEGMENTS if isinstance(place, Address) else journal_file(place)
        self.torn = self.size = self.file_bytes = 0

    @property
    def folder(self) -> Location:
        """The experiment's folder, or its address."""
        return self.path if self._lines is not None else self.path.parent

    def records(self) -> Iterator[Line]:
        """All records, the header first; after the last one, `torn` is set.

        Raises:
            JournalError: when a record is damaged, which it names, or there is no journal.
        """
        number = 0
        for raw, place in self.raw():
            line = _decoded(raw, place, number)
            if number == 0 and (line.h is None or line.h.format > FORMAT):
                newer = "" if line.h is None else f"The journal has format {line.h.format}, newer than {FORMAT}."
                hint = "read it with a newer tunedsl" if newer else ""
                raise JournalError(place, newer or "The journal does not begin with a header.", 0, hint)
            number += 1
            yield line
        if number == 0:
            raise JournalError(self.path, "The journal has no record.")

    def raw(self) -> Iterator[tuple[bytes, Location]]:
        """All lines, not decoded, each with its file; without a torn tail.

        Raises:
            JournalError: when there is no journal, or records are missing.
        """
        if self._lines is not None:
            yield from ((line, self.path) for line in self._lines)
        elif isinstance(self.path, Address) or in_epochs(self.path):
            yield from self._segments_in(segment_folder(self.path))
        else:
            position = 0
            try:
                for item in self._local(self.path):
                    position += 1
                    yield item
            except JournalError:
                if not in_epochs(self.path):
                    raise
                yield from self._segments_in(segment_folder(self.path), position)  # taken over while it was read

    def _segments_in(self, folder: Location, position: int = 0) -> Iterator[tuple[bytes, Location]]:
        before = None
        for _ in range(TRIES):
            found = segments_in(folder, self._within)
            if not found:
                raise JournalError(folder, "There is no journal here.")
            if before is not None and set(found) == before:
                break
            before = set(found)
            try:
                for segment in chain(found, position):
                    for line in lines_of(segment, position):
                        yield line, segment.place
                        position += 1
                return
            except FileNotFoundError:
                continue  # a driver has packed it: list again
        raise JournalError(
            folder, "The journal changes faster than it can be read, or listed objects do not exist.", position
        )

    def _local(self, path: Path) -> Iterator[tuple[bytes, Location]]:
        """The lines of closed segments, then of the journal's file, which a driver may be moving into a new segment."""
        position, size, folder = 0, 0, segment_folder(path)
        found = segments_in(folder, self._within)
        for _ in range(TRIES):
            for segment in chain(found, position):
                for line in _segment_lines(segment, position):
                    yield line, segment.place
                    position += 1
            with _LocalFile(path, position, self._within) as tail:
                if tail.first > position or tail.emptied():
                    before, found = found, segments_in(folder, self._within)
                    if found != before:
                        continue
                    raise JournalError(path, f"The records {position} to {tail.first - 1} are missing.", position)
                if tail.first < position:
                    self._stale_local_records(path, found, tail.first)
                    self.size = self.torn = 0
                    self.file_bytes = path.stat().st_size
                    return
                for line in tail.lines():
                    position += 1
                    size += len(line)
                    yield line, path
                if not position and not tail.exists:
                    below = any(path.parent.glob(f"*/{path.name}"))
                    text = "There is no journal here, but in subfolders." if below else "There is no journal here."
                    raise JournalError(path, text, hint=f"tunedsl list {path.parent}" if below else "")
                if not tail.emptied():
                    self.size, self.torn, self.file_bytes = size, tail.torn, size + tail.torn
                    return
                size, found = 0, segments_in(folder, self._within)
        raise JournalError(path, "The journal changes faster than it can be read.", position)

    def _stale_local_records(self, path: Path, segments: list[Segment], first: int) -> None:
        """Accepts a file that repeats a closed segment: the driver ended before it emptied the file."""
        for segment in segments:
            if segment.first == first:
                checksum = 0
                for line in _segment_lines(segment, first):
                    checksum = zlib.crc32(line, checksum)
                with open_regular(path, within=self._within) as file:
                    if zlib.crc32(file.read(MAX_LINE)) == checksum:
                        return
        raise JournalError(path, f"The journal begins with record {first}, which is already in a segment.", first)

    @cached_property
    def header(self) -> Header:
        """The first record."""
        line = next(iter(self.records()))
        assert line.h is not None  # `records` refuses anything else
        return line.h

    @cached_property
    def first_plan(self) -> Plan:
        """The plan in the header; its functions are not imported."""
        try:
            plan: Plan = codec.decode(self.header.plan)
            is_valid = isinstance(plan, Plan) and plan.digest == self.header.digest
        except (CodecError, RecursionError) as error:
            raise JournalError(self.path, f"The plan cannot be read: {reason(error)}.", 0) from error
        if not is_valid:
            raise JournalError(self.path, "The plan does not have the digest in the header.", 0)
        return plan

    @cached_property
    def plan(self) -> Plan:
        """The plan at the journal's end: the last amendment, or else the first plan."""
        plan = self.first_plan
        for number, event in self.amendments():
            try:
                plan = plan_after(plan, event)
            except (CodecError, RecursionError) as error:
                raise JournalError(self.path, f"The plan cannot be read: {reason(error)}.", number) from error
        return plan

    def picked(self, numbers: Iterable[int]) -> Iterator[Line]:
        """The records with some numbers, which ascend; no other record is decoded."""
        wanted = iter(numbers)
        following = next(wanted, None)
        for number, (raw, place) in enumerate(self.raw()):
            if following is None:
                return
            if number == following:
                yield _decoded(raw, place, number)
                following = next(wanted, None)

    def amendments(self) -> Iterator[tuple[int, Amended]]:
        """The amendments, each with the number of its record; no other record is decoded."""
        for number, (raw, place) in enumerate(self.raw()):
            if _AMENDED in raw[:MIN_AMENDED_BYTES]:
                try:
                    event = from_line(raw[:-1], number).e
                except DamagedRecord as error:
                    raise JournalError(place, f"The plan cannot be read: {reason(error)}.", number) from error
                if isinstance(event, Amended):
                    yield number, event

    def events(self) -> Iterator[Event]:
        """All events, in order."""
        return (line.e for line in self.records() if line.e is not None)

    @property
    def digest(self) -> str:
        """A digest of the plan and all events without their times, as 32 hex digits.

        Under `order("logical")` it is the same for every run of a plan, on any engine.
        """
        running = Digest(self.header)
        for event in self.events():
            running.add(event)
        return running.text


class Digest:
    """Computes a journal's digest from its events, one by one."""

    def __init__(self, header: Header) -> None:
        self._running = hashlib.blake2b(header.digest.encode(), digest_size=16)
        self._timeless = DigestView()

    def add(self, event: Event) -> None:
        """Adds the next event."""
        seen = self._timeless.view(event)
        if seen is not None:
            self._running.update(_pack(seen))

    @property
    def text(self) -> str:
        """The digest as 32 hex digits."""
        return self._running.hexdigest()


class _LocalFile:
    """A journal's file, with the records after the last closed segment.

    Attributes:
        first: the record number in its first line; `position` when it has none.
        exists: whether the file exists.
        torn: bytes after the last complete line; known once all lines were read.
    """

    def __init__(self, path: Path, position: int, within: Path | None = None) -> None:
        self._path, self._read = path, 0
        self.first, self.torn = position, 0
        self._file: IO[bytes] | None = None
        try:
            self._file = open_regular(path, within=within)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise JournalError(path, f"The journal cannot be read: {reason(error)}.") from error
        self.exists = self._file is not None
        if self._file is not None:
            match = _NUMBER.match(self._file.read(32))
            self.first = position if match is None else int(match[1])
            self._file.seek(0)

    def __enter__(self) -> _LocalFile:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def emptied(self) -> bool:
        """Whether the file is now shorter than what was read of it."""
        return self._file is not None and os.fstat(self._file.fileno()).st_size < self._read

    def lines(self) -> Iterator[bytes]:
        """The complete lines."""
        if self._file is None:
            return
        try:
            while line := self._file.readline(MAX_LINE):
                if not line.endswith(b"\n"):
                    if len(line) >= MAX_LINE:
                        raise JournalError(self._path, f"The journal has a line of more than {MAX_LINE:,} bytes.")
                    self.torn = len(line)
                    return
                self._read += len(line)
                yield line
        except OSError as error:
            raise JournalError(self._path, f"The journal cannot be read: {reason(error)}.") from error


def _decoded(raw: bytes, place: Location, number: int) -> Line:
    """A record; raises `JournalError` that names it when it is damaged."""
    try:
        return from_line(raw[:-1], number)
    except DamagedRecord as damage:
        raise JournalError(place, str(damage), number) from None


def _segment_lines(segment: Segment, start: int) -> Iterator[bytes]:
    """The lines of a local segment."""
    try:
        yield from lines_of(segment, start)
    except FileNotFoundError as error:
        raise JournalError(segment.place, "A listed segment does not exist.", start) from error


def unclosed_lines(file: Path, first: int) -> bytes:
    """The complete lines of a local journal's file from record `first` on."""
    with _LocalFile(file, first) as tail:
        lines = b"".join(tail.lines()) if tail.first <= first else b""
    return b"".join(lines.splitlines(keepends=True)[first - tail.first :])

"""Follows a journal that is being written, and returns each complete record once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO, Final

from tunedsl.base.errors import JournalError, JournalTaken
from tunedsl.journal.location import Address, Location
from tunedsl.journal.reader import Journal, in_epochs, segment_folder
from tunedsl.journal.records import DamagedRecord, Line, from_line
from tunedsl.journal.segments import Segment, chain, lines_of, open_regular, segments_in

MAX_BYTES: Final = 4 * 2**20
"""Maximum bytes of one read, to limit the memory for a long journal."""
MAX_LINES: Final = 10_000
"""Lines after which a read from segments ends with the current segment."""
TRIES: Final = 5
"""Number of failed reads, as while a driver packs the file, after which the journal counts as damaged."""

_NUMBER = re.compile(rb'\{"n":([0-9]{1,18})[,}]')


class Tail:
    """Reads the new records of a growing journal.

    Reading continues at the last offset of the file. When a driver has emptied the file, a closed segment has its
    records. At an address all records are in segments.

    Args:
        source: an experiment's folder or address, or its journal file.
        within: a folder that the journal's files must be in, also where links lead; None for any place.

    Attributes:
        count: how many records were read.
    """

    def __init__(self, source: str | os.PathLike[str], within: Path | None = None) -> None:
        self._within = within
        self._path: Location = Journal(source).path
        self.count = 0
        self._position = 0  # where the file is read next
        self._before = b""  # the record before it in the file, if that was read
        self._last, self._epoch = b"", 0  # the last record that was read, and the epoch of its driver
        self._failures: list[str] = []

    def read(self) -> list[Line]:
        """The next records; an empty list when there are no new ones.

        Raises:
            JournalTaken: when another driver has taken the journal over, and records that were read do not belong to it
                any more; no driver acted on them. Or when the journal was cut or replaced by another one. A new tail
                reads the journal from its start.
            JournalError: when a record is damaged, which it names, or there is no journal.
        """
        if isinstance(self._path, Address) or in_epochs(self._path):
            lines = self._closed(segment_folder(self._path))
        else:
            found = self._open(self._path)
            lines = self._resumed(self._path) if found is None else found
        self.count += len(lines)
        return lines

    def _open(self, path: Path) -> list[Line] | None:
        """The new records in the file, or None when the file does not continue at the last offset."""
        try:
            with open_regular(path, within=self._within) as file:
                if os.fstat(file.fileno()).st_size < self._position:
                    self._failures.append("is shorter than it was")
                    return None
                if not self._continues_in(file):
                    self._failures.append("differs from what was read")
                    return None
                content = file.read(MAX_BYTES)
                if b"\n" not in content and len(content) == MAX_BYTES:
                    content += file.readline()
        except FileNotFoundError:
            self._failures.append("does not exist")
            return None
        *raws, _ = content.split(b"\n")
        found: list[Line] = []
        for raw in raws:
            try:
                found.append(from_line(raw, self.count + len(found)))
            except DamagedRecord as damage:
                self._failures.append(str(damage))
                return None
        self._position += sum(len(raw) + 1 for raw in raws)
        if raws:
            self._last = self._before = raws[-1] + b"\n"
        self._failures.clear()
        return found

    def _continues_in(self, file: IO[bytes]) -> bool:
        """Whether a file still has the record before the last offset, to which the file is moved."""
        file.seek(self._position - len(self._before))
        return file.read(len(self._before)) == self._before

    def _resumed(self, path: Path) -> list[Line]:
        """The next records from newly closed segments, or else from their new offset in the file."""
        lines = self._closed(path.with_suffix(""))
        if not lines:
            found = self._offset(path)
            if len(self._failures) > TRIES:
                if found is None:
                    text = "Records that were read are gone: the journal was cut or replaced."
                    raise JournalTaken(path, text, hint="read it from its start")
                raise JournalError(path, self._failures[0], self.count)
            if found is not None:
                self._position, self._before = found
                lines = self._open(path) or []
        return lines

    def _closed(self, folder: Location) -> list[Line]:
        """The next records in segments."""
        found: list[Line] = []
        segments, before = segments_in(folder, self._within), max(self.count - 1, 0)
        is_read_before = self.count == 0 or not any(segment.epoch for segment in segments)
        try:
            for segment in chain(segments, before):
                is_read_before = is_read_before or self._continues(segment, before)
                if not is_read_before:
                    break
                for raw in lines_of(segment, self.count + len(found)):
                    number = self.count + len(found)
                    try:
                        found.append(from_line(raw[:-1], number))
                    except DamagedRecord as damage:
                        raise JournalError(segment.place, str(damage), number) from None
                    self._last, self._epoch = raw, segment.epoch
                if len(found) >= MAX_LINES:
                    break
        except FileNotFoundError:
            return found  # a driver has packed it: the next read finds the new segment
        if not is_read_before:
            text = "Another driver has taken the journal over: records from before are not part of it."
            raise JournalTaken(folder, text, hint="read it from its start")
        return found

    def _continues(self, segment: Segment, number: int) -> bool:
        """Whether a segment has the last record that was read, or its driver packed it."""
        if segment.epoch != self._epoch and next(lines_of(segment, number)) != self._last:
            return False
        self._epoch = segment.epoch
        return True

    def _offset(self, path: Path) -> tuple[int, bytes] | None:
        """The offset of the next record in the journal's file, and the record before; None when read ones are gone."""
        offset, end, before = 0, 0, b""
        if path.exists():
            with open_regular(path, within=self._within) as file:
                for raw in file:
                    match = _NUMBER.match(raw)
                    if match is None or int(match[1]) >= self.count or not raw.endswith(b"\n"):
                        break
                    offset, number = offset + len(raw), int(match[1])
                    if (end and number != end) or (number == self.count - 1 and raw != self._last):
                        return None
                    end, before = number + 1, raw
        if end < self.count and all(
            segment.last < self.count - 1 for segment in segments_in(path.with_suffix(""), self._within)
        ):
            return None
        return offset, before

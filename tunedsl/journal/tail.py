"""Following a journal that is being written: whole records as they come, each once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from tunedsl.base.errors import JournalError
from tunedsl.journal.location import Address, Location
from tunedsl.journal.reader import Journal
from tunedsl.journal.records import DamagedRecord, Line, from_line
from tunedsl.journal.segments import chain, lines_of, open_regular, segments_in

MAX_BYTES: Final = 4 * 2**20
"""Of one read, so that a long journal is never in memory as a whole."""
MAX_LINES: Final = 10_000
"""Of one read from segments, apart from the rest of the last one."""
TRIES: Final = 5
"""How often the journal's file may not go on where it should, while a driver packs it, before that is damage."""

_NUMBER = re.compile(rb'\{"n":([0-9]{1,18})[,}]')


class Tail:
    """The records of a journal behind those that were read.

    A journal's file is read on from where it was. Where a driver has emptied it meanwhile, the closed segment has what
    stood there. At an address all records are in segments.

    Args:
        source: an experiment's folder or address, or its journal file.

    Attributes:
        count: how many records were read.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        self._path: Location = Journal(source).path
        self.count = 0
        self._at = 0
        self._failures: list[str] = []

    def read(self) -> list[Line]:
        """The next records; empty when there are none yet.

        Raises:
            JournalError: naming the record at fault, or when there is no journal.
        """
        if isinstance(self._path, Address):
            lines = self._closed(self._path)
        else:
            found = self._open(self._path)
            lines = self._resumed(self._path) if found is None else found
        self.count += len(lines)
        return lines

    def _open(self, path: Path) -> list[Line] | None:
        """What the file has behind the last record; None where it does not go on from there."""
        try:
            with open_regular(path) as file:
                if os.fstat(file.fileno()).st_size < self._at:
                    self._failures.append("is shorter than it was")
                    return None
                file.seek(self._at)
                content = file.read(MAX_BYTES)
                if b"\n" not in content and len(content) == MAX_BYTES:
                    content += file.readline()
        except FileNotFoundError:
            self._failures.append("is not there")
            return None
        *raws, _ = content.split(b"\n")
        found: list[Line] = []
        for raw in raws:
            try:
                found.append(from_line(raw, self.count + len(found)))
            except DamagedRecord as damage:
                self._failures.append(str(damage))
                return None
        self._at += sum(len(raw) + 1 for raw in raws)
        self._failures.clear()
        return found

    def _resumed(self, path: Path) -> list[Line]:
        """The next records from segments that were closed meanwhile, else from where they stand in the file now."""
        lines = self._closed(path.with_suffix(""))
        if not lines:
            if len(self._failures) > TRIES:
                raise JournalError(path, self._failures[0], self.count)
            self._at = self._offset(path)
            lines = self._open(path) or []
        return lines

    def _closed(self, folder: Location) -> list[Line]:
        """The next records that segments hold."""
        found: list[Line] = []
        try:
            segments = [segment for segment in segments_in(folder) if segment.last >= self.count]
            first = min((segment.first for segment in segments), default=self.count)
            if first > self.count:
                raise JournalError(folder, f"records {self.count} to {first - 1} are missing", self.count)
            for segment in chain(segments, first):
                for raw in lines_of(segment, self.count + len(found)):
                    number = self.count + len(found)
                    try:
                        found.append(from_line(raw[:-1], number))
                    except DamagedRecord as damage:
                        raise JournalError(segment.place, str(damage), number) from None
                if len(found) >= MAX_LINES:
                    break
        except FileNotFoundError:
            pass  # a driver has packed it meanwhile: the next look finds it under another name
        return found

    def _offset(self, path: Path) -> int:
        """Where the next record stands, or will stand, in the journal's file."""
        at = 0
        if path.exists():
            with open_regular(path) as file:
                for raw in file:
                    match = _NUMBER.match(raw)
                    if match is None or int(match[1]) >= self.count or not raw.endswith(b"\n"):
                        break
                    at += len(raw)
        return at

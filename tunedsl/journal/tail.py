"""Following a journal that is being written: whole records as they come, each once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from tunedsl.base.errors import JournalError
from tunedsl.journal.places import Address
from tunedsl.journal.reader import Journal
from tunedsl.journal.records import Damage, Line, from_line
from tunedsl.journal.segments import chain, lines_of, segments_in

MOST_BYTES: Final = 4 * 2**20
"""Of one read, so that a long journal is never in memory as a whole."""
MOST_LINES: Final = 10_000
"""Of one read where the journal's file does not go on from what was read."""

_NUMBER = re.compile(rb'\{"n":([0-9]{1,18})[,}]')


class Tail:
    """The records of a journal behind those that were read.

    The journal's file is read on from where it was. Where a driver has emptied it meanwhile, because what stood there
    is in a closed segment, the whole journal is gone through once more to find the place. At an address, the objects
    that are new are fetched.

    Args:
        source: an experiment's folder or address, or its journal file.

    Attributes:
        count: how many records were read.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        self._source = source
        path = Journal(source).path
        self._address = path if isinstance(path, Address) else None
        self._path = path if isinstance(path, Path) else None
        self.count = 0
        self._at = 0
        self._whole: Iterator[Line] | None = None

    def read(self) -> list[Line]:
        """The next records; empty when there are none yet.

        Raises:
            JournalError: naming the record at fault, or when there is no journal.
        """
        lines = self._fetched(self._address) if self._address is not None else None
        if lines is None and self._whole is None:
            lines = self._next()
        if lines is None:
            lines = self._search()
        self.count += len(lines)
        return lines

    def _next(self) -> list[Line] | None:
        """What the file has behind the last record; None where it does not go on from there."""
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._at:
                    return None
                file.seek(self._at)
                content = file.read(MOST_BYTES)
                if b"\n" not in content and len(content) == MOST_BYTES:
                    content += file.readline()
        except FileNotFoundError:
            return None
        *raws, _ = content.split(b"\n")
        found: list[Line] = []
        for raw in raws:
            try:
                found.append(from_line(raw, self.count + len(found)))
            except Damage:
                return None
        self._at += sum(len(raw) + 1 for raw in raws)
        return found

    def _fetched(self, address: Address) -> list[Line]:
        """The next records, from the objects that hold them."""
        found: list[Line] = []
        try:
            for segment in chain(segments_in(address), self.count):
                for raw in lines_of(segment, self.count + len(found)):
                    number = self.count + len(found)
                    try:
                        found.append(from_line(raw[:-1], number))
                    except Damage as damage:
                        raise JournalError(segment.place, str(damage), number) from None
                if len(found) >= MOST_LINES:
                    break
        except FileNotFoundError:
            pass  # a driver has packed it meanwhile: the next look finds it under another name
        return found

    def _search(self) -> list[Line]:
        """The next records by way of all that stands before them."""
        if self._whole is None:
            self._whole = islice(Journal(self._source).records(), self.count, None)
        found = list(islice(self._whole, MOST_LINES))
        if not found:
            self._whole = None
            self._at = self._offset(self.count)
        return found

    def _offset(self, number: int) -> int:
        """Where a record stands, or will stand, in the journal's file."""
        at = 0
        if self._path is not None and self._path.exists():
            with self._path.open("rb") as file:
                for raw in file:
                    match = _NUMBER.match(raw)
                    if match is None or int(match[1]) >= number or not raw.endswith(b"\n"):
                        break
                    at += len(raw)
        return at

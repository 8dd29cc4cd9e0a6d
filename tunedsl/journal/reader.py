"""Reading a journal back, also while it is being written.

A last line without its newline is a torn tail: the write that a crash cut short. It is passed
over, and `torn` says so. Anything else that does not fit is damage, refused with its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import msgspec

from tunedsl.base import codec
from tunedsl.base.errors import CodecError, JournalError
from tunedsl.journal.records import FORMAT, Damage, Header, Line, from_line
from tunedsl.kernel.events import Event, timeless
from tunedsl.plan import Plan

JOURNAL_FILE = "journal.jsonl"

_pack = msgspec.json.Encoder().encode


def journal_file(path: str | Path) -> Path:
    """The journal of an experiment's folder; a journal file stands for itself."""
    path = Path(path)
    return path / JOURNAL_FILE if path.is_dir() or path.suffix != ".jsonl" else path


class Journal:
    """A journal on disk or in memory.

    Args:
        source: an experiment's folder, a journal file, or lines in memory.
    """

    def __init__(self, source: str | Path | list[bytes]) -> None:
        self._lines = source if isinstance(source, list) else None
        self.path = Path("memory") if isinstance(source, list) else journal_file(source)
        self.torn = 0

    def records(self) -> Iterator[Line]:
        """All records from the header on; `torn` counts the bytes of a torn tail after that.

        Raises:
            JournalError: naming the record at fault, or when there is no journal.
        """
        for line, _ in self.placed():
            yield line

    def placed(self) -> Iterator[tuple[Line, int]]:
        """All records, each with the offset in bytes at which it ends."""
        end = number = 0
        self.torn = 0
        for raw in self._raw():
            if not raw.endswith(b"\n"):
                self.torn = len(raw)
                break
            try:
                line = from_line(raw[:-1], number)
            except Damage as damage:
                raise JournalError(self.path, str(damage), number) from None
            if number == 0 and (line.h is None or line.h.format > FORMAT):
                found = "no header" if line.h is None else f"format {line.h.format}"
                raise JournalError(self.path, f"{found}: expected a header of format {FORMAT} or older", 0)
            end += len(raw)
            number += 1
            yield line, end
        if number == 0:
            raise JournalError(self.path, "holds no record")

    def _raw(self) -> Iterable[bytes]:
        if self._lines is not None:
            yield from self._lines
            return
        try:
            with self.path.open("rb") as file:
                yield from file
        except FileNotFoundError:
            raise JournalError(self.path, "there is no journal here") from None

    @cached_property
    def header(self) -> Header:
        """The first record."""
        line = next(iter(self.records()))
        assert line.h is not None  # `placed` refuses anything else
        return line.h

    @cached_property
    def plan(self) -> Plan:
        """The plan that the journal is of; its functions are not imported."""
        try:
            plan = codec.decode(self.header.plan)
        except CodecError as error:
            raise JournalError(self.path, f"the plan cannot be read: {error}", 0) from error
        if not isinstance(plan, Plan) or plan.digest != self.header.digest:
            raise JournalError(self.path, "the plan does not have the digest that the header gives", 0)
        return plan

    def events(self) -> Iterator[Event]:
        """What happened, in order."""
        return (line.e for line in self.records() if line.e is not None)

    @property
    def digest(self) -> str:
        """32 hex digits over the plan and all events, timings aside.

        Under `order("logical")` it is equal for every run of the same plan on any engine.
        """
        running = hashlib.blake2b(self.header.digest.encode(), digest_size=16)
        for event in self.events():
            running.update(_pack(timeless(event)))
        return running.hexdigest()

"""Begins a journal with the records of another one, its parent, and verifies the shared records.

The header names the parent, the last shared record, and the digest of the parent's journal up to that record. `fold`
compares this digest with that of the records that it reads. The parent is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import attrs
import msgspec

from tunedsl.base.diagnostics import reason, with_help
from tunedsl.base.errors import JournalError, wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.journal.reader import Digest, Journal
from tunedsl.journal.records import Header, Line
from tunedsl.journal.writer import Writer
from tunedsl.kernel.events import Proposed

FORK: Final = "fork"
"""The entry of a header's provenance."""
_BATCH: Final = 10_000
_TRIAL: Final = re.compile(r"trial (.+)")


class Parent(msgspec.Struct, frozen=True):
    """Where a run was forked from.

    Attributes:
        run: the parent's folder or address.
        record: the number of the last shared record.
        digest: the digest of the parent's journal up to that record.
        parent: the run from which the parent was forked, if any.
    """

    run: str
    record: int
    digest: str
    parent: Parent | None = None


def parent_of(header: Header) -> Parent | None:
    """Where a run was forked from; None for any other run.

    Raises:
        ValueError: when the header's entry is not valid.
    """
    found = header.provenance.get(FORK)
    return None if found is None else msgspec.convert(found, Parent)


class PrefixCheck:
    """Compares the digest of a forked journal's beginning with the one in its header.

    Args:
        journal: the journal.

    Raises:
        JournalError: when the header's entry is not valid.
    """

    def __init__(self, journal: Journal) -> None:
        self._path = journal.path
        header = journal.header
        try:
            self._parent = parent_of(header)
        except ValueError as error:
            raise JournalError(journal.path, f"The fork's parent cannot be read: {reason(error)}.", 0) from error
        self._digest = Digest(header)
        self._last = 0

    @property
    def is_open(self) -> bool:
        """Whether the shared records are not yet complete."""
        return self._parent is not None

    def add(self, line: Line) -> None:
        """Add the next record.

        Raises:
            JournalError: at the last shared record, when the digest differs.
        """
        if self._parent is None:
            return
        self._last = line.n
        if line.e is not None:
            self._digest.add(line.e)
        if line.n == self._parent.record:
            parent, self._parent = self._parent, None
            if self._digest.text != parent.digest:
                text = f"Records 0 to {line.n} are not those of {parent.run}, from which the run was forked."
                raise JournalError(self._path, text, line.n)

    def close(self) -> None:
        """End the check at the journal's end.

        Raises:
            JournalError: when shared records are missing.
        """
        if self._parent is not None:
            parent = self._parent
            text = f"The journal has {self._last + 1} of the {parent.record + 1} records of its parent."
            raise JournalError(self._path, with_help(text, f"fork {parent.run} again"), self._last)


@attrs.frozen
class ForkPoint:
    """A moment of a run: its last record, and the digest of the journal up to that record."""

    record: int
    digest: str


def fork_point(journal: Journal, at: int | str | None) -> ForkPoint:
    """The moment of a run that an argument names.

    Args:
        journal: the parent's journal, which may be damaged after the moment.
        at: the number of the last record to share; `"trial 17"` for the moment before that trial was proposed, by its
            number or id; None for the journal's end.

    Raises:
        ArgumentError: when there is no such record or trial.
        JournalError: when the journal is damaged before that moment.
    """
    digest, last, names = Digest(journal.header), 0, list[str]()
    named = None if not isinstance(at, str) else _TRIAL.fullmatch(at.strip())
    if isinstance(at, bool) or (isinstance(at, str) and named is None) or (isinstance(at, int) and at < 0):
        raise wrong_value("fork.at", at, 'the number of a record, such as 120, or "trial 17"')
    for line in journal.records():
        if line.n == at:
            if line.e is not None:
                digest.add(line.e)
            return ForkPoint(line.n, digest.text)
        if named is not None and isinstance(line.e, Proposed):
            if named[1] in (line.e.name, str(line.e.trial)):
                return ForkPoint(last, digest.text)
            names.append(line.e.name)
        if line.e is not None:
            digest.add(line.e)
        last = line.n
    if at is None:
        return ForkPoint(last, digest.text)
    hint = did_you_mean(named[1], names) if named is not None else f"the last record is {last}"
    raise wrong_value("fork.at", at, "a record or trial of the run", hint)


def write_fork(journal: Journal, point: ForkPoint, writer: Writer, provenance: dict[str, Any]) -> None:
    """Write a journal that begins with the records of another one.

    Args:
        provenance: of the new journal; the parent is added.
    """
    header = journal.header
    parent = Parent(str(journal.folder), point.record, point.digest, parent_of(header))
    entry = {FORK: msgspec.to_builtins(parent)}
    writer.header(Header(header.format, header.plan, header.digest, {**provenance, **entry}))
    for number, raw in enumerate(_shared_lines(journal, point)):
        writer.copy(raw)
        if number % _BATCH == 0:
            writer.flush()
    writer.flush()


def _shared_lines(journal: Journal, point: ForkPoint) -> Iterator[bytes]:
    return (raw for raw, _ in islice(journal.raw(), 1, point.record + 1))

"""A journal at an address in memory, which the drivers of a simulated cluster take over from each other.

A driver that sleeps wakes after its successor has written, and writes again; a write that was on its way when its
driver died arrives then. Neither may change the journal. What else fails is drawn in `testing.simulation.cluster`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

import attrs

from tunedsl.base.errors import JournalTaken
from tunedsl.journal import Address, Journal, file_system
from tunedsl.journal.objects import ObjectWriter
from tunedsl.journal.reader import SEGMENTS
from tunedsl.testing.invariants import InvariantViolated

MAX_WRITES: Final = 6
"""After how many writes of later drivers a late one happens, at most."""


@attrs.define
class _LateWrite:
    """Lines that a driver has not yet written when it loses the journal, and the number of writes until it does."""

    writer: ObjectWriter
    lines: Sequence[bytes]
    is_asleep: bool
    left: int


class SharedStore:
    """The journal of one experiment, with the late writes of its earlier drivers."""

    def __init__(self) -> None:
        self._folder = Address(f"memory://tunedsl-{secrets.token_hex(8)}")
        self._late: list[_LateWrite] = []
        self._writer: ObjectWriter | None = None

    def take_over(self, count: int) -> None:
        """Continue as a new driver, after `count` records; the one before no longer renews its lease."""
        if self._writer is not None:
            self._writer.abandon()
        self._writer = ObjectWriter(self._folder / SEGMENTS, count)

    def write(self, lines: Sequence[bytes]) -> None:
        """Write lines as the current driver; late writes of earlier ones may come first."""
        assert self._writer is not None  # each driver takes the journal over before it writes
        for late in self._late:
            late.left -= 1
        for late in [late for late in self._late if late.left <= 0]:
            self._late.remove(late)
            _write_late(late)
        _write(self._writer, lines)

    def delay(self, lines: Sequence[bytes], is_asleep: bool, amount: float) -> None:
        """Lose the current driver in a write.

        Args:
            is_asleep: whether the driver writes later itself; otherwise it is dead and its write is on its way.
            amount: how late it is, from 0 to 1.
        """
        assert self._writer is not None
        self._late.append(_LateWrite(self._writer, lines, is_asleep, 1 + round(amount * (MAX_WRITES - 1))))

    def check(self, lines: Sequence[bytes]) -> None:
        """Compare the journal with all that its drivers have acted on, and remove it.

        Raises:
            InvariantViolated: when a record differs.
        """
        for late in self._late:
            _write_late(late)
        stored = [line for line, _ in Journal(str(self._folder)).raw()]
        if stored != [*lines]:
            first = next(
                (at for at, pair in enumerate(zip(stored, lines, strict=False)) if pair[0] != pair[1]),
                min(len(stored), len(lines)),
            )
            text = f"the journal has {len(stored)} records, its drivers acted on {len(lines)}, and {first} differs"
            raise InvariantViolated("nothing_acknowledged_is_lost", text, first)
        if self._writer is not None:
            self._writer.abandon()
        files, root = file_system(self._folder)
        files.rm(root, recursive=True)


def _write(writer: ObjectWriter, lines: Sequence[bytes]) -> None:
    for line in lines:
        writer.copy(line)
    writer.flush()


def _write_late(late: _LateWrite) -> None:
    try:
        _write(late.writer, late.lines)
    except JournalTaken:
        return
    if late.is_asleep:
        raise InvariantViolated(
            "nothing_acts_before_it_is_written", "a driver that had lost its journal continued after a write", 0
        )

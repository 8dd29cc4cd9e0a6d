"""One line of a journal: a JSON object that ends with a checksum of the rest.

A line is the header (`h`, only in line 0), an event with the commands it caused (`e`, `c`), or a mark (`m`), which has
no effect on decisions. Files and segments are in other modules.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import msgspec

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import TunedslError
from tunedsl.base.names import is_portable
from tunedsl.base.types import Json
from tunedsl.kernel.commands import Command, DeleteCheckpoints
from tunedsl.kernel.events import CapacityChanged, Event, Failed, Proposed, Reported, Saved

FORMAT: Final = 1
"""The version of the format; readers also accept all older ones."""

MAX_WIDTH: Final = 1_000_000
"""Largest number of concurrent and advance trials in a journal; it bounds how many proposals are requested at once."""
MAX_INT_DIGITS: Final = 2**64
"""Integers in a journal have a smaller absolute value."""


class Header(msgspec.Struct, frozen=True):
    """The first record.

    Attributes:
        plan: the plan as canonical JSON data.
        digest: the plan's digest.
        format: version of the journal's format.
        provenance: package versions, commit, platform and script of the first driver.
    """

    format: int
    plan: Json
    digest: str
    provenance: dict[str, Any]


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A driver has `opened` the journal (when, where, on which engine) or `closed` it (why), or a `note` for users.

    Of asked trials, `repeated` counts the reports that one has repeated after a retry: number, attempt and iteration.
    `told` names a request to tell, so that it is not handled twice. Its effect is `repeated` in the same mark, or it is
    the next event of the trial `trial`; without that event the write was cut short, and nothing was told.
    """

    opened: dict[str, Any] | None = None
    closed: str | None = None
    note: str | None = None
    repeated: tuple[int, int, int] | None = None
    told: str | None = None
    trial: int | None = None


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record: its number `n` and one of header, event with commands, or mark."""

    n: int
    h: Header | None = None
    m: Mark | None = None
    e: Event | None = None
    c: tuple[Command, ...] = ()


class DamagedRecord(TunedslError):
    """A line differs from what was written."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)
_CHECKSUM: Final = len(b',"k":"00000000"}')


def to_line(line: Line) -> bytes:
    """The bytes of a record, newline included."""
    body = _encoder.encode(line)[:-1]
    return b'%b,"k":"%08x"}\n' % (body, zlib.crc32(body))


def from_line(raw: bytes, number: int) -> Line:
    """Decode a line, given without its newline.

    Raises:
        DamagedRecord: when checksum, structure or number is wrong, or a value is one that no driver writes.
    """
    body, seal = raw[:-_CHECKSUM], raw[-_CHECKSUM:]
    if seal != b',"k":"%08x"}' % zlib.crc32(body):
        raise DamagedRecord("The record's checksum is wrong, because the line was changed after it was written.")
    try:
        line = _decoder.decode(body + b"}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise DamagedRecord(f"The line is not a record of format {FORMAT}: {reason(error)}.") from error
    if line.n != number:
        raise DamagedRecord(f"The record has the number {line.n} instead of {number}.")
    _check(line)
    return line


def _check(line: Line) -> None:
    """Checks what the types do not: a journal is untrusted input, so names stay in its folder and sizes are bounded."""
    event = line.e
    if (line.h is not None) + (line.m is not None) + (event is not None) != 1 or (line.c and event is None):
        raise DamagedRecord("The record does not hold exactly one of header, event and mark.")
    if line.n and line.h is not None:
        raise DamagedRecord("Only record 0 may hold a header.")
    if isinstance(event, Reported):
        _check_report(event)
    elif isinstance(event, Proposed):
        if event.name and not is_portable(event.name):
            raise DamagedRecord(f"The text {event.name!r:.80} is not a valid name of a trial.")
    elif isinstance(event, Saved):
        _check_folder(event.folder)
    elif isinstance(event, Failed):
        if event.saved:
            _check_folder(event.saved)
    elif isinstance(event, CapacityChanged) and not 0 <= event.width + event.ahead <= MAX_WIDTH:
        raise DamagedRecord(
            f"The event has {event.width} concurrent trials and {event.ahead} in advance, more than {MAX_WIDTH:,}."
        )
    for command in line.c:
        if isinstance(command, DeleteCheckpoints):
            for folder in command.folders:
                _check_folder(folder)


def _check_report(event: Reported) -> None:
    rows, width = event.rows, len(event.keys)
    if not rows or len(event.times) not in (0, len(rows)) or len(event.data) not in (0, len(rows)):
        raise DamagedRecord(f"The event has {len(rows)} rows, {len(event.times)} times and data of {len(event.data)}.")
    for row in rows:
        if len(row) != width:
            raise DamagedRecord(f"A row has {len(row)} numbers for {width} metrics.")
        for item in row:
            if type(item) is not float and not _is_number(item):
                raise DamagedRecord(f"The value {item!r:.80} is not a number.")
    if event.saved:
        _check_folder(event.saved)


def _is_number(item: Any) -> bool:
    return item in _WORDS if isinstance(item, str) else -MAX_INT_DIGITS < item < MAX_INT_DIGITS


_WORDS: Final = frozenset({"nan", "inf", "-inf"})


def _check_folder(folder: str) -> None:
    """Checks that a checkpoint is inside the experiment's folder."""
    if not all(map(is_portable, folder.split("/"))):
        raise DamagedRecord(f"The path {folder!r:.80} is not a checkpoint inside the experiment's folder.")

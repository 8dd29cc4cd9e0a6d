"""One line of a journal: a JSON object that ends with a checksum of all that stands before it.

A line holds one of three: the header (`h`, only in line 0), an event with the commands it gave
(`e`, `c`), or a mark (`m`): a session of a driver that began or ended, which decides nothing.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import msgspec

from tunedsl.base.errors import TunedslError
from tunedsl.base.vocabulary import Json
from tunedsl.kernel.commands import Command
from tunedsl.kernel.events import Event

FORMAT: Final = 1
"""The version of this format; readers keep reading all older ones."""


class Header(msgspec.Struct, frozen=True):
    """The first record.

    Attributes:
        plan: the plan as canonical JSON data.
        digest: the plan's digest.
        provenance: package versions, commit, platform and script of the first driver.
    """

    format: int
    plan: Json
    digest: str
    provenance: dict[str, Any]


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A driver's session `opened` (when, where, by what engine) or `closed` (why), or a `note` for users."""

    opened: dict[str, Any] | None = None
    closed: str | None = None
    note: str | None = None


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record: its number `n` and one of header, event with commands, or mark."""

    n: int
    h: Header | None = None
    m: Mark | None = None
    e: Event | None = None
    c: tuple[Command, ...] = ()


class Damage(TunedslError):
    """A line is not what was written."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)
_SEAL: Final = len(b',"k":"00000000"}')


def to_line(line: Line) -> bytes:
    """The bytes of a record, newline included."""
    body = _encoder.encode(line)[:-1]
    return b'%b,"k":"%08x"}\n' % (body, zlib.crc32(body))


def from_line(raw: bytes, number: int) -> Line:
    """The record that a line (without its newline) holds.

    Raises:
        Damage: when checksum, form or number is not right.
    """
    body, seal = raw[:-_SEAL], raw[-_SEAL:]
    if seal != b',"k":"%08x"}' % zlib.crc32(body):
        raise Damage("the checksum does not fit: the line was changed after it was written")
    try:
        line = _decoder.decode(body + b"}")
    except msgspec.DecodeError as error:
        raise Damage(f"not a record of format {FORMAT}: {error}") from error
    if line.n != number:
        raise Damage(f"stands where record {number} should be, but says it is record {line.n}")
    return line

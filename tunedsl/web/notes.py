"""Notes, stars and tags on a run and its trials, in a file next to the journal. They change no decision."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from typing import Final

import msgspec

from tunedsl.base.errors import TunedslError
from tunedsl.journal import Address, Location, file_system
from tunedsl.journal.small_files import write_object

FILE: Final = "notes.json"
MAX_TEXT: Final = 20_000
"""Characters of a note."""
MAX_TAGS: Final = 20
MAX_TAG: Final = 40
MAX_BYTES: Final = 2 * 2**20
"""Size of the file."""


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a reader wrote about a run or a trial."""

    text: str = ""
    star: bool = False
    tags: tuple[str, ...] = ()


class Notes(msgspec.Struct, frozen=True):
    """The notes on a run, and on its trials by number."""

    run: Note = Note()
    trials: dict[str, Note] = {}


class NoteChanged(TunedslError):
    """Another reader changed the note meanwhile."""


_lock = threading.Lock()
_decode = msgspec.json.Decoder(Notes).decode


def read_notes(place: Location) -> Notes:
    """The notes on a run; empty without a file, or with one that is not valid.

    Args:
        place: the run's folder or address.
    """
    with contextlib.suppress(OSError, msgspec.DecodeError):
        data = _read(place)
        if len(data) <= MAX_BYTES:
            return _decode(data)
    return Notes()


def write_note(place: Location, trial: int | None, note: Note, before: Note) -> Notes:
    """Replace one note.

    Args:
        place: the run's folder or address.
        trial: the trial's number; None for the run's note.
        note: the new note.
        before: the note that the writer saw.

    Raises:
        NoteChanged: when the note is not `before`.
        TunedslError: when it is too long.
        OSError: when it cannot be written.
    """
    if len(note.text) > MAX_TEXT or len(note.tags) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in note.tags):
        raise TunedslError(f"A note has at most {MAX_TEXT:,} characters and {MAX_TAGS} tags of {MAX_TAG} characters.")
    with _lock:
        notes = read_notes(place)
        now = notes.run if trial is None else notes.trials.get(str(trial), Note())
        if now not in (before, note):
            raise NoteChanged("Another reader changed this note meanwhile.\n  help: reload it, then write again")
        trials = notes.trials if trial is None else {**notes.trials, str(trial): note}
        kept = {name: each for name, each in trials.items() if each != Note()}
        made = Notes(note if trial is None else notes.run, kept)
        data = msgspec.json.encode(made)
        if len(data) > MAX_BYTES:
            raise TunedslError(f"The notes on a run have at most {MAX_BYTES:,} bytes.")
        _write(place, data)
        return made


def _read(place: Location) -> bytes:
    if isinstance(place, Address):
        files, path = file_system(place / FILE)
        content: bytes = files.cat_file(path)
        return content
    descriptor = os.open(place / FILE, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)


def _write(place: Location, data: bytes) -> None:
    if isinstance(place, Address):
        write_object(place / FILE, data)
        return
    part = place / f".{FILE}.{secrets.token_hex(4)}"
    part.write_bytes(data)
    part.replace(place / FILE)

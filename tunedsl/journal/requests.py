"""Control requests to a running driver and its replies: small JSON files in a folder next to the journal.

A request is treated as untrusted input: it must be a regular file of at most `MAX_BYTES` with a valid name, and is
decoded strictly. Anything else is moved away and reported. What a request does is decided in the driver.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, TunedslError
from tunedsl.base.types import Json
from tunedsl.journal.segments import open_regular
from tunedsl.kernel.events import Continuation

FOLDER: Final = "requests"
ANSWERS: Final = "answers"
REFUSED: Final = "refused"
POLL_SECONDS: Final = 0.1
"""Seconds between two scans of the folder."""
SETTLED_SECONDS: Final = 2.0
"""How long a changed folder is listed on every scan, since some file systems have coarse time stamps."""
MAX_BYTES: Final = 64 * 1024
MAX_PER_POLL: Final = 100

_NAME = re.compile(r"[0-9]{20}-[0-9a-f]{8}\.json")


class _Request(msgspec.Struct, frozen=True, tag_field="verb", forbid_unknown_fields=True):
    pass


class StopRequest(_Request, frozen=True, tag="stop"):
    """End the experiment, or the trial with this id or number."""

    trial: str | None = None
    text: str = ""


class AddRequest(_Request, frozen=True, tag="add"):
    """Run a configuration, as canonical data, in addition to those of the searcher."""

    config: dict[str, Json]
    text: str = ""


class PauseRequest(_Request, frozen=True, tag="pause"):
    """Free the workers and end the driver, so that the run can be resumed."""

    text: str = ""


class AmendRequest(_Request, frozen=True, tag="amend"):
    """Continue with another plan.

    Attributes:
        before: the digest of the plan that the sender knows.
        changes: the changed fields of the plan, as canonical data.
        ended, defaults, text: as in the event `Amended`.
    """

    before: str
    changes: dict[str, Json]
    ended: Continuation = "continue"
    defaults: dict[str, Json] = {}
    text: str = ""


class AskRequest(_Request, frozen=True, tag="ask"):
    """Assign a trial to an asker, which evaluates it; `asker` is a readable name."""

    asker: str = ""


class TellRequest(_Request, frozen=True, tag="tell"):
    """Report a trial of ask and tell.

    Attributes:
        trial: its number or name, or number and attempt as `17:0`.
        metrics: the metrics of one report, as canonical data; empty for no report.
        ends: whether the trial ends with it.
        failed: why the trial failed, or None.
        checkpoint: a folder to copy as the checkpoint of the report.
    """

    trial: str
    metrics: dict[str, Json] = {}
    ends: bool = True
    failed: str | None = None
    checkpoint: str | None = None


Request = StopRequest | AddRequest | PauseRequest | AmendRequest | AskRequest | TellRequest


class Reply(msgspec.Struct, frozen=True):
    """The driver's reply to a request, with the trial of an `AskRequest` as `data`."""

    accepted: bool
    text: str
    data: dict[str, Json] | None = None


class RequestRefused(TunedslError):
    """A request cannot be carried out; the message says why."""


_decode = msgspec.json.Decoder(Request).decode
_decode_answer = msgspec.json.Decoder(Reply).decode


class Inbox:
    """The driver's side: reads new requests, and answers each one once its effect is in the journal.

    Args:
        root: the experiment's folder.
        notify: receives a message for each refused request.
    """

    def __init__(self, root: Path, notify: Callable[[str], None]) -> None:
        self._folder = root / FOLDER
        self._notify = notify
        self._next = 0.0
        self._changed: tuple[int, float] | None = None

    def take(self) -> Iterator[tuple[str, Request]]:
        """New requests with their names, in order of their time; costs one `lstat` when nothing has changed."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + POLL_SECONDS
        try:
            found = os.lstat(self._folder)
        except OSError:
            return
        if not stat.S_ISDIR(found.st_mode):  # a link could point anywhere
            return
        if self._changed is None or self._changed[0] != found.st_mtime_ns:
            self._changed = found.st_mtime_ns, now
        elif now - self._changed[1] > SETTLED_SECONDS:
            return
        for name in self._names():
            try:
                yield name, _decoded(self._folder / name)
            except RequestRefused as error:
                self.refuse(name, str(error))

    def reply(self, name: str, answer: Reply) -> None:
        """Answers a request and removes it."""
        self._answer(name, answer)
        with contextlib.suppress(OSError):
            os.unlink(self._folder / name)

    def refuse(self, name: str, why: str) -> None:
        """Moves an invalid request away, reports why, and answers it."""
        self._notify(f"{FOLDER}/{name!r:.80}: refused: {why}")
        if _NAME.fullmatch(name):
            self._answer(name, Reply(False, why))
        with contextlib.suppress(OSError):
            away = _folder(self._folder / REFUSED)
            os.rename(self._folder / name, away / f"{secrets.token_hex(4)}-{time.time_ns():020d}")

    def _names(self) -> list[str]:
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            names = (entry.name for entry in entries if entry.name not in (ANSWERS, REFUSED))
            return sorted(islice((name for name in names if not name.startswith(".")), MAX_PER_POLL))
        return []

    def _answer(self, name: str, answer: Reply) -> None:
        with contextlib.suppress(OSError):  # a lost reply does no harm: the journal has the effect
            _write(self._folder / ANSWERS, name, msgspec.json.encode(answer))


def _decoded(path: Path) -> Request:
    """Decodes the request in a file.

    Raises:
        RequestRefused: when it is not a valid request.
    """
    if not _NAME.fullmatch(path.name):
        raise RequestRefused("This is not a valid name of a request.")
    try:
        with open_regular(path, follow_links=False) as file:
            data = file.read(MAX_BYTES + 1)
    except JournalError:
        raise RequestRefused("The request is not a regular file.") from None
    except OSError as error:
        raise RequestRefused(f"The request cannot be read: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise RequestRefused(f"The request has more than {MAX_BYTES:,} bytes.")
    try:
        request: Request = _decode(data)
        return request
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestRefused(f"The file is not a valid request: {reason(error)}.") from None


def send_request(root: Path, request: Request) -> str:
    """Write a request for an experiment's driver, atomically, and return its name.

    Raises:
        RequestRefused: when it is too large.
        OSError: when it cannot be written.
    """
    data = msgspec.json.encode(request)
    if len(data) > MAX_BYTES:
        raise RequestRefused(f"The request has more than {MAX_BYTES:,} bytes.")
    name = f"{time.time_ns():020d}-{secrets.token_hex(4)}.json"
    _write(root / FOLDER, name, data)
    return name


def read_reply(root: Path, name: str) -> Reply | None:
    """Read and remove the driver's reply to a request; None while there is no reply."""
    path = root / FOLDER / ANSWERS / name
    try:
        answer = _decode_answer(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    with contextlib.suppress(OSError):
        path.unlink()
    return answer


def withdraw(root: Path, name: str) -> bool:
    """Withdraw a request; return whether it was still waiting."""
    try:
        (root / FOLDER / name).unlink()
    except OSError:
        return False
    return True


def _folder(path: Path) -> Path:
    """Creates a folder if needed; raises `OSError` for a link, which could point anywhere."""
    path.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        raise NotADirectoryError(str(path))
    return path


def _write(folder: Path, name: str, data: bytes) -> None:
    _folder(folder)
    part = folder / f".{name}.part"
    part.write_bytes(data)
    part.replace(folder / name)

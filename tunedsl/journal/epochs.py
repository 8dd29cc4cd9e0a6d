"""Epochs: who may write a journal where no lock decides, at an address or on a file system without locks.

A driver claims the next epoch by creating a file exclusively, and removes the claims before it; only then it reads the
journal. Each driver acts on a record only if its own claim still exists after the record was written. So each record
that an earlier driver acted on is read by the later one, and what a driver writes without its claim has no effect: the
names of segments carry the epoch, and readers follow the newest one (`journal.segments`).

The newest claim stays when its driver ends, marked as released. A claim also is the driver's lease: it is renewed by a
file next to it, and a lease that is not renewed is stale.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import Any, Final

import msgspec

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, JournalTaken, StorageError
from tunedsl.journal import lease
from tunedsl.journal.lease import LeaseHolder, current_holder, decode_holder, own_leases
from tunedsl.journal.location import Address, Location
from tunedsl.journal.segments import segments_in
from tunedsl.journal.small_files import (
    age_of,
    as_os_error,
    create_object,
    list_names,
    read_file,
    remove_object,
    write_object,
)

EPOCHS: Final = "epochs"
"""The folder of the claims, in the experiment's folder."""
_CLAIM: Final = re.compile(r"[0-9]{6,9}")
_RENEWED: Final = ".renewed"
_NAMING_SECONDS: Final = 0.5
_NAMING_TRIES: Final = 10
"""How long a driver that lost a claim waits to read who won, and how often it looks."""


def has_epochs(folder: Location) -> bool:
    """Whether epochs decide who may write the journal in an experiment's folder."""
    return isinstance(folder, Address) or (folder / EPOCHS).is_dir()


class Claims:
    """The claims of a journal, of which the newest is its lease.

    Args:
        folder: the experiment's folder or address.
    """

    def __init__(self, folder: Location) -> None:
        self.folder: Location = folder / EPOCHS

    def names(self) -> dict[str, int]:
        """The epoch of each file in the folder."""
        with as_os_error():
            found = {name: _CLAIM.match(name) for name in list_names(self.folder)}
        return {name: int(match[0]) for name, match in found.items() if match is not None}

    def place(self, epoch: int) -> Any:
        """The file of a claim."""
        return self.folder / f"{epoch:06d}"

    def renewal(self, epoch: int) -> Any:
        """The file that its driver writes to renew a claim."""
        return self.folder / f"{epoch:06d}{_RENEWED}"

    def newest(self) -> int | None:
        """The newest claimed epoch."""
        return max((epoch for name, epoch in self.names().items() if _CLAIM.fullmatch(name)), default=None)

    def read(self) -> bytes | None:
        """The holder of the newest claim, as data."""
        epoch = self.newest()
        return None if epoch is None else read_file(self.place(epoch), lease.MAX_BYTES)

    def age(self) -> float:
        """Seconds since the newest claim was made or renewed."""
        epoch, ages = self.newest(), [float("inf")]
        if epoch is not None:
            for place in (self.place(epoch), self.renewal(epoch)):
                with contextlib.suppress(FileNotFoundError):
                    ages.append(age_of(place))
        return min(ages)


class EpochLease:
    """A claim of a new epoch, renewed by a thread until it is released.

    Args:
        folder: the experiment's folder or address.

    Attributes:
        epoch: the claimed epoch; larger than all before it.

    Raises:
        JournalTaken: when another driver holds the journal, or claims it at the same moment; it says who.
        JournalError: when the storage does not answer.
    """

    def __init__(self, folder: Location) -> None:
        self._folder, self._claims = folder, Claims(folder)
        self._holder = LeaseHolder.this_process()
        self._released = threading.Event()
        try:
            self.epoch = self._claim()
        except JournalError:
            raise
        except (OSError, StorageError) as error:
            raise JournalError(folder, f"The lease of the experiment cannot be taken: {reason(error)}.") from error
        own_leases.add(self._holder.token)
        self._thread = threading.Thread(target=self._renew, name="tunedsl-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Verify with the storage that no other driver has claimed the journal.

        Raises:
            JournalTaken: when one has; it says who.
            OSError: when the storage does not answer.
        """
        if not self._is_mine():
            found = decode_holder(self._claims.read())
            text = "." if found is None else f": {found}."
            raise JournalTaken(self._folder, f"Another driver has taken over this experiment{text}")

    def abandon(self) -> None:
        """Stop renewing the claim, so that other drivers find it stale."""
        own_leases.discard(self._holder.token)
        self._released.set()
        self._thread.join()

    def release(self) -> None:
        """Mark the claim as released, unless another driver has claimed the journal."""
        self.abandon()
        with contextlib.suppress(OSError, StorageError):
            if self._is_mine():
                released = msgspec.structs.replace(self._holder, released=True)
                write_object(self._claims.place(self.epoch), msgspec.json.encode(released))
            remove_object(self._claims.renewal(self.epoch))

    def _claim(self) -> int:
        other = current_holder(self._claims)
        if other is not None:
            raise self._taken(other)
        written = (segment.epoch for segment in segments_in(self._folder / "journal"))
        first = 0 if isinstance(self._folder, Address) else 1  # readers tell a local segment of an epoch by its name
        epoch = max((*self._claims.names().values(), *written, first - 1)) + 1
        try:
            create_object(self._claims.place(epoch), msgspec.json.encode(self._holder))
        except OSError as error:
            found = decode_holder(read_file(self._claims.place(epoch), lease.MAX_BYTES))
            if found is None and (self._claims.newest() or 0) <= epoch:
                raise
            found = found or decode_holder(self._claims.read())  # a later driver has removed that claim
            if found is None or found.token != self._holder.token:
                raise self._taken(found) from error
        names = self._claims.names()
        if max(names.values(), default=epoch) > epoch:  # this driver was slow: a later one took this epoch as stale
            remove_object(self._claims.place(epoch))
            raise self._taken(self._later_holder())
        for name, earlier in names.items():
            if earlier < epoch:
                place: Any = self._claims.folder
                remove_object(place / name)
        return epoch

    def _later_holder(self) -> LeaseHolder | None:
        """The driver of a later claim, which may be about to write it."""
        for _ in range(_NAMING_TRIES):
            if found := decode_holder(self._claims.read()):
                return found
            time.sleep(_NAMING_SECONDS / _NAMING_TRIES)
        return None

    def _taken(self, holder: LeaseHolder | None) -> JournalTaken:
        who = "." if holder is None else f": {holder}."
        return JournalTaken(self._folder, f"Another driver is running this experiment{who}")

    def _is_mine(self) -> bool:
        found = decode_holder(read_file(self._claims.place(self.epoch), lease.MAX_BYTES))
        return found is not None and found.token == self._holder.token

    def _renew(self) -> None:
        while not self._released.wait(lease.RENEW_SECONDS):
            with contextlib.suppress(OSError, StorageError):  # a write to the journal will tell
                if not self._is_mine():
                    return
                write_object(self._claims.renewal(self.epoch), b"")

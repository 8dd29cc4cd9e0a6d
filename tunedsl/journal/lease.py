"""The lease of an experiment: a small file next to the journal that names the driver, which renews it while it runs.

It belongs to a journal that the file system locks: the lock decides and the lease names the holder. Where no lock
decides, a claim of an epoch is the lease (`journal.epochs`). On the holder's machine its process is looked up; on
others a lease that was not renewed for `STALE_SECONDS` is stale. What a driver does without a lease is the writers'
part.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import threading
import time
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import msgspec
from filelock import BaseFileLock, FileLock

from tunedsl.base.errors import JournalTaken

RENEW_SECONDS: Final = 10.0
"""Seconds between two renewals."""
STALE_SECONDS: Final = 60.0
"""Age of the last renewal, in seconds, after which a lease of another machine is stale."""
MAX_BYTES: Final = 4096

own_leases: set[str] = set()
"""The tokens of the leases that this process holds, of both kinds."""


class LeaseStore(Protocol):
    """Where a lease is read: in a file next to the journal, or the newest claim of an epoch."""

    def read(self) -> bytes | None:
        """The stored bytes, up to `MAX_BYTES`, or None without a lease."""

    def age(self) -> float:
        """Seconds since the last write, by the storage's clock."""


class LeaseHolder(msgspec.Struct, frozen=True):
    """The driver that holds an experiment.

    Attributes:
        host: the machine's name.
        pid: the process id.
        since: local date and time at which the lease was taken.
        machine: identifies the boot and the process id namespace; empty when unknown.
        started: when the process started, in clock ticks since the boot; empty when unknown.
        token: identifies this lease.
        released: whether its driver has ended.
    """

    host: str
    pid: int
    since: str
    machine: str = ""
    started: str = ""
    token: str = ""
    released: bool = False

    @staticmethod
    def this_process() -> LeaseHolder:
        """A new lease of this process."""
        since = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return LeaseHolder(
            platform.node(), os.getpid(), since, machine_id(), process_start_time(os.getpid()), secrets.token_hex(8)
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class FileLeaseStore:
    """Stores a lease in a file next to the journal; the file system's clock tells its age.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        try:
            with self._path.open("rb") as file:
                return file.read(MAX_BYTES)
        except OSError:
            return None

    def write(self, data: bytes) -> None:
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        part.write_bytes(data)
        part.replace(self._path)

    def age(self) -> float:
        probe = self._path.with_name(f"{self._path.name}.{os.getpid()}.now")
        try:
            probe.write_bytes(b"")
            return probe.stat().st_mtime - self._path.stat().st_mtime
        except OSError:
            try:
                return time.time() - self._path.stat().st_mtime
            except OSError:
                return float("inf")
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()


def lease_file(journal: Path) -> Path:
    """The lease file of a local journal."""
    return journal.with_suffix(".hold")


def lock_of(journal: Path) -> BaseFileLock:
    """The lock of a local journal, a separate file: on Windows a locked journal could not be read."""
    return FileLock(journal.with_suffix(".lock"), thread_local=False, fallback_to_soft=False, poll_interval=0.01)


def current_holder(store: LeaseStore) -> LeaseHolder | None:
    """The driver that holds an experiment, as far as this machine can tell, or None."""
    found = last_holder(store)
    return found if found is not None and _is_alive(found, store) else None


def last_holder(store: LeaseStore) -> LeaseHolder | None:
    """The driver whose lease is stored, also when it has ended."""
    return decode_holder(store.read())


def lease_conflict(journal: object, store: LeaseStore) -> JournalTaken:
    """The error for a driver that finds the journal locked."""
    found = last_holder(store)
    if found is None:
        return JournalTaken(journal, "Another driver is running this experiment.")
    if found.machine and found.machine == machine_id() and not _process_runs(found):
        text = f"The experiment's driver ({found}) has ended, but a process that it started still holds the journal."
        return JournalTaken(journal, text, hint="end that process")
    return JournalTaken(journal, f"Another driver is running this experiment: {found}.")


class Lease:
    """The lease of a locked journal, renewed by a thread until it is released.

    Args:
        journal: the journal's place, for error messages.
        store: where the lease is stored.

    Raises:
        JournalTaken: when another driver holds the experiment; it says who.
    """

    def __init__(self, journal: object, store: FileLeaseStore) -> None:
        other = current_holder(store)
        unknown = other is not None and not other.machine and other.host == platform.node()
        if other is not None and not unknown:  # the lock on this host is free, so the last driver has ended
            raise JournalTaken(journal, f"Another driver is running this experiment: {other}.")
        self._journal, self._store = journal, store
        self._holder = LeaseHolder.this_process()
        self._data = msgspec.json.encode(self._holder)
        self._taken_by: LeaseHolder | None = None
        self._released = threading.Event()
        store.write(self._data)
        own_leases.add(self._holder.token)
        self._thread = threading.Thread(target=self._renew, name="tunedsl-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises `JournalTaken` when another driver has taken the lease; reads no storage."""
        if self._taken_by is not None:
            raise JournalTaken(self._journal, f"Another driver has taken over this experiment: {self._taken_by}.")

    def release(self) -> None:
        """Releases the lease, unless another driver has taken it."""
        own_leases.discard(self._holder.token)
        self._released.set()
        self._thread.join()
        self._check_stolen()
        if self._taken_by is None:
            self._store.remove()

    def _renew(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            self._check_stolen()
            if self._taken_by is not None:
                return
            with contextlib.suppress(OSError):  # the storage may fail for a while; a write to the journal will tell
                self._store.write(self._data)

    def _check_stolen(self) -> None:
        """Notices when another driver has written its lease."""
        try:
            found = last_holder(self._store)
        except OSError:
            return
        if found is not None and found.token != self._holder.token:
            self._taken_by = found


def decode_holder(data: bytes | None) -> LeaseHolder | None:
    """The driver that a stored lease names; None for what no driver wrote."""
    try:
        return None if data is None else msgspec.json.decode(data, type=LeaseHolder)
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_alive(found: LeaseHolder, store: LeaseStore) -> bool:
    if found.released:
        return False
    if found.machine and found.machine == machine_id():
        return _process_runs(found) and (found.pid != os.getpid() or found.token in own_leases)
    return store.age() <= STALE_SECONDS


def _process_runs(found: LeaseHolder) -> bool:
    """Whether the holder's process runs; a zombie does not count, nor a later process with the same id."""
    if found.pid <= 0:
        return False
    try:
        os.kill(found.pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # it belongs to another user
    return not found.started or found.started == process_start_time(found.pid)


@cache
def machine_id() -> str:
    """Identifies the boot and the process id namespace; empty when unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def process_start_time(pid: int) -> str:
    """When a process started, in clock ticks since the boot; `dead` for a zombie, empty when unknown."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    words = line.rpartition(")")[2].split()
    return "dead" if words[0] in "ZX" else words[19]

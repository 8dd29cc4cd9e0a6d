"""Who holds an experiment: a few bytes beside the journal that name its driver and are renewed while it lives.

Where a file system locks files the lock says whether somebody holds a journal, and this says who; where it does not (a
shared file system, an object store) this is all there is. On the holder's own machine its process is looked for; from
another one the hold counts until it was not renewed for `STALE_SECONDS`.
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

from tunedsl.base.errors import JournalError

RENEW_SECONDS: Final = 10.0
"""Between two renewals."""
STALE_SECONDS: Final = 60.0
"""How old the last renewal of a driver on another machine may be before it counts as gone."""
MAX_BYTES: Final = 4096

_own_leases: set[str] = set()
"""The marks of the holds that this process has now."""


class LeaseStore(Protocol):
    """Where a hold's few bytes are: a file, or an object at an address."""

    def read(self) -> bytes | None:
        """The bytes, or None where there are none; at most `MAX_BYTES` are needed."""

    def write(self, data: bytes) -> None:
        """Puts other bytes in their place, whole or not at all."""

    def age(self) -> float:
        """Seconds since they were written, by the clock of where they are."""

    def remove(self) -> None:
        """Leaves nothing there; nothing to remove is no error."""


class LeaseHolder(msgspec.Struct, frozen=True):
    """The driver that holds an experiment.

    Attributes:
        machine: the running system and its space of process numbers; empty where that cannot be told.
        started: when the process started, by the system's own count; empty where that cannot be told.
        since: local date and time of the hold.
        token: tells this hold from any other.
    """

    host: str
    pid: int
    since: str
    machine: str = ""
    started: str = ""
    token: str = ""

    @staticmethod
    def this_process() -> LeaseHolder:
        """This process, from now on."""
        since = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return LeaseHolder(
            platform.node(), os.getpid(), since, machine_id(), process_start_time(os.getpid()), secrets.token_hex(8)
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class FileLeaseStore:
    """A file beside the journal, replaced whole. Its age is told by the file system's clock.

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
    """Where the hold of a journal on disk is."""
    return journal.with_suffix(".hold")


def lock_of(journal: Path) -> BaseFileLock:
    """The lock of a journal on disk, in a file beside it: locking the journal would keep readers out on Windows."""
    return FileLock(journal.with_suffix(".lock"), thread_local=False, fallback_to_soft=False, poll_interval=0.01)


def current_holder(slot: LeaseStore) -> LeaseHolder | None:
    """The driver that holds an experiment now, as far as can be told from here; None where there is none."""
    found = _read(slot)
    return found if found is not None and _is_alive(found, slot) else None


def lease_conflict(journal: object, slot: LeaseStore) -> JournalError:
    """The error for somebody who wants a journal that is locked."""
    found = _read(slot)
    if found is None:
        return JournalError(journal, "another driver is running this experiment")
    if found.machine and found.machine == machine_id() and not _process_runs(found):
        text = f"its driver ({found}) is gone, but a process that it started still has the journal open: end that one"
        return JournalError(journal, text)
    return JournalError(journal, f"another driver is running this experiment: {found}")


class Lease:
    """A hold on an experiment, renewed by a thread until it is let go.

    Args:
        journal: what error messages name.
        slot: where the hold is written.
        settle: seconds to wait before looking whether somebody else has written at the same time; 0 where a lock
            was taken before.

    Raises:
        JournalError: when another driver holds the experiment; it says who.
    """

    def __init__(self, journal: object, slot: LeaseStore, settle: float = 0.0) -> None:
        other = current_holder(slot)
        unknown = other is not None and not other.machine and other.host == platform.node()
        if other is not None and (settle or not unknown):  # this host's lock is free, so its last driver is gone
            raise JournalError(journal, f"another driver is running this experiment: {other}")
        self._journal, self._slot = journal, slot
        self._me = LeaseHolder.this_process()
        self._data = msgspec.json.encode(self._me)
        self._lost: LeaseHolder | None = None
        self._over = threading.Event()
        slot.write(self._data)
        if settle:
            time.sleep(settle)
            self._check_stolen()
            self.check()
        _own_leases.add(self._me.token)
        self._thread = threading.Thread(target=self._renew, name="tunedsl-hold", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises `JournalError` when another driver has taken the experiment meanwhile. Costs nothing."""
        if self._lost is not None:
            raise JournalError(self._journal, f"another driver has taken this experiment over: {self._lost}")

    def release(self) -> None:
        """Lets the experiment go."""
        _own_leases.discard(self._me.token)
        self._over.set()
        self._thread.join()
        self._check_stolen()
        if self._lost is None:
            self._slot.remove()

    def _renew(self) -> None:
        while not self._over.wait(RENEW_SECONDS):
            self._check_stolen()
            if self._lost is not None:
                return
            with contextlib.suppress(OSError):  # a storage that is away for a while; the journal has the last word
                self._slot.write(self._data)

    def _check_stolen(self) -> None:
        """Whether the hold is still this one."""
        try:
            found = _read(self._slot)
        except OSError:
            return
        if found is not None and found.token != self._me.token:
            self._lost = found


def _read(slot: LeaseStore) -> LeaseHolder | None:
    data = slot.read()
    try:
        return None if data is None else msgspec.json.decode(data, type=LeaseHolder)
    except (msgspec.DecodeError, RecursionError):
        return None  # nothing that a driver writes


def _is_alive(found: LeaseHolder, slot: LeaseStore) -> bool:
    if found.machine and found.machine == machine_id():
        return _process_runs(found) and (found.pid != os.getpid() or found.token in _own_leases)
    return slot.age() <= STALE_SECONDS


def _process_runs(found: LeaseHolder) -> bool:
    """Whether the process runs; another one that has got its number since does not count, nor one that was killed."""
    if found.pid <= 0:
        return False
    try:
        os.kill(found.pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # it is somebody else's
    return not found.started or found.started == process_start_time(found.pid)


@cache
def machine_id() -> str:
    """The running system and its space of process numbers, empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def process_start_time(pid: int) -> str:
    """When a process started, by the system's own count; `dead` once it has ended, empty where nothing tells."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    words = line.rpartition(")")[2].split()
    return "dead" if words[0] in "ZX" else words[19]

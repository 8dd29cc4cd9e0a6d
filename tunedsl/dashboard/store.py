"""The runs of a store: their names, their summaries, and the few histories that are kept in memory."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import NoResult, TunedslError
from tunedsl.dashboard.watching import REMOTE_SECONDS, WatchedRun
from tunedsl.journal import Address, Location, has_driver, journal_file, leads_inside, location_of
from tunedsl.runs.stores import run_paths
from tunedsl.web.summaries import summary_of, unreadable

MAX_WEIGHT: Final = 60_000
"""Trials whose histories are kept in memory; the run that was used last is always kept."""
LIST_SECONDS: Final = 2.0
"""Least time between two listings of a local store."""


class Store:
    """The runs of a store.

    Args:
        source: a folder or an address; a run's own folder has only that one.

    Attributes:
        place: its location.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        self.place: Location = location_of(source)
        self._within = None if isinstance(self.place, Address) else self.place
        self._lock = threading.RLock()
        self._held: OrderedDict[str, WatchedRun] = OrderedDict()
        self._places: dict[str, Location] = {}
        self._summaries: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._reader = ThreadPoolExecutor(1, "tunedsl-dashboard")
        self._queued: set[str] = set()
        self._due = 0.0
        self.version = 0
        self.error = ""

    def refresh(self) -> int:
        """List the store, if it is time to, and begin to read the runs that changed; return the version."""
        with self._lock:
            if time.monotonic() < self._due:
                return self.version
            self._list()
            signatures = {name: _signature(place) for name, place in self._places.items()}
            for name in sorted(signatures, key=lambda name: _changed(signatures[name]), reverse=True):
                known = self._summaries.get(name)
                if name not in self._queued and (known is None or known[0] != signatures[name]):
                    self._queued.add(name)
                    self._reader.submit(self._summarize, name, self._places[name])
            self._due = time.monotonic() + (REMOTE_SECONDS if isinstance(self.place, Address) else LIST_SECONDS)
            return self.version

    def _list(self) -> None:
        try:
            found = {path.name: path for path in run_paths(self.place) if self._has(path)}
            self.error = ""
        except (TunedslError, OSError) as error:
            found, self.error = {}, reason(error)
        if found.keys() != self._places.keys():
            self.version += 1
        for name in self._places.keys() - found.keys():
            self._held.pop(name, None)
            self._summaries.pop(name, None)
        self._places = found

    def _has(self, place: Location) -> bool:
        """Whether a run is inside the store; a link may lead elsewhere."""
        if isinstance(place, Address) or isinstance(self.place, Address):
            return True
        return leads_inside(self.place, journal_file(place))

    def run(self, name: str) -> WatchedRun:
        """A run by its name, with the records that its journal has now; raises `NoResult` for another name."""
        with self._lock:
            if name not in self._places:
                self._list()
            place = self._places.get(name)
            if place is None:
                raise NoResult(f"The store has no run {name[:80]!r}.")
            run = self._held.pop(name, None) or WatchedRun(place, self._within)
            self._held[name] = run
        run.refresh()
        self._evict()
        return run

    def forget(self, name: str) -> None:
        """Drop what is known about a run that was deleted or cleaned."""
        with self._lock:
            self._held.pop(name, None)
            self._summaries.pop(name, None)
            self._places = {other: place for other, place in self._places.items() if other != name}
            self._due = 0.0

    @property
    def summaries(self) -> list[dict[str, Any]]:
        """The summary of each run, newest first; of one that was not read yet only its name."""
        with self._lock:
            found = [self._summaries[name][1] if name in self._summaries else _unread(name) for name in self._places]
        return sorted(found, key=lambda each: (each["began"], each["run"]), reverse=True)

    @property
    def places(self) -> Mapping[str, Location]:
        """The location of each run, by its name."""
        return self._places

    def close(self) -> None:
        """Stop reading."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _summarize(self, name: str, place: Location) -> None:
        signature = _signature(place)
        with self._lock:
            run = self._held.get(name)
            if run is None:
                run = self._held[name] = WatchedRun(place, self._within)
                self._held.move_to_end(name, last=False)  # no page has opened it: it is dropped first
        try:
            run.refresh(wait=False)  # its journal has changed
            with run.reading():
                made = summary_of(run)
        except Exception as error:  # an untrusted journal may be wrong in any way
            made = unreadable(name, f"{type(error).__name__}: {reason(error)}")
        with self._lock:
            if name in self._places:
                self._summaries[name] = signature, made
                self.version += 1
            self._queued.discard(name)
        self._evict()

    def _evict(self) -> None:
        """Drop the histories that were used longest ago, until the others fit; the last one used stays."""
        with self._lock:
            total = sum(run.weight for run in self._held.values())
            for name in list(self._held)[:-1]:
                if total <= MAX_WEIGHT:
                    return
                total -= self._held.pop(name).weight


def _unread(name: str) -> dict[str, Any]:
    return {"run": name, "name": name, "phase": "reading", "state": "is being read", "began": ""}


def _changed(signature: Any) -> int:
    """When a journal last changed, by its signature: the newest is read first."""
    return signature[1] if isinstance(signature, tuple) else 0


def _signature(place: Location) -> Any:
    """What changes when a run's journal changes."""
    if isinstance(place, Address):
        return int(time.monotonic() / (6 * REMOTE_SECONDS))
    path = journal_file(place)
    try:
        status = os.stat(path)
        folder = path.with_suffix("")
        packed = os.stat(folder).st_mtime_ns if folder.is_dir() else 0
        return status.st_size, status.st_mtime_ns, packed, has_driver(path)
    except OSError:
        return None

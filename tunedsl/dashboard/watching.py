"""Follows one run: a history that grows with the journal, the changed rows of its table, and its summary.

A refresh reads only the new records. Nothing here writes to a run, calls its code, or speaks to its driver.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalTaken, TunedslError
from tunedsl.journal import Address, Line, Location, Tail, gc_paused, has_driver
from tunedsl.journal.tail import TRIES
from tunedsl.web.content import RunContent

LOCAL_SECONDS: Final = 0.4
"""Least time between two reads of a local journal."""
REMOTE_SECONDS: Final = 5.0
"""Least time between two reads of a journal at an address, whose segments are listed each time."""
ERROR_SECONDS: Final = 10.0
"""Most time until a journal that could not be read is tried again, from its beginning."""
REPORTS_PER_TRIAL: Final = 50
"""How many reports take as much memory as a trial without any."""


class WatchedRun(RunContent):
    """A run that is read further as its journal grows.

    Args:
        place: the run's folder or address.
        within: a folder that its journal must be in, also where links lead; None for any place.
    """

    def __init__(self, place: Location, within: Path | None = None) -> None:
        self._errors = 0
        self._turn, self._readers = threading.Condition(), 0
        super().__init__(place, within)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep what was read as it is during the body; several threads may do so at a time."""
        with self._turn:
            self._readers += 1
        try:
            yield
        finally:
            with self._turn:
                self._readers -= 1
                self._turn.notify_all()

    def _reset(self) -> None:
        super()._reset()
        self._tail: Tail | None = None
        self._due = 0.0

    @property
    def weight(self) -> int:
        """The memory that it takes, counted as trials."""
        if self._history is None or self.counters is None:
            return 1
        return 1 + len(self._history.records) + self.table.iterations // REPORTS_PER_TRIAL

    def refresh(self, wait: bool = True) -> int:
        """Read the new records; return the version.

        Args:
            wait: whether to read nothing soon after the last time, or while another thread shows the run.
        """
        with self._turn:
            now = time.monotonic()
            if wait and (now < self._due or self._readers):
                return self.version
            self._turn.wait_for(lambda: not self._readers)
            least = REMOTE_SECONDS if isinstance(self.place, Address) else LOCAL_SECONDS
            try:
                self._read()
            except Exception as error:  # an untrusted journal may be wrong in any way
                is_known = isinstance(error, (TunedslError, OSError))
                self.error = reason(error) if is_known else f"{type(error).__name__}: {reason(error)}"
                self._errors += 1
                least = min(ERROR_SECONDS, least * 2 ** min(self._errors, 10))
                self._read_valid()
            else:
                self._errors = 0
            self._due = time.monotonic() + max(least, 4 * (time.monotonic() - now))
            return self.version

    def _read(self) -> None:
        if self.error:
            self._reset()  # the journal may have been repaired, or replaced
        if self._history is None or self._tail is None:
            self._begin(self.journal())
            self._tail = Tail(self.place, self.within)
        driven = has_driver(self.history.journal.path)
        touched: set[int] = set()
        try:
            with gc_paused():
                while lines := self._tail.read() or self._first(self._tail):
                    for line in lines:
                        self._take(line, touched)
        except JournalTaken:
            self._reset()
            self._read()
        else:
            self._settle(driven, touched)

    def _first(self, tail: Tail) -> list[Line]:
        """The first records, which exist; several reads show that they are damaged."""
        return next(filter(None, (tail.read() for _ in range(TRIES + 1) if not tail.count)), [])

    def _read_valid(self) -> None:
        """Read a journal that is damaged before its first record was shown, up to the damage."""
        if self._history is None or self._history.lines:
            return
        touched: set[int] = set()
        with contextlib.suppress(Exception), gc_paused():  # what is wrong is known already
            for line in self._history.journal.records():
                self._take(line, touched)
        with contextlib.suppress(Exception):
            self._settle(False, touched)

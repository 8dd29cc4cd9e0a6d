"""Follows one run: a history that grows with the journal, the changed rows of its table, and its summary.

A refresh reads only the new records. Nothing here writes to a run, calls its code, or speaks to its driver.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, JournalTaken, TunedslError
from tunedsl.dashboard.rows import Table
from tunedsl.journal import Address, Journal, Line, Location, Tail, gc_paused, has_driver
from tunedsl.journal.tail import TRIES
from tunedsl.kernel import (
    Amended,
    Event,
    Finish,
    ProposalPostponed,
    Proposed,
    RetryRequested,
    SearchExhausted,
)
from tunedsl.results import Results
from tunedsl.results.trial_history import RunHistory
from tunedsl.views.counters import Counters

LOCAL_SECONDS: Final = 0.4
"""Least time between two reads of a local journal."""
REMOTE_SECONDS: Final = 5.0
"""Least time between two reads of a journal at an address, whose segments are listed each time."""
ERROR_SECONDS: Final = 10.0
"""Most time until a journal that could not be read is tried again, from its beginning."""
REPORTS_PER_TRIAL: Final = 50
"""How many reports take as much memory as a trial without any."""


class WatchedRun:
    """A run, as far as its journal has been read.

    Attributes:
        place: the run's folder or address.
        name: its name in the store.
        error: why the journal cannot be read, or empty.
        table: the rows of its trials.
        counters: its counts; None before the first record.
        searcher_state: `""`, `waiting` for results, or `exhausted`.
        version: a number that grows with each change, also when another `WatchedRun` reads the run again.
        opened: facts about the last driver, as it wrote them.
    """

    def __init__(self, place: Location) -> None:
        self.place, self.name = place, place.name
        self._errors = 0
        self._turn, self._readers = threading.Condition(), 0
        self._reset()

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
        self.error = ""
        self.counters: Counters | None = None
        self.table = Table()
        self.searcher_state = ""
        self.opened: dict[str, Any] = {}
        self._history: RunHistory | None = None
        self._tail: Tail | None = None
        self._results: Results | None = None
        self._due, self._shown = 0.0, 0
        self.version = 0
        self._clock = (0.0, time.time())

    @property
    def history(self) -> RunHistory:
        """The history; raises `JournalError` when nothing could be read."""
        if self._history is None:
            raise JournalError(self.place, self.error or "The journal has no record.")
        return self._history

    @property
    def results(self) -> Results:
        """The results up to the last record that was read."""
        if self._results is None:
            self._results = Results(self.history.journal)
            self._results.reading = self.history
        return self._results

    @property
    def weight(self) -> int:
        """The memory that it takes, counted as trials."""
        if self._history is None or self.counters is None:
            return 1
        return 1 + len(self._history.records) + self.table.iterations // REPORTS_PER_TRIAL

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, downtime excluded."""
        history = self.history
        return history.seconds + (max(0.0, time.time() - self._clock[1]) if history.driven else 0.0)

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
            journal = Journal(self.place)
            self.counters = Counters(journal.first_plan)
            self._tail, self._history = Tail(self.place), RunHistory(journal)
        driven = has_driver(self._history.journal.path)
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

    def _settle(self, driven: bool, touched: set[int]) -> None:
        """Make the results and the rows of what was read; `driven` as for `RunHistory.settle`."""
        history = self._history
        assert history is not None  # it was read
        before, lines = history.driven, history.lines
        history.settle(driven)
        if history.driven != before:
            touched.update(history.records)
        elif lines == self._shown:
            return
        self._shown, self._results = lines, None
        self.version = max(self.version + 1, time.time_ns() // 1_000_000)
        self.table.update(history, touched, self.version)

    def _take(self, line: Line, touched: set[int]) -> None:
        history, counters = self._history, self.counters
        assert history is not None and counters is not None
        history.take(line)
        if line.m is not None and line.m.opened is not None:
            self.opened = line.m.opened
        if line.e is None:
            return
        counters.take(line.e, line.c)
        self._follow_searcher(line.e)
        if line.e.seconds > self._clock[0]:
            self._clock = (line.e.seconds, time.time())
        if isinstance(line.e, Amended):
            history.journal = Journal(self.place)
        if isinstance(line.e, (Amended, RetryRequested)) or any(isinstance(each, Finish) for each in line.c):
            touched.update(history.records)
        touched.update(number for each in (line.e, *line.c) if isinstance(number := getattr(each, "trial", None), int))

    def _follow_searcher(self, event: Event) -> None:
        if isinstance(event, ProposalPostponed):
            self.searcher_state = "waiting"
        elif isinstance(event, SearchExhausted):
            self.searcher_state = "exhausted"
        elif isinstance(event, (Proposed, Amended)):
            self.searcher_state = ""

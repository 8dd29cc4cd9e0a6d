"""What the page shows of a run: a history, the rows of its table, and its counts, as far as the journal was read."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from tunedsl.base.errors import JournalError
from tunedsl.journal import Journal, Line, Location, gc_paused
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
from tunedsl.results.story import StoryIndex
from tunedsl.results.trial_history import RunHistory
from tunedsl.views.counters import Counters
from tunedsl.web.rows import Table


class RunContent:
    """A run, as far as its journal has been read.

    Attributes:
        place: the run's folder or address.
        within: a folder that its journal must be in, also where links lead; None for any place.
        name: its name in the store.
        error: why the journal cannot be read, or empty.
        table: the rows of its trials.
        counters: its counts; None before the first record.
        searcher_state: `""`, `waiting` for results, or `exhausted`.
        version: a number that grows with each change, also when the run is read again.
        stories: the records of each trial's story.
        opened: facts about the last driver, as it wrote them.
    """

    def __init__(self, place: Location, within: Path | None = None) -> None:
        self.place, self.name, self.within = place, place.name, within
        self._reset()

    def _reset(self) -> None:
        self.error = ""
        self.counters: Counters | None = None
        self.table = Table()
        self.searcher_state = ""
        self.stories = StoryIndex()
        self.opened: dict[str, Any] = {}
        self._history: RunHistory | None = None
        self._results: Results | None = None
        self._shown = 0
        self.version = 0
        self._clock = (0.0, time.time())

    def journal(self) -> Journal:
        """The journal, as one that was not read yet."""
        return Journal(self.place, self.within)

    @property
    def history(self) -> RunHistory:
        """The history; raises `JournalError` when nothing could be read."""
        if self._history is None:
            raise JournalError(self.place, self.error or "The journal has no record.")
        return self._history

    @property
    def driven(self) -> bool:
        """Whether a driver runs, as far as the journal could be read."""
        return self._history is not None and self._history.driven

    @property
    def results(self) -> Results:
        """The results up to the last record that was read."""
        if self._results is None:
            self._results = Results(self.history.journal)
            self._results.reading = self.history
        return self._results

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, downtime excluded."""
        history = self.history
        return history.seconds + (max(0.0, time.time() - self._clock[1]) if history.driven else 0.0)

    @classmethod
    def of(cls, results: Results) -> RunContent:
        """The content of results, as far as they were read."""
        made = cls(results.path)
        made._begin(results.journal)
        touched: set[int] = set()
        with gc_paused():
            for line in itertools.islice(results.journal.records(), results.reading.lines):
                made._take(line, touched)
        made._settle(results.reading.driven, touched)
        return made

    def _begin(self, journal: Journal) -> None:
        self.counters, self._history = Counters(journal.first_plan), RunHistory(journal)

    def _settle(self, driven: bool, touched: set[int]) -> None:
        """Make the results and the rows of what was read; `driven` as for `RunHistory.settle`."""
        history = self._history
        assert history is not None  # it was read
        before, lines = history.driven, history.lines
        history.settle(driven)
        if history.driven != before:
            touched.update(self.table.outdated(history))
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
            history.journal = self.journal()
        if isinstance(line.e, (Amended, RetryRequested)):
            touched.update(history.records)
        elif any(isinstance(each, Finish) for each in line.c):
            touched.update(self.table.outdated(history))
        touched |= self.stories.take(line)

    def _follow_searcher(self, event: Event) -> None:
        if isinstance(event, ProposalPostponed):
            self.searcher_state = "waiting"
        elif isinstance(event, SearchExhausted):
            self.searcher_state = "exhausted"
        elif isinstance(event, (Proposed, Amended)):
            self.searcher_state = ""

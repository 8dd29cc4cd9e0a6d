"""Collects the reports of one attempt into one event, up to a maximum size."""

from __future__ import annotations

from typing import Final

import msgspec

from tunedsl.base.types import Json
from tunedsl.kernel.events import Ended, Ending, Failed, Number, Reported

MAX_ROWS: Final = 5_000
"""Reports in one event."""
MAX_CELLS: Final = 1_000_000
"""Numbers in one event."""
_REPORT_BYTES: Final = 112
_NUMBER_BYTES: Final = 32
MAX_DATA_BYTES: Final = 2**24
"""Bytes of data as JSON; an event that has reached this size takes no further report."""


class Report(msgspec.Struct, frozen=True, gc=False):
    """One report and its consequences.

    Attributes:
        iteration: the number of the report, from 1.
        keys: names of the metrics.
        numbers: their values, as the journal stores them.
        data: the other values, encoded.
        size: bytes of `data` as JSON.
        elapsed: seconds of training since the trial began.
        is_known: whether the journal contains the report already.
        ends: how the report ends the trial; empty where the trial continues or fails.
        waits: whether the trial waits for a decision of the scheduler.
        outcome: the event that ends the attempt right after the report, if any.
    """

    iteration: int
    keys: tuple[str, ...]
    numbers: tuple[Number, ...]
    data: dict[str, Json]
    size: int
    elapsed: float
    is_known: bool
    ends: Ending
    waits: bool
    outcome: Failed | Ended | None

    @property
    def bytes(self) -> int:
        """The memory that it takes, about."""
        return _REPORT_BYTES + _NUMBER_BYTES * len(self.numbers) + self.size


class ReportBatch:
    """The reports that become the next event of an attempt.

    Args:
        max_rows: the most reports in one event.

    Attributes:
        is_closed: whether the event must be made before the next report.
    """

    def __init__(self, trial: int, attempt: int, max_rows: int = MAX_ROWS) -> None:
        self.trial, self.attempt = trial, attempt
        self._max_rows = max_rows
        self._keys: tuple[str, ...] = ()
        self._clear()

    def _clear(self) -> None:
        self.is_closed = False
        self._first = self._size = 0
        self._rows: list[tuple[Number, ...]] = []
        self._times: list[float] = []
        self._data: list[dict[str, Json]] = []
        self._waits = False
        self._ends: Ending = ""
        self._saved = ""

    def __len__(self) -> int:
        return len(self._rows)

    def fits(self, report: Report) -> bool:
        """Return whether a report has the same names as the collected ones."""
        if not self._rows:
            return True
        return (report.keys is self._keys or report.keys == self._keys) and bool(report.data) == bool(self._data)

    def add(self, report: Report, saved: str = "") -> None:
        """Append a report that fits; `saved` is the path of its checkpoint."""
        if not self._rows:
            self._first, self._keys = report.iteration, report.keys
            self._limit = max(1, min(self._max_rows, MAX_CELLS // max(1, len(report.keys))))
        self._rows.append(report.numbers)
        self._times.append(report.elapsed)
        if report.data:
            self._data.append(report.data)
            self._size += report.size
        if report.waits or report.ends or saved:
            self._waits, self._ends, self._saved = report.waits, report.ends, saved
            self.is_closed = True
        elif len(self._rows) >= self._limit or self._size >= MAX_DATA_BYTES:
            self.is_closed = True

    def take_event(self) -> Reported:
        """Remove the collected reports and return them as one event."""
        rows, times, data = tuple(self._rows), tuple(self._times), tuple(self._data)
        event = Reported(
            0.0, self.trial, self._first, self._keys, rows, times, self._waits, self._ends, self._saved, data
        )
        self._clear()
        return event

"""One pass over a journal: what became of each trial, its metrics as columns of plain numbers.

Nothing here is proved or decided; that is `journal.replay`. Memory grows with the numbers reported.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any, Literal, get_args

import attrs

from tunedsl.base.objective import Objective
from tunedsl.base.vocabulary import TIME_TOTAL, TRAINING_ITERATION, Json
from tunedsl.journal import Journal
from tunedsl.kernel import (
    Adopt,
    Command,
    Discard,
    Ended,
    Event,
    Failed,
    Finish,
    Launch,
    Pause,
    Phase,
    Proposed,
    Reported,
    Saved,
    Started,
    Stop,
)
from tunedsl.kernel.events import metrics_of

Scope = Literal["last", "all", "avg", "last-5-avg", "last-10-avg"]
SCOPES: tuple[str, ...] = get_args(Scope)


class Column:
    """One metric of one trial.

    Attributes:
        values: what was reported, in order.
        rows: the reports that it was part of, counted from 0.
    """

    __slots__ = ("rows", "values")

    def __init__(self, values: Sequence[float] = (), rows: Sequence[int] = ()) -> None:
        self.values = array("d", values)
        self.rows = array("I", rows)

    def best(self, mode: str) -> int | None:
        """The place of the best finite value, the first among equals."""
        values, sign = self.values, 1.0 if mode == "max" else -1.0
        finite = (place for place, value in enumerate(values) if math.isfinite(value))
        return max(finite, key=lambda place: sign * values[place], default=None)

    def score(self, mode: str, scope: Scope) -> float | None:
        """The number that trials are compared by, None where it is not finite."""
        if scope == "all":
            place = self.best(mode)
            return None if place is None else self.values[place]
        count = {"last": 1, "last-5-avg": 5, "last-10-avg": 10}.get(scope, len(self.values))
        window = self.values[-count:]
        mean = sum(window) / len(window)
        return mean if math.isfinite(mean) else None


class Record:
    """What a journal says of one trial.

    Attributes:
        config: canonical JSON data.
        attempts: how many began.
        stopped: whether something other than the trial itself ended it.
        times: seconds of training, one a report.
        columns: by metric.
        last: the numbers of the last report.
        data: what was reported and is no number, by the report's place.
        checkpoints: folders by iteration, relative to the experiment's.
    """

    __slots__ = (
        "attempts",
        "checkpoints",
        "columns",
        "config",
        "data",
        "failures",
        "last",
        "name",
        "number",
        "phase",
        "stopped",
        "times",
    )

    def __init__(self, number: int, name: str, config: dict[str, Json]) -> None:
        self.number, self.name, self.config = number, name, config
        self.phase: Phase = "PENDING"
        self.attempts = 0
        self.stopped = False
        self.times = array("d")
        self.columns: dict[str, Column] = {}
        self.last: dict[str, Any] = {}
        self.data: dict[int, dict[str, Json]] = {}
        self.checkpoints: dict[int, str] = {}
        self.failures: list[Failed] = []

    @property
    def iterations(self) -> int:
        return len(self.times)

    def column(self, metric: str) -> Column | None:
        """A metric's column, also of those that are counted automatically; None if it was never reported."""
        rows = range(self.iterations)
        if metric == TRAINING_ITERATION and rows:
            return Column(range(1, self.iterations + 1), rows)
        if metric == TIME_TOTAL and rows:
            return Column(self.times, rows)
        return self.columns.get(metric)

    def score(self, objective: Objective, scope: Scope) -> float | None:
        """What the trial is compared by, None where nothing finite was reported."""
        column = self.column(objective.metric)
        return None if column is None else column.score(objective.mode, scope)

    def metrics(self) -> dict[str, Any]:
        """The last report, data and automatic metrics included; empty before the first one."""
        if not self.iterations:
            return {}
        automatic = {TRAINING_ITERATION: self.iterations, TIME_TOTAL: self.times[-1]}
        return {**self.last, **self.data.get(self.iterations - 1, {}), **automatic}

    def forget(self, folders: Sequence[str]) -> None:
        """Checkpoints that were removed."""
        self.checkpoints = {at: folder for at, folder in self.checkpoints.items() if folder not in folders}

    def add(self, event: Reported) -> None:
        """Takes a batch of reports in."""
        first = self.iterations
        rows = range(first, first + len(event.rows))
        for key, values in zip(event.keys, zip(*event.rows, strict=True), strict=True):
            column = self.columns.get(key)
            if column is None:
                column = self.columns[key] = Column()
            column.values.extend(map(float, values))
            column.rows.extend(rows)
        self.times.extend(event.times)
        self.data.update(zip(rows, event.data, strict=False))
        self.last = metrics_of(event)


@attrs.define
class Reading:
    """A journal, read.

    Attributes:
        records: by number, in the order proposed.
        finish: why the experiment is over, or empty.
        closed: what the last driver said when it left; None when it did not.
    """

    records: dict[int, Record] = attrs.field(factory=dict)
    finish: str = ""
    closed: str | None = None

    @staticmethod
    def of(journal: Journal) -> Reading:
        """Reads a journal once; raises `JournalError` for a damaged one."""
        reading = Reading()
        for line in journal.records():
            if line.m is not None:
                reading.closed = line.m.closed
            if line.e is not None:
                reading._take(line.e, line.c)
        return reading

    def _take(self, event: Event, commands: Sequence[Command]) -> None:
        record = self.records.get(getattr(event, "trial", None))  # type: ignore[arg-type]  # some events have no trial
        launched = any(isinstance(command, Launch) for command in commands)
        if isinstance(event, Proposed):
            record = self.records[event.trial] = Record(event.trial, event.name, event.config)
            if not launched:
                self._end(record, stopped=True)
        elif record is None:
            pass
        elif isinstance(event, Started):
            record.phase = "RUNNING"
            record.attempts = event.attempt + 1
        elif isinstance(event, Reported):
            record.add(event)
            if event.saved:
                record.checkpoints[event.last] = event.saved
            if event.ends:
                self._end(record)
        elif isinstance(event, Saved):
            record.checkpoints[event.iteration] = event.folder
        elif isinstance(event, Ended):
            self._end(record)
        elif isinstance(event, Failed):
            record.failures.append(event)
            record.phase = "PENDING" if launched else "ERRORED"
        for command in commands:
            if isinstance(command, Stop):
                self._end(self.records[command.trial], stopped=True)
            elif isinstance(command, Pause):
                self.records[command.trial].phase = "PAUSED"
            elif isinstance(command, Adopt):
                self.records[command.trial].config = command.config
            elif isinstance(command, Discard):
                assert record is not None  # a trial's own `Saved` discards its older ones
                record.forget(command.folders)
            elif isinstance(command, Finish):
                self.finish = command.reason

    @staticmethod
    def _end(record: Record, stopped: bool = False) -> None:
        record.phase = "TERMINATED"
        record.stopped = stopped

"""The history of a run, from one pass over its journal: each trial's status, and metrics as columns of numbers.

Nothing here is proved or decided; that is `journal.replay`. Memory grows with the numbers reported.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base.objective import Objective
from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION, Json, TrialStatus
from tunedsl.journal import (
    ENDED,
    Journal,
    Line,
    TrialChange,
    TrialStatuses,
    gc_paused,
    has_driver,
    name_states,
    reported_data,
)
from tunedsl.kernel import (
    Amended,
    CapacityChanged,
    Command,
    Continue,
    CopyCheckpoint,
    DeleteCheckpoints,
    Event,
    Failed,
    Finish,
    Launch,
    Pause,
    Proposed,
    Reopen,
    Reported,
    RetryRequested,
    Saved,
    SetResources,
    Started,
    Stop,
    Suspend,
)
from tunedsl.kernel.amending import with_defaults
from tunedsl.kernel.events import report_metrics
from tunedsl.plan import Plan

Scope = Literal["last", "all", "avg", "last-5-avg", "last-10-avg"]
SCOPES: tuple[str, ...] = get_args(Scope)

Outcome = TrialStatus | Literal["interrupted"]
"""How a span on a worker ended: the trial's new status, or `interrupted` if the driver exited."""
StateChange = Literal["continued", "stopped", "paused", "promoted"]
"""The decision about a trial at an iteration."""


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

    def best(self, mode: str, finite: bool = True) -> int | None:
        """The place of the best value, the first among equals; a NaN never is, nor an infinity if it must be finite."""
        values = np.asarray(self.values)
        worst = -math.inf if mode == "max" else math.inf
        able = np.isfinite(values) if finite else ~np.isnan(values)
        if not able.any():
            return None
        held = np.where(able, values, worst)
        place = int(held.argmax() if mode == "max" else held.argmin())
        return place if able[place] else int(able.argmax())

    def score(self, mode: str, scope: Scope, finite: bool = True) -> float | None:
        """The score of the trial; None if it is NaN, or infinite although it must be finite."""
        if scope == "all":
            place = self.best(mode, finite)
            return None if place is None else self.values[place]
        count = {"last": 1, "last-5-avg": 5, "last-10-avg": 10}.get(scope, len(self.values))
        window = self.values[-count:]
        mean = sum(window) / len(window)
        return mean if math.isfinite(mean) or (not finite and not math.isnan(mean)) else None


@attrs.define
class Span:
    """A span of time in which a worker ran a trial.

    Attributes:
        worker: its name; empty where the engine gives none.
        start, end: seconds since the experiment began; `end` is `None` while it runs.
        first, last: reports made before it, and up to its end.
    """

    worker: str
    attempt: int
    start: float
    first: int
    end: float | None = None
    last: int = 0
    outcome: Outcome = "running"


@attrs.frozen
class Takeover:
    """A trial that continued from a donor's checkpoint, after `iteration` own reports."""

    seconds: float
    trial: int
    donor: int
    iteration: int


class TrialHistory:
    """The history of one trial.

    Attributes:
        config: canonical JSON data; the newest one.
        configs: all that it had, with the iteration after which each began.
        spans: where and when it ran.
        attempts: how many began.
        status: what became of it.
        cause: the event or command that its status is from.
        times: seconds of training, one a report.
        columns: by metric.
        last: the numbers of the last report.
        data: what was reported and is no number, as it was reported, by the report's place.
        checkpoints: folders by iteration, relative to the experiment's.
        resources: its resources if they differ from the plan's, else None.
    """

    __slots__ = (
        "_arrivals",
        "attempts",
        "cause",
        "checkpoints",
        "columns",
        "config",
        "configs",
        "data",
        "failures",
        "last",
        "name",
        "number",
        "resources",
        "spans",
        "status",
        "times",
    )

    def __init__(self, number: int, name: str, config: dict[str, Json]) -> None:
        self.number, self.name, self.config = number, name, config
        self.status: TrialStatus = "pending"
        self.cause: Event | Command | None = None
        self.attempts = 0
        self.times = array("d")
        self.columns: dict[str, Column] = {}
        self.last: dict[str, Any] = {}
        self.data: dict[int, dict[str, Any]] = {}
        self.checkpoints: dict[int, str] = {}
        self.resources: dict[str, float] | None = None
        self.failures: list[Failed] = []
        self.configs: list[tuple[int, dict[str, Json]]] = [(0, config)]
        self.spans: list[Span] = []
        self._arrivals = array("d")

    @property
    def last_report_seconds(self) -> float:
        """The time of the last report, in seconds since the experiment began; NaN before the first report."""
        return self._arrivals[-1] if self._arrivals else math.nan

    @property
    def seconds(self) -> NDArray[np.float64]:
        """When each report was made, in seconds since the experiment began; a batch's own from its trial's clock."""
        pairs = np.asarray(self._arrivals).reshape(-1, 2)
        times, ends = np.asarray(self.times), pairs[:, 0].astype(np.intp)
        batch = np.searchsorted(ends, np.arange(len(times)), side="right")
        found: NDArray[np.float64] = np.maximum(pairs[batch, 1] - (times[ends[batch] - 1] - times), 0.0)
        return found

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

    def score(self, objective: Objective, scope: Scope, finite: bool = True) -> float | None:
        """The score of the trial; None if nothing finite was reported."""
        column = self.column(objective.metric)
        return None if column is None else column.score(objective.mode, scope, finite)

    def value(self, metric: str, iteration: int) -> float:
        """The value of a metric in the report of one iteration; NaN if the report lacks it."""
        column = self.column(metric)
        place = 0 if column is None else int(np.searchsorted(np.asarray(column.rows), iteration - 1))
        if column is None or place == len(column.rows) or column.rows[place] != iteration - 1:
            return math.nan
        return column.values[place]

    def newest(self, metric: str, iteration: int) -> int:
        """The last iteration up to `iteration` whose report has a metric; 0 without one."""
        column = self.column(metric)
        place = 0 if column is None else int(np.searchsorted(np.asarray(column.rows), iteration))
        return 0 if column is None or not place else column.rows[place - 1] + 1

    def metrics(self, carried: Iterable[str] = ()) -> dict[str, Any]:
        """The last report, data and automatic metrics included; empty before the first one.

        Args:
            carried: metrics that stand with their newest value where the last report lacks them.
        """
        if not self.iterations:
            return {}
        found = {metric: self.columns[metric].values[-1] for metric in carried if metric in self.columns}
        automatic = {TRAINING_ITERATION: self.iterations, TIME_TOTAL: self.times[-1]}
        return {**found, **self.last, **self.data.get(self.iterations - 1, {}), **automatic}

    def forget(self, folders: Sequence[str]) -> None:
        """Drop removed checkpoints."""
        self.checkpoints = {at: folder for at, folder in self.checkpoints.items() if folder not in folders}

    def add_defaults(self, defaults: Mapping[str, Json]) -> None:
        """Add the values of new parameters to its configurations."""
        self.config = with_defaults(self.config, defaults)
        self.configs = [(began, with_defaults(config, defaults)) for began, config in self.configs]

    def add(self, event: Reported) -> None:
        """Append a batch of reports."""
        first = self.iterations
        rows = range(first, first + len(event.rows))
        for key, values in zip(event.keys, zip(*event.rows, strict=True), strict=True):
            column = self.columns.get(key)
            if column is None:
                column = self.columns[key] = Column()
            column.values.extend(map(float, values))
            column.rows.extend(rows)
        self.times.extend(event.times)
        self._arrivals.extend((len(self.times), event.seconds))
        self.data.update(zip(rows, map(reported_data, event.data), strict=False))
        self.last = report_metrics(event)

    def leave(self, seconds: float, outcome: Outcome) -> None:
        """End the current span on a worker."""
        if self.spans and self.spans[-1].end is None:
            span = self.spans[-1]
            span.end, span.last, span.outcome = seconds, self.iterations, outcome


@attrs.define
class RunHistory:
    """The contents of a journal.

    Attributes:
        journal: the journal that was read.
        records: trials by number, in the order proposed.
        finish: why the experiment finished, or empty.
        suspended: why a condition over the study ended the run before the experiment finished, or empty.
        closed: the reason that the last driver gave when it exited; None when it gave no reason.
        seconds: time of the last event.
        width: concurrent trials.
        turns: how often trials were compared at an iteration, by outcome.
        takeovers: in order.
        lines: number of records read; records that a run adds later are not included.
        driven: whether a driver was running when the journal was read.
    """

    journal: Journal
    records: dict[int, TrialHistory] = attrs.field(factory=dict)
    finish: str = ""
    suspended: str = ""
    closed: str | None = None
    seconds: float = 0.0
    width: int = 0
    turns: Counter[tuple[int, StateChange]] = attrs.field(factory=Counter)
    takeovers: list[Takeover] = attrs.field(factory=list)
    lines: int = 0
    driven: bool = False
    _statuses: TrialStatuses = attrs.field(factory=TrialStatuses, init=False, repr=False)

    @staticmethod
    def of(journal: Journal) -> RunHistory:
        """Read a journal once; raises `JournalError` for a damaged one."""
        reading = RunHistory(journal)
        with gc_paused():
            for line in journal.records():
                reading.take(line)
        reading.settle(has_driver(journal.path))
        return reading

    def take(self, line: Line) -> None:
        """Apply the next record; raises `JournalError` for one that does not continue the history."""
        self.lines += 1
        if line.m is not None:
            self.closed = line.m.closed
        if line.e is not None:
            with name_states(self.journal, line.n):
                self._apply_event(line, line.e)

    def settle(self, driven: bool) -> None:
        """Record whether a driver runs; without one, no worker runs a trial.

        Args:
            driven: whether a driver was running before the last records were read.
        """
        self.driven = driven and not self.finish
        if not self.driven:
            for record in self.records.values():
                if record.status == "running":
                    record.status = "pending"  # it waits for a resume
                if record.spans and record.spans[-1].end is None:
                    record.spans[-1].outcome = "interrupted"

    @property
    def plan(self) -> Plan:
        """The plan that was run, with all amendments."""
        return self.journal.plan

    @property
    def state(self) -> str:
        """`finished: ...` with the reason, `running`, or `interrupted`, with the reason when there is one."""
        if self.finish:
            return f"finished: {self.finish}"
        if self.driven:
            return "running"
        if self.suspended:
            return f"interrupted: {self.suspended}"
        closed = self.closed or ""
        return f"interrupted: {closed}" if closed.startswith(("failed", "paused")) else "interrupted"

    def _apply_event(self, line: Line, event: Event) -> None:
        record = self.records.get(getattr(event, "trial", None))  # type: ignore[arg-type]  # some events have no trial
        before, self.seconds = self.seconds, event.seconds
        if isinstance(event, Proposed):
            record = self.records[event.trial] = TrialHistory(event.trial, event.name, event.config)
        elif isinstance(event, CapacityChanged):
            self.width, self.suspended = event.width, ""
        elif isinstance(event, (Amended, RetryRequested)):
            self.finish = ""
            if isinstance(event, Amended) and event.defaults:
                for record in self.records.values():
                    record.add_defaults(event.defaults)
        elif record is None:
            pass
        elif isinstance(event, Started):
            record.leave(before, "interrupted")
            record.attempts = event.attempt + 1
            record.spans.append(Span(event.worker, event.attempt, event.seconds, record.iterations))
        elif isinstance(event, Reported):
            record.add(event)
            if event.saved:
                record.checkpoints[event.last] = event.saved
        elif isinstance(event, Saved):
            record.checkpoints[event.iteration] = event.folder
        elif isinstance(event, Failed):
            if event.kind == "preempted":
                record.leave(event.seconds, "interrupted")
            else:
                record.failures.append(event)
                record.leave(event.seconds, "failed")
            if event.saved:
                record.checkpoints[record.iterations] = event.saved
        for change in self._statuses.take(line):
            self._change(change)
        back = {command.trial for command in line.c if isinstance(command, Launch)}
        for command in line.c:
            self._apply_command(command, record, back)

    def _change(self, change: TrialChange) -> None:
        """Apply a status change of a trial."""
        record = self.records[change.trial]
        record.status, record.cause = change.status, change.cause
        if change.status == "paused" or change.status in ENDED:
            record.leave(self.seconds, change.status)

    def _apply_command(self, command: Command, record: TrialHistory | None, back: Collection[int]) -> None:
        """Apply a command; `record` is the trial of its event, `back` are the trials launched with it."""
        if isinstance(command, Continue):
            if command.reason is not None:
                self.turns[command.iteration, "continued"] += 1
        elif isinstance(command, Stop):
            stopped = self.records[command.trial]
            self.turns[stopped.iterations, "stopped"] += stopped.status == "stopped"
        elif isinstance(command, Pause):
            paused = self.records[command.trial]
            self.turns[paused.iterations, "continued" if command.trial in back else "paused"] += 1
        elif isinstance(command, Reopen):
            if command.status == "stopped":
                self.turns[command.iteration, "stopped"] -= 1
                self.turns[command.iteration, "continued"] += 1
        elif isinstance(command, Launch):
            if command.reason is not None:
                self.turns[self.records[command.trial].iterations, "promoted"] += 1
        elif isinstance(command, CopyCheckpoint):
            taker = self.records[command.trial]
            taker.config = command.config
            taker.configs.append((taker.iterations, command.config))
            self.takeovers.append(Takeover(self.seconds, command.trial, command.donor, taker.iterations))
        elif isinstance(command, SetResources):
            self.records[command.trial].resources = command.resources
        elif isinstance(command, DeleteCheckpoints):
            assert record is not None  # a trial's own `Saved` discards its older ones
            record.forget(command.folders)
        elif isinstance(command, Finish):
            self.finish = command.reason
        elif isinstance(command, Suspend):
            self.suspended = command.reason

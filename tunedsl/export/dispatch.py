"""Tells sinks what a journal says, record by record, to its end or for as long as it grows."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from tunedsl.base import codec
from tunedsl.base.references import find_loaded
from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION, Json
from tunedsl.journal import (
    ENDED,
    Address,
    Header,
    Line,
    Location,
    Tail,
    TrialChange,
    TrialStatuses,
    reported_data,
    trial_folder,
)
from tunedsl.kernel import CopyCheckpoint, Event, Failed, Finish, Proposed, Reported, RetryRequested
from tunedsl.kernel.events import report_metrics
from tunedsl.sinks.contract import RunInfo, Sink, TrialRecord, flatten_config
from tunedsl.spaces.domains import Branch
from tunedsl.spaces.layout import index_space

POLL_SECONDS: Final = 0.2
REST_SECONDS: Final = 0.005
"""How long a thread that shares its process works at a stretch: as long as Python lets one run while others wait."""
REMOTE_POLL_SECONDS: Final = 2.0
"""Between two looks at an address."""

Say = Callable[[str], None]
"""Takes a message of one line for the user, or of several with the details behind the first."""


class SinkHandle:
    """One sink in the audience. What it raises ends its hearing, and is said once.

    Args:
        name: what messages call it.
        make: makes it.
        say: takes the message.
    """

    def __init__(self, name: str, make: Callable[[], Sink], say: Say) -> None:
        self.name = name
        self._say = say
        self._sink: Sink | None = None
        self.guard(lambda: setattr(self, "_sink", make()))

    @property
    def is_active(self) -> bool:
        """Whether the sink still hears."""
        return self._sink is not None

    def call(self, hook: str, *what: Any) -> None:
        """Calls a hook of the sink, if it is there."""
        sink = self._sink
        if sink is not None:
            self.guard(lambda: getattr(sink, hook)(*what))

    def report(self, trial: TrialRecord, row: dict[str, Any]) -> None:
        """`on_report`, without a detour: it is called for each row."""
        if self._sink is not None:
            try:
                self._sink.on_report(trial, row)
            except Exception as error:
                self._disable(error)

    def guard(self, call: Callable[[], None]) -> None:
        """Calls, and leaves the sink behind if that fails."""
        try:
            call()
        except Exception as error:
            self._disable(error)

    def _disable(self, error: Exception) -> None:
        self._sink = None
        what = str(error).strip().partition("\n")[0]
        trace = "".join(traceback.format_exception(error))
        self._say(f"the sink {self.name} failed and hears no more: {type(error).__name__}: {what}\n{trace}")


class Dispatcher:
    """Follows records and calls the hooks that they mean.

    Args:
        path: the experiment's folder, or its address.
        out: where files go.
        seats: who hears.
    """

    def __init__(self, path: Location, out: Path, seats: Iterable[SinkHandle]) -> None:
        self._path, self._out = path, out
        self._seats = tuple(seats)
        self._branches: frozenset[str] = frozenset()
        self._statuses = TrialStatuses()
        self._trials: dict[int, TrialRecord] = {}
        self._failed: dict[int, TrialRecord] = {}  # they may be run again

    @property
    def has_active_sinks(self) -> bool:
        """Whether anybody still hears."""
        return any(seat.is_active for seat in self._seats)

    def flush(self) -> None:
        """Says that this was all for now."""
        for seat in self._seats:
            seat.call("flush")

    def close(self) -> None:
        """Says that nothing more comes."""
        for seat in self._seats:
            seat.call("close")

    def dispatch(self, line: Line) -> None:
        """Tells of one record."""
        if line.h is not None:
            self._start(line.h)
        if line.e is not None:
            self._event(line.e)
            for command in line.c:
                if isinstance(command, CopyCheckpoint):
                    self._adopted(self._trials[command.trial], command.config)
            for change in self._statuses.take(line):
                self._changed(change)
            if any(isinstance(command, Finish) for command in line.c):
                for trial in list(self._trials.values()):
                    self._end(trial)

    def _folder(self, trial: TrialRecord) -> Path:
        return trial_folder(self._out, trial.id, trial.data, create_new=trial.changes > 0)

    def _start(self, header: Header) -> None:
        """The run, from the plan's data: its policies may be of classes that are not loaded here."""
        fields = header.plan["$value"][1]
        space = codec.decode(fields["space"])
        self._branches = frozenset("/".join(e.path) for e in index_space(space).params if isinstance(e.node, Branch))
        at = header.provenance.get("at")
        began = time.mktime(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")) if at else 0.0
        goals = codec.decode(fields["objectives"])
        name = self._path.name if isinstance(self._path, Address) else self._path.resolve().name
        run = RunInfo(fields["name"], name, self._path, self._out, goals, began)
        for seat in self._seats:
            seat.call("on_start", run)

    def _event(self, event: Event) -> None:
        if isinstance(event, Proposed):
            trial = TrialRecord(event.trial, event.name, {}, {}, event.config, self._folder)
            self._trials[event.trial] = trial
            self._configure(trial, event.config)
        elif isinstance(event, Reported) and event.trial in self._trials:
            self._reported(self._trials[event.trial], event)
        elif isinstance(event, RetryRequested):
            for number in event.trials:
                trial = self._trials[number] = self._failed.pop(number)
                trial.status, trial.error = "pending", ""
                self._tell_of(trial)

    def _changed(self, change: TrialChange) -> None:
        trial = self._trials.get(change.trial)
        if trial is None:
            return
        trial.status = change.status
        if isinstance(change.cause, Failed):
            trial.error = f"{change.cause.kind}: {change.cause.message}"
        if change.status in ENDED:
            self._end(trial)

    def _adopted(self, trial: TrialRecord, config: Json) -> None:
        trial.changes += 1
        self._configure(trial, config)

    def _configure(self, trial: TrialRecord, config: Json) -> None:
        trial.data = config
        trial.config = codec.decode(config, find_loaded)
        trial.params = flatten_config(trial.config, self._branches)
        self._tell_of(trial)

    def _tell_of(self, trial: TrialRecord) -> None:
        for seat in self._seats:
            seat.call("on_trial", trial)

    def _reported(self, trial: TrialRecord, event: Reported) -> None:
        for index, elapsed in enumerate(event.times):
            row: dict[str, Any] = {TRAINING_ITERATION: event.first + index, TIME_TOTAL: elapsed}
            row.update(report_metrics(event, index))
            if event.data:
                row.update(reported_data(event.data[index]))
            trial.metrics, trial.iterations = row, event.first + index
            trial.seconds = event.seconds - (event.times[-1] - elapsed)
            for seat in self._seats:
                seat.report(trial, row)

    def _end(self, trial: TrialRecord) -> None:
        if self._trials.pop(trial.number, None) is not None:
            if trial.status == "failed":
                self._failed[trial.number] = trial
            for seat in self._seats:
                seat.call("on_end", trial)


def dispatch_journal(
    path: Location,
    seats: Iterable[SinkHandle],
    out: Path,
    over: Callable[[], bool] = lambda: True,
    told: Callable[[int], None] = lambda count: None,
    share: float = 1.0,
) -> None:
    """Tells everything in a journal, and what comes, until it is over and all was told.

    Args:
        path: the experiment's folder, or its address.
        seats: who hears.
        out: where files go.
        over: whether nothing more will be written.
        told: hears now and then how many records were told.
        share: how much of the time telling may take before it is over; the rest is for others in the process.

    Raises:
        JournalError: when the journal is damaged; what stood before was told.
    """
    teller, tail = Dispatcher(path, out, seats), Tail(path)
    try:
        while teller.has_active_sinks:
            last = over()  # asked before reading: what is written then is read
            began = time.monotonic()
            lines = tail.read()
            for line in lines:
                teller.dispatch(line)
                taken = time.monotonic() - began
                if share < 1.0 and taken > REST_SECONDS:
                    _wait(over, taken * (1.0 / share - 1.0))
                    began = time.monotonic()
            if lines:
                teller.flush()
                told(tail.count)
            elif last:
                break
            else:
                _wait(over, REMOTE_POLL_SECONDS if isinstance(path, Address) else POLL_SECONDS)
    finally:
        teller.close()


def _wait(over: Callable[[], bool], seconds: float) -> None:
    """Until it is over, or so long."""
    deadline = time.monotonic() + seconds
    while not over() and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))

"""Dispatch of journal records to the hooks of sinks, to the journal's end or while it grows."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tunedsl.base import codec
from tunedsl.base.references import find_loaded
from tunedsl.base.types import TIME_TOTAL, TRAINING_ITERATION, Json
from tunedsl.journal import (
    ENDED,
    Address,
    Header,
    Journal,
    Line,
    Location,
    Tail,
    TrialChange,
    TrialStatuses,
    reported_data,
    trial_folder,
)
from tunedsl.kernel import Amended, CopyCheckpoint, Event, Failed, Finish, Proposed, Reopen, Reported, RetryRequested
from tunedsl.kernel.amending import with_defaults
from tunedsl.kernel.events import report_metrics
from tunedsl.sinks.contract import RunInfo, Sink, TrialRecord, flatten_config
from tunedsl.spaces.domains import Branch
from tunedsl.spaces.layout import index_space

POLL_SECONDS: Final = 0.2
REST_SECONDS: Final = 0.005
"""How long a thread that shares its process works at a stretch: as long as Python lets one run while others wait."""
REMOTE_POLL_SECONDS: Final = 2.0
"""Seconds between two reads from a remote address."""

Say = Callable[[str], None]
"""Receives a message for the user; lines after the first hold details."""


class SinkHandle:
    """One sink. An exception disables it and is reported once.

    Args:
        name: its name in messages.
        make: creates the sink.
        say: receives the message.
    """

    def __init__(self, name: str, make: Callable[[], Sink], say: Say) -> None:
        self.name = name
        self._say = say
        self._sink: Sink | None = None
        self.guard(lambda: setattr(self, "_sink", make()))

    @property
    def is_active(self) -> bool:
        """Whether the sink is enabled."""
        return self._sink is not None

    def call(self, hook: str, *what: Any) -> None:
        """Call a hook of the sink, if it is enabled."""
        sink = self._sink
        if sink is not None:
            self.guard(lambda: getattr(sink, hook)(*what))

    def report(self, trial: TrialRecord, row: dict[str, Any]) -> None:
        """Call `on_report` directly, since it runs for each row."""
        if self._sink is not None:
            try:
                self._sink.on_report(trial, row)
            except Exception as error:
                self._disable(error)

    def guard(self, call: Callable[[], None]) -> None:
        """Call a function, and disable the sink if it raises."""
        try:
            call()
        except Exception as error:
            self._disable(error)

    def _disable(self, error: Exception) -> None:
        self._sink = None
        what = str(error).strip().partition("\n")[0]
        trace = "".join(traceback.format_exception(error))
        self._say(f"the sink {self.name} failed and is disabled: {type(error).__name__}: {what}\n{trace}")


class Dispatcher:
    """Reads records and calls the matching hooks of the sinks.

    Args:
        path: the experiment's folder, or its address.
        out: the folder for files.
        handles: the sinks.
    """

    def __init__(self, path: Location, out: Path, handles: Iterable[SinkHandle]) -> None:
        self._path, self._out = path, out
        self._handles = tuple(handles)
        self._branches: frozenset[str] = frozenset()
        self._statuses = TrialStatuses()
        self._trials: dict[int, TrialRecord] = {}
        self._failed: dict[int, TrialRecord] = {}  # they may be run again
        self._kept: frozenset[int] = frozenset()  # trials whose records are kept after their end

    @property
    def has_active_sinks(self) -> bool:
        """Whether any sink is enabled."""
        return any(handle.is_active for handle in self._handles)

    def flush(self) -> None:
        """Flush all sinks."""
        for handle in self._handles:
            handle.call("flush")

    def close(self) -> None:
        """Close all sinks."""
        for handle in self._handles:
            handle.call("close")

    def dispatch(self, line: Line) -> None:
        """Dispatch one record."""
        if line.h is not None:
            self._start(line.h)
        if line.e is not None:
            if any(isinstance(command, Reopen) for command in line.c):
                self._restore(line)
            self._event(line.e)
            for command in line.c:
                if isinstance(command, CopyCheckpoint):
                    self._config_copied(self._trials[command.trial], command.config)
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
        for handle in self._handles:
            handle.call("on_start", run)

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
                self._notify_trial(trial)
        elif isinstance(event, Amended) and event.defaults:
            for trial in self._trials.values():
                self._config_copied(trial, with_defaults(trial.data, event.defaults))

    def _restore(self, line: Line) -> None:
        """Read the records of trials that continue after their end from the journal."""
        numbers = frozenset(command.trial for command in line.c if isinstance(command, Reopen))
        if not self._handles or numbers <= self._trials.keys():
            return
        past = Dispatcher(self._path, self._out, ())
        past._kept = numbers
        for earlier in islice(Journal(self._path).records(), line.n):
            past.dispatch(earlier)
        for number in sorted(numbers):
            trial = self._trials[number] = past._trials[number]
            trial.status = "pending"
            self._notify_trial(trial)

    def _changed(self, change: TrialChange) -> None:
        trial = self._trials.get(change.trial)
        if trial is None:
            return
        trial.status = change.status
        if isinstance(change.cause, Failed):
            trial.error = f"{change.cause.kind}: {change.cause.message}"
        if change.status in ENDED:
            self._end(trial)

    def _config_copied(self, trial: TrialRecord, config: Json) -> None:
        trial.changes += 1
        self._configure(trial, config)

    def _configure(self, trial: TrialRecord, config: Json) -> None:
        trial.data = config
        trial.config = codec.decode(config, find_loaded)
        trial.params = flatten_config(trial.config, self._branches)
        self._notify_trial(trial)

    def _notify_trial(self, trial: TrialRecord) -> None:
        for handle in self._handles:
            handle.call("on_trial", trial)

    def _reported(self, trial: TrialRecord, event: Reported) -> None:
        for index, elapsed in enumerate(event.times):
            row: dict[str, Any] = {TRAINING_ITERATION: event.first + index, TIME_TOTAL: elapsed}
            row.update(report_metrics(event, index))
            if event.data:
                row.update(reported_data(event.data[index]))
            trial.metrics, trial.iterations = row, event.first + index
            trial.seconds = event.seconds - (event.times[-1] - elapsed)
            for handle in self._handles:
                handle.report(trial, row)

    def _end(self, trial: TrialRecord) -> None:
        if trial.number not in self._kept and self._trials.pop(trial.number, None) is not None:
            if trial.status == "failed":
                self._failed[trial.number] = trial
            for handle in self._handles:
                handle.call("on_end", trial)


def dispatch_journal(
    path: Location,
    handles: Iterable[SinkHandle],
    out: Path,
    over: Callable[[], bool] = lambda: True,
    delivered: Callable[[int], None] = lambda count: None,
    share: float = 1.0,
) -> None:
    """Deliver all records of a journal, and new ones, until it is complete.

    Args:
        path: the experiment's folder, or its address.
        handles: the sinks.
        out: the folder for files.
        over: whether the journal is complete.
        delivered: receives the number of delivered records from time to time.
        share: share of time that delivery may use while the run continues, from 0 to 1.

    Raises:
        JournalError: when the journal is damaged; records before the damage are delivered.
    """
    dispatcher, tail = Dispatcher(path, out, handles), Tail(path)
    try:
        while dispatcher.has_active_sinks:
            last = over()  # checked before reading, so that the last records are read
            began = time.monotonic()
            lines = tail.read()
            for line in lines:
                dispatcher.dispatch(line)
                taken = time.monotonic() - began
                if share < 1.0 and taken > REST_SECONDS:
                    _wait(over, taken * (1.0 / share - 1.0))
                    began = time.monotonic()
            if lines:
                dispatcher.flush()
                delivered(tail.count)
            elif last:
                break
            else:
                _wait(over, REMOTE_POLL_SECONDS if isinstance(path, Address) else POLL_SECONDS)
    finally:
        dispatcher.close()


def _wait(over: Callable[[], bool], seconds: float) -> None:
    """Wait until the run is over, at most the given seconds."""
    deadline = time.monotonic() + seconds
    while not over() and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))

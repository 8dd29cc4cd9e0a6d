"""One trial's session: turns what the user's code reports into events, and tells it when to end.

The outbox is the only thing that the trial's thread and the thread that talks to the driver share.
"""

from __future__ import annotations

import math
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeVar

import attrs
import msgspec

from tunedsl.base import codec
from tunedsl.base.errors import CodecError, ReportError, StorageError
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import FunctionRef
from tunedsl.base.retry import retry_transient
from tunedsl.base.types import (
    AUTOMATIC_METRICS,
    TIME_THIS_ITER,
    TIME_TOTAL,
    TRAINING_ITERATION,
    Config,
    FailureKind,
    Json,
)
from tunedsl.kernel.events import Ended, Ending, Event, Failed, Number, Reported, Saved, Started
from tunedsl.plan import Plan
from tunedsl.plan.output import Output
from tunedsl.plan.settings import GRACE_SECONDS, Isolation
from tunedsl.schedulers.contract import DecisionPoints, is_due, scheduler_of
from tunedsl.stopping import compile_condition
from tunedsl.worker import tracing
from tunedsl.worker.api import ACTIVE, TrialInfo
from tunedsl.worker.checkpoints import CheckpointStorage, copy_from
from tunedsl.worker.grace import Grace

Verdict = Literal["continue", "stop"]
T = TypeVar("T")

MAX_ROWS: Final = 5_000
"""Rows that one event holds at the most."""
MAX_CELLS: Final = 1_000_000
"""Numbers in them."""
MAX_DATA_BYTES: Final = 2**24
"""Bytes of data, as JSON, from which on an event takes no further row."""
MAX_REPORT_BYTES: Final = 2**26
"""Bytes of data of one report: a journal is no place for files."""
FLUSH_AFTER_SECONDS: Final = 2.0
"""How long a trial has to run for its end to be told at once; that of short ones travels with others."""
FLUSH_SECONDS: Final = 0.1
SEND_SECONDS: Final = 0.005
"""How long a trial's end may take to leave its process."""
MAX_INT: Final = 2**63
"""Whole numbers from here on are kept as floats."""


class Assignment(msgspec.Struct, frozen=True):
    """A trial to run, as a worker gets it.

    Attributes:
        known: iterations that the journal holds already; they pass in silence.
        begun: whether the journal knows already that this attempt started.
        iteration: that of `checkpoint`, 0 without one.
        checkpoint: the place in the storage of the checkpoint to start from, or empty.
        elapsed: seconds that the trial has run before.
        resources: what the trial is given, as it sees it itself.
        shape: the same as canonical JSON of a `Resources` value, by which engines tell workers apart.
    """

    trial: int
    name: str
    attempt: int
    config: dict[str, Json]
    seed: int
    resources: dict[str, float]
    shape: str = ""
    known: int = 0
    begun: bool = False
    iteration: int = 0
    checkpoint: str = ""
    elapsed: float = 0.0


@attrs.frozen
class Shipment:
    """All that workers need of a plan, shipped once."""

    trainable: Callable[..., Any]
    form: str
    data: Mapping[str, Any]
    objects: Mapping[str, Any]
    stop: Any
    decision_points: DecisionPoints
    metric: str | None
    save_every: int | None
    save_at_end: bool
    save_at_decisions: bool
    timeout: float | None
    root: str
    storage: str
    idle: float | None = None
    isolate: Isolation = "pool"
    output: Output | None = None
    grace: float = GRACE_SECONDS

    @staticmethod
    def of(
        plan: Plan,
        data: Mapping[str, Any],
        objects: Mapping[str, Any],
        root: str,
        storage: str | None = None,
        output: Output | None = None,
    ) -> Shipment:
        """What `plan` ships.

        Args:
            objects: the live objects that configurations name.
            root: the experiment's folder.
            storage: where checkpoints are, a folder or an fsspec address; under `root` without it.
            output: where trials' output goes, in their folders.
        """
        needs = plan.objectives[0].metric if plan.objectives else None
        return Shipment(
            trainable=plan.trainable.resolve() if isinstance(plan.trainable, FunctionRef) else plan.trainable,
            form=plan.form,
            data=data,
            objects=objects,
            stop=plan.stop,
            decision_points=plan.decision_points,
            metric=needs,
            save_every=plan.checkpoint.every,
            save_at_end=plan.checkpoint.at_end,
            save_at_decisions=scheduler_of(plan.scheduler).requirements(plan.scheduler).checkpoints,
            timeout=plan.timeout,
            root=root,
            storage=storage or root,
            idle=plan.idle,
            isolate=plan.isolate,
            output=output,
            grace=plan.grace,
        )

    def config(self, assignment: Assignment) -> Config:
        """The assignment's configuration as live values."""
        live: Config = codec.decode(assignment.config, self.objects.__getitem__)
        return live


class Notice(msgspec.Struct, frozen=True, array_like=True, tag="noticed"):
    """What a user should hear of once, and nothing is decided by; `kind` says which of them are the same.

    What is `urgent` is said under `quiet` as well.
    """

    kind: str
    text: str
    urgent: bool = False


class Message(msgspec.Struct, frozen=True, array_like=True):
    """An event of one attempt at a trial, on its way to the driver; None once its worker is free."""

    trial: int
    attempt: int
    event: Event | Notice | None


class TrialStopped(BaseException):
    """Unwinds the user's code when its trial is over. Not an error, and not to be caught."""


class Outbox:
    """Events that wait to be fetched, and the signal that they should be fetched soon."""

    def __init__(self) -> None:
        self.ready = threading.Condition()
        self._urgent = False
        self._fetched = 0
        self._messages: list[Message] = []
        self._collecting: Session | None = None

    def put(self, session: Session, event: Event | Notice) -> None:
        """Adds an event behind what was collected."""
        with self.ready:
            self.seal()
            self._messages.append(Message(session.number, session.attempt, event))

    def worker_freed(self, trial: int, attempt: int, urgent: bool = False) -> None:
        """Says that an attempt holds its worker no more."""
        with self.ready:
            self.seal()
            self._messages.append(Message(trial, attempt, None))
            if urgent:
                self.wake_fetch()

    def collect(self, session: Session) -> None:
        """Says that `session` begins to collect rows, which the next `seal` makes an event."""
        with self.ready:
            self.seal()
            self._collecting = session

    def seal(self, waits: bool = False, ends: Ending = "", saved: str = "") -> None:
        """Makes one event of the rows collected up to now."""
        with self.ready:
            session, self._collecting = self._collecting, None
            if session is not None:
                self._messages.append(Message(session.number, session.attempt, session.batch(waits, ends, saved)))

    def wake_fetch(self) -> None:
        """Lets a fetch that waits return now."""
        with self.ready:
            self._urgent = True
            self.ready.notify_all()

    def wait(self, seconds: float) -> bool:
        """Waits until somebody should fetch, or for `seconds`; says whether there is anything."""
        with self.ready:
            self.ready.wait_for(lambda: self._urgent, seconds)
            return self._urgent or bool(self._messages) or self._collecting is not None

    def flush(self, seconds: float) -> None:
        """Waits until what is here was fetched, or for `seconds`."""
        with self.ready:
            self.wake_fetch()
            before = self._fetched
            self.ready.wait_for(lambda: self._fetched != before, seconds)

    def take(self) -> list[Message]:
        """All events up to now."""
        with self.ready:
            self._fetched += 1
            self.ready.notify_all()
            self.seal()
            messages, self._messages, self._urgent = self._messages, [], False
            return messages


class NoLock:
    """Whose turn it is to run, where workers share one thread of work; here nobody has to wait.

    Attributes:
        wanted: whether somebody waits for it.
        shared: whether who fetches events needs it, too.
    """

    wanted: bool = False
    shared: bool = False

    def acquire(self) -> None: ...
    def release(self) -> None: ...
    def rotate(self) -> None: ...


class Session:
    """The worker's side of one attempt at a trial.

    Args:
        shipment: what the plan ships.
        assignment: which trial, from where.
        outbox: where its events go.
        turn: given back wherever the trial waits.

    Attributes:
        unreadable_checkpoint: the checkpoint that is being read, or could not be; empty once it was.
        forked: whether this is the copy of a forked child, which can report nothing.
        grace: how long the user's code has run on after the trial's end.
    """

    def __init__(self, shipment: Shipment, assignment: Assignment, outbox: Outbox, turn: NoLock) -> None:
        self.number, self.attempt = assignment.trial, assignment.attempt
        self.shipment, self.assignment, self.outbox = shipment, assignment, outbox
        self.halted = False
        self.is_over = self.forked = False
        self.iteration = assignment.iteration
        self.unreadable_checkpoint = ""
        self.grace = Grace(shipment.grace)
        self._turn = turn
        self._thread = threading.get_ident()
        self._under_way = False
        self._failure: Failed | None = None
        self._rule = compile_condition(shipment.stop).new_evaluator() if shipment.stop is not None else None
        self._verdict: Verdict | None = None
        self._storage = CheckpointStorage(shipment.storage)
        self._checkpoint = assignment.checkpoint or None
        self._copy: Path | None = None
        self._began = self._before = time.perf_counter()
        self._paused = 0.0
        self._lock = outbox.ready
        self._keys: tuple[str, ...] = ()
        self._first = 0
        self._rows: list[tuple[Number, ...]] = []
        self._times: list[float] = []
        self._data: list[dict[str, Json]] = []
        self._most = MAX_ROWS
        self._size = 0

    def begin(self) -> None:
        """Says that the attempt started, fetches what it starts from, and starts its clock."""
        assignment = self.assignment
        if not assignment.begun:
            self.outbox.put(self, started_event(assignment))
        self.info = TrialInfo(
            id=assignment.name,
            number=assignment.trial,
            config=self.shipment.config(assignment),
            seed=assignment.seed,
            resources=assignment.resources,
            attempt=assignment.attempt,
            iteration=assignment.iteration,
            checkpoint=self._fetched(assignment.checkpoint) if assignment.checkpoint else None,
            root=self.shipment.root,
            params=assignment.config,
        )
        self._began = self._before = time.perf_counter()
        self._under_way = True

    def report(
        self,
        metrics: Mapping[str, Any],
        checkpoint: str | os.PathLike[str] | None = None,
        save: Callable[[Path], None] | None = None,
        last: bool = False,
    ) -> None:
        """Takes one iteration's report; raises `TrialStopped` when the trial ends with it.

        Args:
            checkpoint: a folder to copy, from users.
            save: writes a checkpoint into a folder when the policy says that one is due.
            last: the user's code has come back with this report.
        """
        if self.forked:
            raise ReportError(
                f"report() was called in a process that trial {self.info.id} forked: "
                f"return what is to be reported, and report it from the trial's own process"
            )
        if self.halted or self.is_over:  # over: the code has swallowed TrialStopped before
            self._finish()
        now = time.perf_counter()
        self.iteration = iteration = self.iteration + 1
        elapsed = self.assignment.elapsed + now - self._began
        keys, values, data = split_metrics(metrics)
        row_written = tuple([to_journal_number(value) for value in values])
        size = _size_of_all(data) if data else 0
        if keys != self._keys:
            for name in keys:
                _size_of(name)
        rule = self._rule
        ends: Ending = "returned" if last else ""
        if rule is not None:
            row = {**data, **dict(zip(keys, values, strict=True))}
            row[TRAINING_ITERATION], row[TIME_TOTAL], row[TIME_THIS_ITER] = iteration, elapsed, now - self._before
            if rule(self.info.id, row):
                ends = "rule"
        overdue = self.exceeded_limit(now)
        self._before = now
        if iteration <= self.assignment.known:
            if last:
                self.end()
            return
        if overdue is not None:
            self.fail_for_timeout(*overdue)
            self._finish()
        waits = not ends and is_due(self.shipment.decision_points, iteration)
        if waits and self.shipment.metric is not None and self.shipment.metric not in metrics:
            raise ReportError(
                f"iteration {iteration} decides by {self.shipment.metric!r}, which was not reported: "
                f"{did_you_mean(self.shipment.metric, metrics)}"
            )
        saved = ""
        if checkpoint is not None:
            saved = self._save(copy_from(checkpoint))
        elif save is not None and self._due(ends, waits):
            saved = self._save(save)
        elif waits and self.shipment.save_at_decisions:
            raise ReportError(
                f"at iteration {iteration} the scheduler may pause this trial: report it with checkpoint=folder"
            )
        with self._lock:
            full = len(self._rows) >= self._most or self._size >= MAX_DATA_BYTES
            if full or keys != self._keys or bool(data) != bool(self._data):
                self.outbox.seal()
                self._keys = keys
                self._most = max(1, min(MAX_ROWS, MAX_CELLS // max(1, len(keys))))
            if not self._rows:
                self._first = iteration
                self.outbox.collect(self)
            self._rows.append(row_written)
            self._times.append(elapsed)
            if data:
                self._data.append(data)
                self._size += size
            if waits:
                self._verdict = "stop" if self.halted else None
                self.outbox.wake_fetch()
            if waits or ends or saved:
                self.outbox.seal(waits, ends, saved)
        if ends:
            self._finish()
        if waits:
            self._wait()
        elif self._turn.wanted:
            self._pass_turn()

    def fork(self) -> None:
        """Cuts this copy off in a forked child: nobody fetches what is put there."""
        self.is_over = self.forked = True

    def save(self, write: Callable[[Path], None]) -> None:
        """Saves at the end of a trial that ends between two reports, where the policy asks for it."""
        if self.shipment.save_at_end and self.iteration > self.assignment.known:
            self.outbox.put(self, Saved(0.0, self.number, self.iteration, self._save(write)))

    def batch(self, waits: bool, ends: Ending, saved: str) -> Reported:
        """The rows collected up to now as one event; the outbox calls it under its lock."""
        event = Reported(
            0.0,
            self.number,
            self._first,
            self._keys,
            tuple(self._rows),
            tuple(self._times),
            waits,
            ends,
            saved,
            tuple(self._data),
        )
        self._rows, self._times, self._data, self._size = [], [], [], 0
        return event

    def is_attempt(self, trial: int, attempt: int) -> bool:
        """Whether this is the session of that attempt."""
        return self.number == trial and self.attempt == attempt

    def proceed(self) -> None:
        """Lets the trial that waits for a decision go on. Called from another thread."""
        self._set_verdict("continue")

    def halt(self) -> None:
        """Ends the trial at its next report, with no further event. Called from another thread."""
        self.halted = True
        self.grace.begin(time.perf_counter())
        self._set_verdict("stop")

    def end(self) -> None:
        """The user's code came back by itself."""
        self.grace.begin(time.perf_counter())
        if not self.is_over:
            self.is_over = True
            self.outbox.put(self, Ended(0.0, self.number, self.iteration))

    def fail(self, event: Failed) -> None:
        """The attempt failed."""
        self.grace.begin(time.perf_counter())
        if not self.is_over:
            self.is_over = True
            self.outbox.put(self, event)

    def clean_up(self, failure: Failed | None) -> None:
        """The user's code has nothing to do any more but to clean up; `failure` is what it has come to."""
        self._under_way, self._failure = False, failure
        self.grace.begin(time.perf_counter())
        self._tell_of_the_end()

    def excess(self) -> str:
        """What the user's code has done beyond the grace period, and where it is; empty while it is within."""
        excess = self.grace.excess(time.perf_counter())
        if not excess:
            return ""
        place = tracing.line_of_thread(self._thread)
        return f"trial {self.assignment.name} {excess}, {f'at {place}' if place else 'outside of Python code'}"

    def abandon(self) -> None:
        """Gives up waiting for the user's code; what the trial came to stays. Called from another thread."""
        self.grace.abandoned = True
        ACTIVE.discard(self._thread)
        if self._failure is not None:
            self.fail(self._failure)
        self.end()

    def exceeded_limit(self, now: float) -> tuple[FailureKind, str] | None:
        """By which limit of time the attempt is over, and what to say of it; `now` as `time.perf_counter` has it."""
        limits = self.shipment
        if self.is_over or not self._under_way:
            return None
        if limits.timeout is not None and now - self._began - self._paused > limits.timeout:
            return "timeout", f"ran for more than {limits.timeout:g} s"
        if limits.idle is not None and now - self._before > limits.idle:
            return "idle", f"did not report for {limits.idle:g} s"
        return None

    def fail_for_timeout(self, kind: FailureKind, text: str) -> None:
        """Fails the attempt for its time, with the place where its code is. Called from any thread."""
        where = tracing.format_thread(self._thread)
        self.halted = True
        self.fail(Failed(0.0, self.number, kind, text, where and f"{where}{kind}: {text}\n"))

    def _finish(self) -> NoReturn:
        first, self.is_over = not self.is_over, True
        if first:
            self._tell_of_the_end()
        self.grace.stop(time.perf_counter())
        raise TrialStopped

    def _tell_of_the_end(self) -> None:
        """Has events fetched before the user's code cleans up: it may be C code that lets no other thread run."""
        if not self._turn.shared and time.perf_counter() - self._began >= FLUSH_AFTER_SECONDS:
            self.outbox.flush(FLUSH_SECONDS)
            time.sleep(SEND_SECONDS)

    def _wait(self) -> None:
        """Waits for the verdict on the last report, outside the limits of time."""
        self._under_way, since = False, time.perf_counter()
        self._turn.release()
        with self._lock:
            self._lock.wait_for(lambda: self._verdict is not None)
        self._turn.acquire()
        if self._verdict != "continue":
            self._finish()
        self._resume_clock(since)

    def _pass_turn(self) -> None:
        """Lets others have their turn, outside the limits of time."""
        self._under_way, since = False, time.perf_counter()
        self._turn.rotate()
        if self.halted:
            self._finish()
        self._resume_clock(since)

    def _resume_clock(self, since: float) -> None:
        """The user's code runs on; what happened since then was not its time."""
        self._before = time.perf_counter()
        self._paused += self._before - since
        self._under_way = True

    def _set_verdict(self, verdict: Verdict) -> None:
        with self._lock:
            self._verdict = verdict
            self._lock.notify_all()

    def _due(self, ends: Ending, waits: bool) -> bool:
        every = self.shipment.save_every
        if waits and self.shipment.save_at_decisions:
            return True
        return (every is not None and self.iteration % every == 0) or (ends != "" and self.shipment.save_at_end)

    def _save(self, write: Callable[[Path], None]) -> str:
        """Writes a checkpoint whole, outside the limits of time; gives its place in the storage."""
        place = f"trials/{self.assignment.name}/checkpoints/{self.iteration:08d}"
        self._under_way, since = False, time.perf_counter()
        try:
            self._retry_storage(lambda: self._storage.write(place, write, self._checkpoint))
        finally:
            self._resume_clock(since)
        self._checkpoint = place
        return place

    def release_checkpoint(self) -> None:
        """Removes the copy of the checkpoint that the attempt started from, where it was downloaded."""
        if self._copy is not None:
            self._storage.release(self._copy)

    def _fetched(self, place: str) -> Path:
        self.unreadable_checkpoint = place
        self._copy = self._retry_storage(lambda: self._storage.fetch(place))
        self.unreadable_checkpoint = ""
        return self._copy

    def load(self, load: Callable[[Path], None], checkpoint: Path) -> None:
        """Lets the user's code read what the attempt starts from."""
        self.unreadable_checkpoint = self.assignment.checkpoint
        load(checkpoint)
        self.unreadable_checkpoint = ""

    def _retry_storage(self, action: Callable[[], T]) -> T:
        """Waits for storage, which is no failure of a trial that is to end meanwhile."""
        try:
            return retry_transient(action, lambda: self.halted, self._sleep, self._notify_storage_full)
        except StorageError:
            if self.halted:
                self._finish()
            raise

    def _notify_storage_full(self, text: str) -> None:
        self.outbox.put(self, Notice("full storage", text))

    def _sleep(self, seconds: float) -> None:
        self._turn.release()
        time.sleep(seconds)
        self._turn.acquire()


def started_event(assignment: Assignment) -> Started:
    """Says that an attempt started in this process."""
    return Started(0.0, assignment.trial, assignment.attempt, f"{platform.node()}/{os.getpid()}")


def split_metrics(metrics: Mapping[str, Any]) -> tuple[tuple[str, ...], list[Any], dict[str, Json]]:
    """Names and values of what is a number, and the rest as data.

    Raises:
        ReportError: for names that are no strings or taken, and for values that cannot be kept.
    """
    data: dict[str, Json] = {}
    values: list[Any] = []
    plain = True
    for value in metrics.values():
        kind = type(value)
        if kind is float or kind is int or kind is bool:
            values.append(value)
        else:
            plain = False
            break
    if plain and not _RESERVED_METRICS.intersection(metrics):
        try:
            return _names(metrics), values, data
        except TypeError:
            pass
    keys: list[str] = []
    values = []
    for name, value in metrics.items():
        if not isinstance(name, str):
            raise ReportError(f"a report's names are strings, found {name!r} ({type(name).__name__})")
        if name in _RESERVED_METRICS:
            raise ReportError(f"{name!r} is counted automatically and cannot be reported: choose another name")
        number = _number(value)
        if number is not None:
            keys.append(name)
            values.append(number)
            continue
        try:
            data[name] = codec.encode(value.tolist() if hasattr(value, "tolist") else value)
        except CodecError as error:
            raise ReportError(f"{name!r} cannot be kept: {error}") from None
        except RecursionError:
            raise ReportError(f"{name!r} cannot be kept: it is nested too deeply, or holds itself") from None
    return tuple(keys), values, data


_RESERVED_METRICS = frozenset(AUTOMATIC_METRICS)


def _names(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    keys = tuple(metrics)
    "".join(keys)  # raises TypeError for a name that is no string, faster than a loop
    return keys


def _number(value: Any) -> float | int | None:
    """`value` as a Python number: numbers, NumPy scalars, one-element arrays and tensors."""
    if hasattr(value, "item"):
        count = value.numel() if hasattr(value, "numel") else getattr(value, "size", 1)
        value = value.item() if count == 1 else None
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else None


def to_journal_number(value: float | int) -> Number:
    """A metric's value as a journal has it.

    Raises:
        ReportError: for a whole number that is too large for a float.
    """
    if type(value) is float:
        return value if math.isfinite(value) else repr(value)
    if -MAX_INT < value < MAX_INT:
        return value
    try:
        return float(value)
    except OverflowError:
        raise ReportError("a number is larger than any float: report its logarithm, or as text") from None


def _size_of_all(data: Mapping[str, Json]) -> int:
    """Bytes of a report's data as JSON.

    Raises:
        ReportError: when a journal cannot have it.
    """
    size = sum(_size_of(name, part) for name, part in data.items())
    if size > MAX_REPORT_BYTES:
        hint = "write it to a file in trial().path"
        raise ReportError(f"{size:,} bytes of data in one report: at most {MAX_REPORT_BYTES:,} can be kept; {hint}")
    return size


def _size_of(name: str, item: Json = None) -> int:
    try:
        return len(msgspec.json.encode({name: item}))
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:  # a lone surrogate; thousands of digits
        raise ReportError(f"{name!r:.80} cannot be kept: {error}") from None

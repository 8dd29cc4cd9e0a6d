"""One trial's session: turns what the user's code reports into events, and tells it when to end.

The outbox is the only thing that the trial's thread and the thread that talks to the driver share.
"""

from __future__ import annotations

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
from tunedsl.base.errors import ReportError, StorageError
from tunedsl.base.references import FunctionRef, import_reference
from tunedsl.base.retry import retry_transient
from tunedsl.base.types import Config, FailureKind, Json
from tunedsl.journal import is_address
from tunedsl.kernel.events import Ended, Ending, Event, Failed, Number, Reported, Saved, Started
from tunedsl.plan import Plan
from tunedsl.plan.output import Output
from tunedsl.plan.settings import GRACE_SECONDS, Isolation
from tunedsl.schedulers.contract import DecisionPoints, scheduler_of
from tunedsl.stopping import compile_condition
from tunedsl.worker import tracing
from tunedsl.worker.api import ACTIVE, TrialInfo
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.data import DataViews
from tunedsl.worker.folder_copy import copy_from
from tunedsl.worker.grace import Grace
from tunedsl.worker.report_rules import ReportRules, Row

Verdict = Literal["continue", "stop"]
T = TypeVar("T")

MAX_ROWS: Final = 5_000
"""Rows that one event holds at the most."""
MAX_CELLS: Final = 1_000_000
"""Numbers in them."""
MAX_DATA_BYTES: Final = 2**24
"""Bytes of data, as JSON, from which on an event takes no further row."""
FLUSH_AFTER_SECONDS: Final = 2.0
"""How long a trial has to run for its end to be told at once; that of short ones travels with others."""
FLUSH_SECONDS: Final = 0.1
SEND_SECONDS: Final = 0.005
"""How long a trial's end may take to leave its process."""


class Assignment(msgspec.Struct, frozen=True):
    """A trial to run, as a worker gets it.

    Attributes:
        known: iterations that the journal holds already; they pass in silence.
        begun: whether the journal knows already that this attempt started.
        iteration: that of `checkpoint`, 0 without one.
        checkpoint: the place in the storage of the checkpoint to start from, or empty.
        elapsed: seconds that the trial has run before.
        unreported: the objectives' metrics that it has not reported yet.
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
    unreported: tuple[str, ...] = ()


@attrs.frozen
class Shipment:
    """All that workers need of a plan, shipped once."""

    trainable: Callable[..., Any]
    form: str
    data: Mapping[str, Any]
    objects: Mapping[str, Any]
    stop: Any
    decision_points: DecisionPoints
    objectives: tuple[str, ...]
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
        return Shipment(
            trainable=plan.trainable.resolve() if isinstance(plan.trainable, FunctionRef) else plan.trainable,
            form=plan.form,
            data=data,
            objects=objects,
            stop=plan.stop,
            decision_points=plan.decision_points,
            objectives=tuple(goal.metric for goal in plan.objectives),
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
        live: Config = codec.decode(assignment.config, self._object)
        return live

    def _object(self, reference: str) -> Any:
        return self.objects[reference] if reference in self.objects else import_reference(reference)

    def rules(self, assignment: Assignment) -> ReportRules:
        """What the reports of an attempt are held to."""
        rule = compile_condition(self.stop).new_evaluator() if self.stop is not None else None
        return ReportRules(assignment.name, self.objectives, assignment.unreported, self.decision_points, rule)


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
        data: gives the objects of `.data(...)`; attempts of one worker share it.

    Attributes:
        unreadable_checkpoint: the checkpoint that is being read, or could not be; empty once it was.
        forked: whether this is the copy of a forked child, which can report nothing.
        grace: how long the user's code has run on after the trial's end.
    """

    def __init__(
        self,
        shipment: Shipment,
        assignment: Assignment,
        outbox: Outbox,
        turn: NoLock,
        data: DataViews | None = None,
    ) -> None:
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
        self._rules = shipment.rules(assignment)
        self._verdict: Verdict | None = None
        self._data_views = data or DataViews(shipment.data)
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

    def data(self) -> dict[str, Any]:
        """The objects of `.data(...)` for this attempt."""
        return self._data_views.fresh()

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
        self.iteration += 1
        try:
            self._take(metrics, checkpoint, save, last)
        except (ReportError, StorageError):
            self.iteration -= 1  # nothing was reported: where the user's code goes on, the next report has its number
            raise

    def _take(
        self,
        metrics: Mapping[str, Any],
        checkpoint: str | os.PathLike[str] | None,
        save: Callable[[Path], None] | None,
        last: bool,
    ) -> None:
        now = time.perf_counter()
        elapsed = self.assignment.elapsed + now - self._began
        row = self._rules.take(metrics, self.iteration, elapsed, now - self._before, last)
        overdue = self.exceeded_limit(now)
        self._before = now
        if self.iteration <= self.assignment.known:
            self._pass_known(row.ends)
            return
        if overdue is not None:
            self.fail_for_timeout(*overdue)
            self._finish()
        failure = self._rules.failure(self.number) if row.ends else None
        ends: Ending = row.ends if failure is None else ""
        plain = checkpoint is None and save is None and not row.waits
        saved = "" if plain else self._saved(checkpoint, save, ends, row.waits)
        self._collect(row, elapsed, ends, saved)
        if self._rules.is_first and (warning := self._rules.warning()):
            self.outbox.put(self, Notice("unreported objective", warning))
        if failure is not None:
            self.fail(failure)
        if ends or failure is not None:
            self._finish()
        if row.waits:
            self._wait()
        elif self._turn.wanted:
            self._pass_turn()

    def _pass_known(self, ends: Ending) -> None:
        """A report that the journal has already: it ends nothing, unless the user's code is over or has to fail."""
        if ends == "returned":
            self.end()
        elif ends and self._rules.unreported:
            self.end()
            self._finish()

    def _saved(
        self,
        checkpoint: str | os.PathLike[str] | None,
        save: Callable[[Path], None] | None,
        ends: Ending,
        waits: bool,
    ) -> str:
        """Saves what goes with a report, if anything; gives its place in the storage, or nothing."""
        if checkpoint is not None:
            return self._save(copy_from(checkpoint, Path(self.shipment.root), self._local_checkpoints()))
        if save is not None and self._due(ends, waits):
            return self._save(save)
        if waits and self.shipment.save_at_decisions:
            text = f"at iteration {self.iteration} the scheduler may pause this trial: report it with checkpoint=folder"
            raise ReportError(text)
        return ""

    def _local_checkpoints(self) -> Path | None:
        """The folder of the trial's checkpoints, None where they are at an address."""
        storage = self.shipment.storage
        return None if is_address(storage) else Path(storage) / "trials" / self.assignment.name / "checkpoints"

    def _collect(self, row: Row, elapsed: float, ends: Ending, saved: str) -> None:
        """Puts a row behind those collected; one that something hangs on is sealed at once."""
        with self._lock:
            full = len(self._rows) >= self._most or self._size >= MAX_DATA_BYTES
            if full or row.keys != self._keys or bool(row.data) != bool(self._data):
                self.outbox.seal()
                self._keys = row.keys
                self._most = max(1, min(MAX_ROWS, MAX_CELLS // max(1, len(row.keys))))
            if not self._rows:
                self._first = self.iteration
                self.outbox.collect(self)
            self._rows.append(row.numbers)
            self._times.append(elapsed)
            if row.data:
                self._data.append(row.data)
                self._size += row.size
            if row.waits:
                self._verdict = "stop" if self.halted else None
                self.outbox.wake_fetch()
            if row.waits or ends or saved:
                self.outbox.seal(row.waits, ends, saved)

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
        """The user's code came back by itself: the trial has ended, or fails where it reported no objective."""
        self.grace.begin(time.perf_counter())
        if not self.is_over:
            self.is_over = True
            self.outbox.put(self, self._rules.failure(self.number) or Ended(0.0, self.number, self.iteration))

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

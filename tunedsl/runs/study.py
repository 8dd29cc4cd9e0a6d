"""A study: an open run for ask and tell, from any number of threads.

Each call is a step of the driver. Its effect is in the journal before it returns. `runs.opening` opens studies;
`runs.asking` serves other processes.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tunedsl.backends.external import AskedAttempt, ExternalEngine
from tunedsl.base import codec
from tunedsl.base.arguments import as_number
from tunedsl.base.errors import ArgumentError, ReportError, StorageError, TunedslError
from tunedsl.base.interrupts import handled_interrupts
from tunedsl.journal import JournalStatus, Mark, Writer
from tunedsl.journal.requests import AskRequest, Reply, TellRequest
from tunedsl.kernel import Ended, Event, Failed, Reported
from tunedsl.kernel.amending import max_trials
from tunedsl.plan import Plan
from tunedsl.runs.asked_trial import AskedTrial, downtime_of, trial_data, which_trial, why_none, why_not_outstanding
from tunedsl.runs.setup import RunSetup, begin_driver, open_outlets
from tunedsl.runs.study_context import StudyContext
from tunedsl.views.base import NullView
from tunedsl.worker import Notice
from tunedsl.worker.api import GivenCheckpoint, joined_metrics
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.tracing import message_of

if TYPE_CHECKING:
    from tunedsl.results import Results

POLL_SECONDS: Final = 0.1
"""How often a waiting study looks for requests of other processes."""


class Study(StudyContext):
    """An open run whose trials the caller evaluates, from `experiment.open()`; also a context manager.

    Example:
        >>> with experiment.open() as study:                     # doctest: +SKIP
        ...     for trial in study:
        ...         study.tell(trial, loss=evaluate(trial.config))
    """

    def __init__(
        self, setup: RunSetup, writer: Writer, engine: ExternalEngine, status: JournalStatus | None = None
    ) -> None:
        super().__init__(setup)
        self._engine, self._writer = engine, writer
        self._changed = threading.Condition(threading.RLock())
        self._handles: dict[int, AskedTrial] = {}
        self._unusable, self._answering = "", False
        self._told = frozenset() if status is None else status.told
        self._asker = f"{platform.node()}/{os.getpid()}"
        self._closing = contextlib.ExitStack()
        try:
            with handled_interrupts() as interrupts, interrupts.raising():
                self._driver = begin_driver(setup, writer, NullView())
            self._driver.wanted, self._driver.requests.asked = 0, {}
            engine.clock, engine.width = self._driver.seconds, max(1, self._driver.state.width)
            downtime = 0.0 if status is None else downtime_of(status, self._driver.state, engine.wall_clock())
            seconds = self._driver.state.seconds + downtime
            opened = {"lease": engine.lease, "time": engine.wall_clock(), "seconds": seconds}
            open_outlets(setup, writer, self._closing, opened)
            self._driver.start(downtime)
            if interrupts.requested:
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            self._close("interrupted")
            raise self._interrupted(interrupts) from None
        except BaseException:
            self._close("failed")
            raise
        self._earlier = deque(sorted(engine.attempts))

    def __repr__(self) -> str:
        return f"<Study of {self._setup.plan.name} in {self.path}>"

    @property
    def plan(self) -> Plan:
        """The compiled plan of the experiment, as it is amended now."""
        return self._driver.plan

    @property
    def finished(self) -> bool:
        """Whether the experiment is over: all trials have ended, or a budget or a request has ended it."""
        return self._driver.state.finished

    @property
    def is_over(self) -> bool:
        """Whether no more trials can be asked for in this session: the run is finished, paused or suspended."""
        return bool(self.finished or self._driver.paused is not None or self._driver.suspended)

    @property
    def outstanding(self) -> tuple[AskedTrial, ...]:
        """The trials that were asked for and have not ended, including those of earlier sessions.

        A trial whose checkpoint cannot be read fails. The next `ask` returns it as `.retry(storage=...)` allows.
        """
        with self._changed:
            held = sorted(self._engine.attempts.items())
            return tuple(self._handle(attempt) for _, attempt in held if self._fetch(attempt))

    @property
    def results(self) -> Results:
        """The results so far, as `tunedsl.load` reads them."""
        from tunedsl.results import load

        with self._changed:
            results = load(self._setup.home)
        results.definition = self._setup.plan.definition
        return results

    def ask(self, wait: float = 0.0) -> AskedTrial | None:
        """The next trial to evaluate: one to run again, one that the scheduler resumes, or a new one.

        Args:
            wait: seconds to wait while no trial is available; `math.inf` waits as long as one may become available.

        Returns:
            None when there is no trial now: the experiment is over (`finished`), `.parallel(n)` trials are outstanding,
            the searcher waits for results, or a retry waits for its delay.

        Raises:
            TunedslError: when the study is closed.
        """
        deadline = time.monotonic() + as_number("ask.wait", wait)
        with self._changed:
            while True:
                attempt = self._claim(self._asker)
                if attempt is not None:
                    return self._handle(attempt)
                left = deadline - time.monotonic()
                if left <= 0 or self.is_over or not self._may_change():
                    return None
                self._changed.wait(min(left, POLL_SECONDS))

    def __iter__(self) -> Iterator[AskedTrial]:
        """The trials that an earlier session left outstanding, then new ones, until the experiment is over.

        While no trial is available, it waits for other threads or processes to tell the outstanding ones.
        """
        while True:
            with self._changed:
                number = self._earlier.popleft() if self._earlier else None
                attempt = None if number is None else self._engine.attempts.get(number)
                trial = self._handle(attempt) if attempt is not None and self._fetch(attempt) else None
            if number is None:
                trial = self.ask(math.inf)
                if trial is None:
                    return
            if trial is not None:
                yield trial

    def tell(
        self,
        trial: AskedTrial | int | str,
        metrics: Mapping[str, Any] | None = None,
        /,
        *,
        checkpoint: GivenCheckpoint = None,
        **more: Any,
    ) -> bool:
        """Report a trial and end it.

        Args:
            trial: a trial, or its number or name; `"17:0"` is the first attempt at trial 17.
            metrics: names and values, as a mapping or as keywords.
            checkpoint: as for `trial.report`.

        Returns:
            Whether the result was recorded; False when the experiment had already stopped the trial.

        Raises:
            ReportError: for an invalid report, and for a trial that is not outstanding: it has ended, or its lease has
                expired. Nothing is recorded.
        """
        return self._tell(trial, joined_metrics("tell", metrics, more, checkpoint), checkpoint, last=True) is not None

    def serve(self) -> Results:
        """Answer `tunedsl ask` and `tunedsl tell` of other processes until the experiment is over."""
        with self._changed:
            while not self.is_over:
                self._turn()
                self._changed.wait(POLL_SECONDS / 2)
        return self.results

    def turn(self) -> None:
        """Answer the waiting requests of other processes once, and fail trials whose lease has expired."""
        with self._changed:
            self._turn()

    def close(self) -> None:
        """Close the run, so that `experiment.open(path)` continues it if it is not finished."""
        with self._changed:
            if self._unusable == "it is closed":
                return
            count = len(self._engine.attempts)
            open_text = f"paused: {count} trial{' is' if count == 1 else 's are'} outstanding"
            self._close(self._unusable or ("finished" if self.finished else open_text))

    def _close(self, why: str) -> None:
        with handled_interrupts(), self._closing:  # sinks receive the last records as well
            self._unusable = "it is closed"
            driver = getattr(self, "_driver", None)  # none if the experiment's journal could not be followed
            if driver is not None:
                driver.close()
            self._writer.mark(Mark(closed=why))
            self._writer.close()

    def _may_change(self) -> bool:
        """Whether a trial may become available without a call of this thread."""
        return bool(self._driver.state.live)

    def _turn(self, proposes: bool = False) -> None:
        """One step of the driver. After a failure the study is unusable; the journal has all effects.

        Args:
            proposes: whether the step requests a proposal of the searcher.
        """
        self._check_usable()
        self._rearm()
        try:
            if proposes:
                self._request_trial()
            self._driver.turn()
        except BaseException as error:
            self._unusable = f"failed: {message_of(error).partition(chr(10))[0]}"
            raise
        finally:
            self._driver.wanted = 0
        if self._driver.requests.asked and not self._answering:
            self._answering = True
            try:
                self._answer_requests()
            finally:
                self._answering = False
        if len(self._handles) > len(self._engine.attempts):
            for number in self._handles.keys() - self._engine.attempts.keys():
                del self._handles[number]
            self._changed.notify_all()

    def _check_usable(self) -> None:
        if self._unusable:
            raise TunedslError(
                f"The study cannot be used: {self._unusable}.\n  help: experiment.open({str(self.path)!r})"
            )

    def _claim(self, asker: str) -> AskedAttempt | None:
        """Assign the next attempt to an asker; its start is then in the journal."""
        while True:
            self._turn(proposes=not self._engine.has_ready() and not self.is_over)
            attempt = self._engine.claim(asker)
            if attempt is None:
                return None
            self._turn()
            if self._engine.attempts.get(attempt.assignment.trial) is attempt and self._fetch(attempt):
                return attempt

    def _request_trial(self) -> None:
        """Make the next step of the driver take one proposal; raise the run's width if needed and allowed."""
        state = self._driver.state
        is_full = not state.proposing and state.width <= len(state.live)
        has_more = state.queued or (not state.exhausted and state.next_trial < max_trials(self.plan))
        if is_full and has_more and self.plan.parallel is None and not state.closing_reason:
            self._driver.widen()
        self._driver.wanted = 1

    def _fetch(self, attempt: AskedAttempt) -> bool:
        """Make the handle of an attempt, with its checkpoint; an unreadable checkpoint fails the attempt."""
        try:
            self._handle(attempt)
        except StorageError as error:
            assignment = attempt.assignment
            failed = Failed(0.0, assignment.trial, "storage", str(error), unreadable_checkpoint=assignment.checkpoint)
            self._engine.send(attempt, [failed], ends=True)
            self._turn()
            return False
        return True

    def _handle(self, attempt: AskedAttempt) -> AskedTrial:
        assignment, shipment = attempt.assignment, self._engine.shipment
        assert shipment is not None  # the engine is open
        handle = self._handles.get(assignment.trial)
        if handle is None or handle.attempt != assignment.attempt:
            place = attempt.checkpoint  # that of its launch may have been deleted since
            handle = AskedTrial(
                id=assignment.name,
                number=assignment.trial,
                config=shipment.config(assignment),
                seed=assignment.seed,
                resources=assignment.resources,
                attempt=assignment.attempt,
                iteration=attempt.saved_at,
                checkpoint=CheckpointStorage(shipment.storage).fetch(place) if place else None,
                root=shipment.root,
                params=assignment.config,
                known=assignment.known,
                tell=self._tell,
                end=self._end,
            )
            self._handles[assignment.trial] = handle
        return handle

    def _tell(
        self,
        trial: AskedTrial | int | str,
        metrics: dict[str, Any],
        checkpoint: GivenCheckpoint,
        last: bool = False,
        request: str | None = None,
    ) -> bool | None:
        """Report a trial; return whether it continues, or None if the experiment had already stopped it."""
        with self._changed:
            attempt = self._find(trial)
            if attempt is None:
                return None
            events = attempt.report(metrics, self._driver.seconds(), checkpoint, last)
            ends = any(
                isinstance(event, (Ended, Failed)) or (isinstance(event, Reported) and event.ends) for event in events
            )
            number = attempt.assignment.trial
            is_repeated = attempt.is_repeating
            repeated = (number, attempt.assignment.attempt, attempt.reports.iteration) if is_repeated else None
            self._send(attempt, events, ends, request, repeated)
            continues = self._engine.attempts.get(number) is attempt
            if self._driver.state.trials[number].iteration < attempt.reports.iteration and not attempt.is_repeating:
                return None  # a request or a limit has stopped the trial first
            if not continues and isinstance(trial, AskedTrial):
                trial.set_over("ended" if last else "stopped")
            return continues

    def _end(
        self,
        trial: AskedTrial | int | str,
        make: Callable[[AskedAttempt], Event],
        how: str,
        request: str | None = None,
    ) -> None:
        """End a trial by the event that `make` returns; has no effect on an ended trial."""
        if isinstance(trial, AskedTrial) and trial.is_over:
            return
        with self._changed:
            attempt = self._find(trial)
            if attempt is not None:
                self._send(attempt, [make(attempt)], True, request)
                if isinstance(trial, AskedTrial):
                    trial.set_over(how)

    def _send(
        self,
        attempt: AskedAttempt,
        events: Sequence[Event | Notice],
        ends: bool,
        request: str | None,
        repeated: tuple[int, int, int] | None = None,
    ) -> None:
        if self._driver.suspended:
            help_text = f"  help: experiment.open({str(self.path)!r}) continues it"
            raise ReportError(f"The run is suspended: {self._driver.suspended}.\n{help_text}")
        if request is not None or repeated is not None:
            trial = None if request is None else attempt.assignment.trial
            self._writer.mark(Mark(repeated=repeated, told=request, trial=trial))
        self._engine.send(attempt, events, ends)
        self._turn()

    def _find(self, trial: AskedTrial | int | str) -> AskedAttempt | None:
        """The attempt that a caller names; None for a trial that the experiment has stopped.

        Raises:
            ReportError: when it is not outstanding.
        """
        self._check_usable()
        if self._engine.is_due() or self.plan.budget.seconds is not None:
            self._turn()  # a limit may have ended the trial
        state = self._driver.state
        number, wanted = which_trial(trial, state)
        found, attempt = state.trials[number], self._engine.attempts.get(number)
        if attempt is not None and wanted in (None, attempt.assignment.attempt):
            return attempt
        handle = trial if isinstance(trial, AskedTrial) else None
        if handle is not None and handle.how_over in ("ended", "failed"):
            raise ReportError(f"Trial {found.name} has already {handle.how_over}.")
        is_stopped = found.phase == "TERMINATED" and (handle is not None or state.closing_reason)
        if is_stopped or (handle is not None and handle.is_over):
            return None
        raise ReportError(why_not_outstanding(found, wanted, is_outstanding=attempt is not None))

    def _answer_requests(self) -> None:
        """Answer the requests of other processes; their effects are in the journal before the reply."""
        asked = self._driver.requests.asked or {}
        for name, request in list(asked.items()):
            try:
                reply = (
                    self._ask_for(name, request) if isinstance(request, AskRequest) else self._tell_for(name, request)
                )
            except (ReportError, StorageError, ArgumentError) as error:
                reply = Reply(False, str(error))
            self._driver.requests.answer(name, reply)
            del asked[name]

    def _ask_for(self, name: str, request: AskRequest) -> Reply:
        asker = f"{request.asker} {name}"  # unique, so that a request is not handled twice after a crash
        attempt = next((held for held in self._engine.attempts.values() if held.asker == asker), None)
        attempt = attempt or self._claim(asker)
        if attempt is None:
            ended = self._driver.suspended or self._driver.paused or ""
            return Reply(True, why_none(self._driver.state, ended, len(self._engine.attempts)), {"over": self.is_over})
        trial = self._handle(attempt)
        return Reply(True, f"trial {trial.id}", trial_data(trial, self._engine.lease))

    def _tell_for(self, name: str, request: TellRequest) -> Reply:
        if name in self._told:  # an earlier driver handled it, but ended before its reply
            number, wanted = which_trial(request.trial, self._driver.state)
            attempt = self._engine.attempts.get(number)
            is_outstanding = attempt is not None and wanted in (None, attempt.assignment.attempt)
            if attempt is not None and request.ends and wanted == attempt.assignment.attempt:
                # its last report was written, its end was not
                self._end(request.trial, AskedAttempt.end, "ended", name)
                is_outstanding = False
            return Reply(True, "continue" if is_outstanding else "the trial has ended", {"continue": is_outstanding})
        if request.failed is not None:
            text = request.failed
            self._end(request.trial, lambda attempt: attempt.fail(text), "failed", name)
            return Reply(True, "the trial has failed", {"continue": False})
        if not request.metrics:
            self._end(request.trial, AskedAttempt.end, "ended", name)
            return Reply(True, "the trial has ended", {"continue": False})
        metrics = codec.decode(request.metrics, lambda reference: reference)
        continues = self._tell(request.trial, metrics, request.checkpoint, request.ends, name)
        text = "the trial has ended" if request.ends else "continue" if continues else "stop"
        if continues is None:
            text = "stop: the experiment had already stopped the trial, and the result is not recorded"
        return Reply(True, text, {"continue": bool(continues)})

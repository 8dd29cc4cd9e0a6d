"""The simulated engine: runs a plan on a virtual clock, with learning curves from a model or a journal.

It runs no training code. `assumptions` lists what it assumed.
"""

from __future__ import annotations

import heapq
import math
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from tunedsl.backends.delay_queue import DelayQueue
from tunedsl.backends.protocol import Capacity, ahead_of
from tunedsl.base.arguments import as_int, as_number, check_callback, public
from tunedsl.base.errors import ReportError, TunedslError, wrong_value
from tunedsl.base.keys import key, uniform
from tunedsl.base.types import Config
from tunedsl.journal import Journal, reported_values
from tunedsl.kernel import CapacityChanged, Ended, Failed, Reported, Started
from tunedsl.plan import Plan, Resources
from tunedsl.worker import Assignment, Message, Shipment
from tunedsl.worker.commands import Assign, ChangeSettings, Halt, WorkerCommand
from tunedsl.worker.report_batch import Report
from tunedsl.worker.report_engine import ReportEngine
from tunedsl.worker.tracing import message_of

MAX_ITERATIONS: Final = 10_000
"""The iteration at which a simulated trial without a stop rule ends."""
MAX_BATCH_ROWS: Final = 1_000
"""Reports in one event."""

Curve = Callable[[Config, int], "float | Mapping[str, Any] | None"]
Cost = Callable[[Config, int], float]


class CurveModel(Protocol):
    """Returns the metrics of a trial's iteration, or None where the trial ends by itself."""

    def row(self, trial: int, config: Config, iteration: int) -> Mapping[str, Any] | None: ...


@attrs.frozen
class FunctionCurve:
    """`curve(config, iteration)`: the objective's value, a mapping of metrics, or None for the end."""

    curve: Curve
    metric: str

    def row(self, trial: int, config: Config, iteration: int) -> Mapping[str, Any] | None:
        found = self.curve(config, iteration)
        if found is None or isinstance(found, Mapping):
            return found
        if not hasattr(found, "__float__"):
            raise wrong_value("curve", found, "a function that returns a number, a mapping of metrics or None")
        return {self.metric: found}


@attrs.frozen
class AssumedCurve:
    """A default curve for dry runs: each trial converges to its own limit, drawn from its number."""

    seed: int
    metric: str
    sign: float

    def row(self, trial: int, config: Config, iteration: int) -> Mapping[str, Any]:
        limit = uniform(key(self.seed, "assumed curve"), trial)
        return {self.metric: -self.sign * (limit + math.exp(-iteration / 8))}


class Recorded:
    """The curves of a journal: each trial repeats its reports from there.

    Args:
        source: an experiment's folder, its journal file, or a `Journal`.
    """

    def __init__(self, source: str | Path | Journal) -> None:
        journal = source if isinstance(source, Journal) else Journal(source)
        self._rows: dict[int, list[dict[str, Any]]] = {}
        self._saves: set[tuple[int, int]] = set()
        for event in journal.events():
            if isinstance(event, Reported):
                if event.saved:
                    self._saves.add((event.trial, event.last))
                rows = self._rows.setdefault(event.trial, [])
                rows += [reported_values(event, index) for index in range(len(event.rows))]

    def rows(self, trial: int) -> Sequence[Mapping[str, Any]]:
        """The recorded reports of a trial, in order."""
        return self._rows.get(trial, ())

    def has_checkpoint(self, trial: int, iteration: int) -> bool:
        """Return whether the trial saved a checkpoint at an iteration."""
        return (trial, iteration) in self._saves

    def row(self, trial: int, config: Config, iteration: int) -> Mapping[str, Any] | None:
        rows = self._rows.get(trial, [])
        return rows[iteration - 1] if iteration <= len(rows) else None


def _curve(curve: Curve | CurveModel | None) -> Curve | CurveModel | None:
    """Check the type of a curve."""
    if curve is None or hasattr(curve, "row"):
        return curve
    if not callable(curve):
        raise wrong_value("curve", curve, "a function curve(config, iteration), or Recorded(path)")
    check_callback("curve", curve, {}, 1, expected_call="(config, iteration)")
    return curve


def _cost(cost: float | Cost) -> Cost:
    """Return the cost of an iteration as a function."""
    if callable(cost):
        check_callback("cost", cost, {}, 1, expected_call="(config, iteration)")
        return cost
    seconds = as_number("cost", cost)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise wrong_value("cost", cost, "a finite number of seconds of at least 0")
    return lambda config, iteration: seconds


class SimulatedTrial:
    """One attempt on the virtual clock.

    Attributes:
        time: seconds of training at its last collected report.
        pending: a report that does not fit into the batch of the reports before it.
    """

    def __init__(self, shipment: Shipment, assignment: Assignment, max_rows: int = MAX_BATCH_ROWS) -> None:
        self.assignment = assignment
        self.config = shipment.config(assignment)
        self.reports = ReportEngine(shipment, assignment, max_rows)
        self.time = assignment.elapsed
        self.pending: Report | None = None


@attrs.frozen
class SimulatedStep:
    """One iteration of a simulated trial.

    Attributes:
        metrics: what it reports.
        seconds: how long it takes.
        elapsed: seconds of training at its end, if they are known exactly.
        returned: whether the trial's code returns with this report.
    """

    metrics: Mapping[str, Any]
    seconds: float
    elapsed: float | None = None
    returned: bool = False


class SimulatedEngine:
    """Runs a plan on a virtual clock.

    Args:
        curve: `curve(config, iteration)`, or `Recorded(path)`; a default curve without it.
        cost: seconds of an iteration: a number, or `cost(config, iteration)`.
        iterations: the number of reports of a trial that no stop rule ends.
        workers: concurrent trials of a plan without `parallel(n)`.
        capacity: changes of the number of concurrent trials: pairs of a second of the clock and the number after it.
            When it falls, the newest trials leave at their next report with a checkpoint.
    """

    name = "simulated"

    @public
    def __init__(
        self,
        curve: Curve | CurveModel | None = None,
        cost: float | Cost = 1.0,
        iterations: int | None = None,
        workers: int | None = None,
        capacity: Sequence[tuple[float, int]] = (),
    ) -> None:
        self.assumptions: list[str] = []
        self._changes = deque(sorted((as_number("capacity", at), as_int("capacity", n, 0)) for at, n in capacity))
        self._max_rows = 1 if self._changes else MAX_BATCH_ROWS  # trials leave at their next report
        self._width = self._ahead = 0
        self._leaving: set[SimulatedTrial] = set()
        self._curve = _curve(curve)
        self._cost = _cost(cost)
        for name, count in (("iterations", iterations), ("workers", workers)):
            if count is not None:
                as_int(name, count, 1)
        self._iterations = iterations
        self._workers = workers
        self._clock = 0.0
        self._count = 0
        self._free = 0
        self._heap: list[tuple[float, int, SimulatedTrial, list[Message]]] = []
        self._waiting: deque[Assignment] = deque()
        self._delayed = DelayQueue()
        self._runs: dict[tuple[int, int], SimulatedTrial] = {}

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        self._shipment = shipment
        self._model = self._model_of(plan)
        self._last = self._iterations or MAX_ITERATIONS
        if self._iterations is None and plan.stop is None and not isinstance(self._model, (Recorded, FunctionCurve)):
            self._last = 1
            self.assumptions.append("each trial reports once, as the plan has no stop rule (set iterations=)")
        self._free = self._width = plan.parallel or self._workers or _local_width(plan)
        self._ahead = ahead_of(plan)
        return Capacity(self._width, self._ahead)

    def _model_of(self, plan: Plan) -> CurveModel:
        metric, sign = (plan.objectives[0].metric, plan.objectives[0].sign) if plan.objectives else ("value", 1.0)
        if self._curve is None:
            self.assumptions.append("curves are made up: each trial converges to its own limit (set curve=)")
            return AssumedCurve(plan.seed, metric, sign)
        if callable(self._curve) and not hasattr(self._curve, "row"):
            return FunctionCurve(self._curve, metric)
        return self._curve  # type: ignore[return-value]  # the previous lines exclude the other types

    def now(self) -> float:
        return self._clock

    def apply(self, commands: Sequence[WorkerCommand]) -> None:
        for command in commands:
            if isinstance(command, Assign):
                if not self._delayed.push(command, self._clock):
                    self._waiting.append(command.assignment)
                continue
            if isinstance(command, ChangeSettings):
                self._shipment = command.applied(self._shipment)
                for simulated in self._runs.values():
                    simulated.reports.change_settings(self._shipment)
                continue
            run = self._runs.get((command.trial, command.attempt))
            if run is None:
                gone = (command.trial, command.attempt)
                self._waiting = deque(wait for wait in self._waiting if (wait.trial, wait.attempt) != gone)
                self._delayed.drop(command.trial, command.attempt)
            elif isinstance(command, Halt):
                del self._runs[command.trial, command.attempt]
                self._free += 1
            else:
                self._continue_trial(run)
        self._start()

    def poll(self, seconds: float) -> list[Message]:
        while self._heap or self._changes or self._delayed.next() is not None:
            due = self._delayed.next()
            if self._changes and self._changes[0][0] <= min(
                self._heap[0][0] if self._heap else math.inf, math.inf if due is None else due
            ):
                self._clock, width = max(self._clock, self._changes[0][0]), self._changes.popleft()[1]
                return [self._resize(width)]
            if due is not None and (not self._heap or due < self._heap[0][0]):
                self._clock = max(self._clock, due)
                self._waiting.extend(order.assignment for order in self._delayed.due(self._clock))
                self._start()
                continue
            self._clock, _, run, messages = heapq.heappop(self._heap)
            attempt = (run.assignment.trial, run.assignment.attempt)
            if self._runs.get(attempt) is not run:
                continue  # halted meanwhile
            messages = [*messages, *self._left(run, messages)]
            last = messages[-1].event
            if isinstance(last, (Ended, Failed)) or (isinstance(last, Reported) and last.ends):
                del self._runs[attempt]
                self._free += 1
                self._start()
            elif not (isinstance(last, Reported) and last.waits):
                self._continue_trial(run)
            return messages
        raise TunedslError("The simulation has no further events, but the experiment is not finished.")

    def _resize(self, width: int) -> Message:
        """Change the number of concurrent trials; when it falls, the newest ones leave."""
        self._free += width - self._width
        self._width = width
        self._leaving.intersection_update(self._runs.values())
        newest = [run for run in reversed(self._runs.values()) if run not in self._leaving]
        self._leaving.update(newest[: max(0, -self._free - len(self._leaving))])
        self._start()
        return Message.of_engine(CapacityChanged(0.0, width, self._ahead))

    def _left(self, run: SimulatedTrial, messages: Sequence[Message]) -> list[Message]:
        """Return the failure of a preempted attempt whose last report has a checkpoint; empty for other attempts."""
        last = messages[-1].event
        if run not in self._leaving or not isinstance(last, Reported) or last.ends:
            return []
        saves = self._shipment.form == "class"
        if not (last.saved or saves):
            return []
        self._leaving.discard(run)
        saved = "" if last.saved else run.reports.checkpoint_path(last.last)
        failed = Failed(0.0, last.trial, "preempted", "its node is being drained", saved=saved)
        return [Message(last.trial, run.assignment.attempt, failed)]

    def interrupt(self, seconds: float = 0.0) -> None:
        """Do nothing: no trial runs in the background."""

    def abandon(self) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: the simulation holds no resources."""

    def _start(self) -> None:
        while self._waiting and self._free > 0:
            assignment = self._waiting.popleft()
            self._free -= 1
            run = SimulatedTrial(self._shipment, assignment, self._max_rows)
            self._runs[assignment.trial, assignment.attempt] = run
            if assignment.begun:
                self._continue_trial(run)
            else:
                started = Started(0.0, assignment.trial, assignment.attempt)
                self._schedule(run, self._clock, [Message(assignment.trial, assignment.attempt, started)])

    def _schedule(self, run: SimulatedTrial, time: float, messages: list[Message]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (time, self._count, run, messages))

    def _continue_trial(self, run: SimulatedTrial) -> None:
        """Compute the reports of a trial until it waits, ends, or fills one batch."""
        assignment, reports, batch, began = run.assignment, run.reports, run.reports.batch, run.time
        outcome: Failed | Ended | None = None
        while outcome is None and not batch.is_closed:
            report = self._next_report(run)
            if not isinstance(report, Report):
                outcome = report
                break
            if not report.is_known and not batch.fits(report):
                run.pending = report
                break
            run.time, outcome = report.elapsed, report.outcome
            if not report.is_known:
                batch.add(report, reports.checkpoint_path() if self._saves(run, report) else "")
        warning = reports.first_warning() if batch else None
        events: list[Any] = [] if warning is None else [warning]
        if batch:
            events.append(batch.take_event())
        if outcome is not None:
            events.append(outcome)
        messages = [Message(assignment.trial, assignment.attempt, event) for event in events]
        self._schedule(run, self._clock + (run.time - began), messages)

    def _next_report(self, run: SimulatedTrial) -> Report | Failed | Ended:
        """Return the next report of a trial, or the end of its attempt."""
        if run.pending is not None:
            pending, run.pending = run.pending, None
            return pending
        trial = run.assignment.trial
        step = self.step(run, run.reports.iteration + 1)
        if step is None:
            return run.reports.end()
        if isinstance(step, Failed):
            return step
        seconds = step.seconds
        total = run.time - run.assignment.elapsed
        exceeded = run.reports.exceeded_limit(total, seconds)
        if exceeded is not None:
            limit = run.reports.next_limit(total)
            run.time += max(0.0, limit[0]) if limit is not None else 0.0
            return Failed(0.0, trial, *exceeded)
        try:
            elapsed = run.time + seconds if step.elapsed is None else step.elapsed
            return run.reports.receive(step.metrics, elapsed, seconds, step.returned)
        except ReportError as error:
            return Failed(0.0, trial, "bad_report", message_of(error))

    def step(self, run: SimulatedTrial, iteration: int) -> SimulatedStep | Failed | None:
        """The step of a trial in one iteration; None when its code ends."""
        metrics = self._model.row(run.assignment.trial, run.config, iteration) if iteration <= self._last else None
        return None if metrics is None else SimulatedStep(metrics, self._cost(run.config, iteration))

    def _saves(self, run: SimulatedTrial, report: Report) -> bool:
        """Return whether the trial saves a checkpoint with a report."""
        if isinstance(self._model, Recorded):
            return self._model.has_checkpoint(run.assignment.trial, report.iteration)
        return run.reports.is_checkpoint_due(report)


def _local_width(plan: Plan) -> int:
    cpu = plan.resources.cpu if isinstance(plan.resources, Resources) else 1.0
    return max(1, int((os.cpu_count() or 1) / cpu)) if cpu else os.cpu_count() or 1

"""The simulated engine: the same plan on a virtual clock, with curves from a model or a journal.

It runs no training code. What it assumes, it says in `assumptions`.
"""

from __future__ import annotations

import heapq
import math
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import attrs

from tunedsl.backends.delay_queue import DelayQueue
from tunedsl.backends.protocol import Capacity, ahead_of
from tunedsl.base.arguments import as_int, as_number, check_callback, public
from tunedsl.base.errors import ArgumentError, ReportError, TunedslError
from tunedsl.base.keys import key, uniform
from tunedsl.base.types import Config
from tunedsl.journal import Journal, reported_values
from tunedsl.kernel import Ended, Failed, Reported, Started
from tunedsl.kernel.events import Ending
from tunedsl.plan import Plan, Resources
from tunedsl.worker import Assignment, Message, Notice, Shipment
from tunedsl.worker.commands import Assign, Halt, WorkerCommand
from tunedsl.worker.report_rules import ReportRules, Row
from tunedsl.worker.tracing import message_of

MAX_ITERATIONS: Final = 10_000
"""Where a simulated trial ends that no rule ends."""
CHUNK: Final = 1_000

Curve = Callable[[Config, int], "float | Mapping[str, Any] | None"]
Cost = Callable[[Config, int], float]


class CurveModel(Protocol):
    """Gives the metrics of a trial's iteration, or None where the trial returns by itself."""

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
            raise ArgumentError("E003", "curve", repr(found), "the objective's number, a mapping of metrics, or None")
        return {self.metric: found}


@attrs.frozen
class AssumedCurve:
    """A made-up curve for dry runs: each trial nears a limit of its own, drawn by its number."""

    seed: int
    metric: str
    sign: float

    def row(self, trial: int, config: Config, iteration: int) -> Mapping[str, Any]:
        limit = uniform(key(self.seed, "assumed curve"), trial)
        return {self.metric: -self.sign * (limit + math.exp(-iteration / 8))}


class Recorded:
    """The curves of a journal: each trial reports what it reported there.

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

    def has_checkpoint(self, trial: int, iteration: int) -> bool:
        """Whether the trial saved a checkpoint at an iteration."""
        return (trial, iteration) in self._saves

    def row(self, trial: int, config: Config, iteration: int) -> Mapping[str, Any] | None:
        rows = self._rows.get(trial, [])
        return rows[iteration - 1] if iteration <= len(rows) else None


def _curve(curve: Curve | CurveModel | None) -> Curve | CurveModel | None:
    """The curve, if it is one."""
    if curve is None or hasattr(curve, "row"):
        return curve
    if not callable(curve):
        raise ArgumentError("E003", "curve", repr(curve), "curve(config, iteration), or Recorded(path)")
    check_callback("curve", curve, {}, 1, expected_call="(config, iteration)")
    return curve


def _cost(cost: float | Cost) -> Cost:
    """The seconds of an iteration, as a function."""
    if callable(cost):
        check_callback("cost", cost, {}, 1, expected_call="(config, iteration)")
        return cost
    seconds = as_number("cost", cost)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ArgumentError("E003", "cost", repr(cost), "seconds, 0 or more")
    return lambda config, iteration: seconds


class _Report(NamedTuple):
    """A report that a trial makes, and the seconds since the one before."""

    row: Row
    seconds: float


class SimulatedTrial:
    """One attempt on the virtual clock.

    Attributes:
        pending: a report that is made, and has no place in the batch before it.
    """

    def __init__(self, assignment: Assignment, config: Config, rules: ReportRules) -> None:
        self.assignment, self.config, self.rules = assignment, config, rules
        self.iteration = assignment.iteration
        self.time = assignment.elapsed
        self.pending: _Report | None = None


class _Batch:
    """Rows of a trial that become one event.

    Attributes:
        is_closed: whether no further row can join those that are there.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.rows: list[Row] = []
        self._times: list[float] = []
        self._ends: Ending = ""
        self._saved = ""
        self.is_closed = False

    def fits(self, row: Row) -> bool:
        """Whether a row has the same names as those that are there."""
        last = self.rows[-1] if self.rows else row
        return (last.keys is row.keys or last.keys == row.keys) and bool(last.data) == bool(row.data)

    def add(self, row: Row, time: float, ends: Ending, saved: str) -> None:
        """Puts a row behind the others."""
        self.rows.append(row)
        self._times.append(time)
        if row.waits or ends or saved or len(self.rows) >= CHUNK:
            self.is_closed, self._ends, self._saved = True, ends, saved

    def event(self, trial: int) -> Reported:
        """The rows as an event."""
        last, numbers = self.rows[-1], tuple(row.numbers for row in self.rows)
        data = tuple(row.data for row in self.rows if row.data)
        times = tuple(self._times)
        return Reported(0.0, trial, self.first, last.keys, numbers, times, last.waits, self._ends, self._saved, data)


class SimulatedEngine:
    """Runs a plan on a virtual clock.

    Args:
        curve: `curve(config, iteration)`, or `Recorded(path)`; without one a curve is assumed.
        cost: seconds an iteration takes: a number, or `cost(config, iteration)`.
        iterations: where trials return by themselves; needed where no rule ends them.
        workers: trials at a time, where the plan does not say `parallel(n)`.
    """

    name = "simulated"

    @public
    def __init__(
        self,
        curve: Curve | CurveModel | None = None,
        cost: float | Cost = 1.0,
        iterations: int | None = None,
        workers: int | None = None,
    ) -> None:
        self.assumptions: list[str] = []
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
            self.assumptions.append("each trial reports once: no stop rule says how often (give iterations=)")
        self._free = plan.parallel or self._workers or _local_width(plan)
        return Capacity(self._free, ahead_of(plan))

    def _model_of(self, plan: Plan) -> CurveModel:
        metric, sign = (plan.objectives[0].metric, plan.objectives[0].sign) if plan.objectives else ("value", 1.0)
        if self._curve is None:
            self.assumptions.append("curves are made up: each trial nears a limit of its own (give curve=)")
            return AssumedCurve(plan.seed, metric, sign)
        if callable(self._curve) and not hasattr(self._curve, "row"):
            return FunctionCurve(self._curve, metric)
        return self._curve  # type: ignore[return-value]  # narrowed by what the line before took away

    def now(self) -> float:
        return self._clock

    def apply(self, orders: Sequence[WorkerCommand]) -> None:
        for order in orders:
            if isinstance(order, Assign):
                if not self._delayed.push(order, self._clock):
                    self._waiting.append(order.assignment)
                continue
            run = self._runs.get((order.trial, order.attempt))
            if run is None:
                gone = (order.trial, order.attempt)
                self._waiting = deque(wait for wait in self._waiting if (wait.trial, wait.attempt) != gone)
                self._delayed.drop(order.trial, order.attempt)
            elif isinstance(order, Halt):
                del self._runs[order.trial, order.attempt]
                self._free += 1
            else:
                self._continue_trial(run)
        self._start()

    def poll(self, seconds: float) -> list[Message]:
        while self._heap or self._delayed.next() is not None:
            due = self._delayed.next()
            if due is not None and (not self._heap or due < self._heap[0][0]):
                self._clock = max(self._clock, due)
                self._waiting.extend(order.assignment for order in self._delayed.due(self._clock))
                self._start()
                continue
            self._clock, _, run, messages = heapq.heappop(self._heap)
            attempt = (run.assignment.trial, run.assignment.attempt)
            if self._runs.get(attempt) is not run:
                continue  # halted while it was under way
            last = messages[-1].event
            if isinstance(last, (Ended, Failed)) or (isinstance(last, Reported) and last.ends):
                del self._runs[attempt]
                self._free += 1
                self._start()
            elif not (isinstance(last, Reported) and last.waits):
                self._continue_trial(run)
            return messages
        raise TunedslError("the simulation has nothing left to do, but the experiment is not finished")

    def interrupt(self, seconds: float = 0.0) -> None:
        """Nothing runs in the background."""

    def abandon(self) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is left behind."""

    def _start(self) -> None:
        while self._waiting and self._free:
            assignment = self._waiting.popleft()
            self._free -= 1
            run = SimulatedTrial(assignment, self._shipment.config(assignment), self._shipment.rules(assignment))
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
        """Works out what the trial does until it waits, ends, or has filled one batch."""
        assignment, began = run.assignment, run.time
        batch = _Batch(run.iteration + 1)
        outcome: Failed | Ended | None = None
        while outcome is None and not batch.is_closed:
            found = self._next_row(run)
            if not isinstance(found, _Report):
                outcome = found
                break
            if not batch.fits(found.row):
                run.pending = found
                break
            run.iteration += 1
            run.time += found.seconds
            row = found.row
            failure = run.rules.failure(assignment.trial) if row.ends else None
            if run.iteration <= assignment.known:
                batch.first, outcome = run.iteration + 1, failure
                continue
            outcome = failure
            ends = row.ends if failure is None else ""
            saves = self._saves(assignment.trial, run.iteration, row.waits, ends)
            saved = f"trials/{assignment.name}/checkpoints/{run.iteration:08d}" if saves else ""
            batch.add(row, run.time, ends, saved)
        warning = run.rules.warning() if batch.rows and run.rules.is_first else ""
        events: list[Any] = [Notice("unreported objective", warning)] if warning else []
        events += [batch.event(assignment.trial)] if batch.rows else []
        events += [] if outcome is None else [outcome]
        messages = [Message(assignment.trial, assignment.attempt, event) for event in events]
        self._schedule(run, self._clock + (run.time - began), messages)

    def _next_row(self, run: SimulatedTrial) -> _Report | Failed | Ended:
        """What the trial does next: it reports, or its attempt is over."""
        if run.pending is not None:
            pending, run.pending = run.pending, None
            return pending
        trial, iteration = run.assignment.trial, run.iteration + 1
        metrics = self._model.row(trial, run.config, iteration) if iteration <= self._last else None
        if metrics is None:
            return run.rules.failure(trial) or Ended(0.0, trial, run.iteration)
        spent = self._cost(run.config, iteration)
        failed = self._overdue(run, spent)
        if failed is not None:
            return failed
        try:
            return _Report(run.rules.take(metrics, iteration, run.time + spent, spent), spent)
        except ReportError as error:
            return Failed(0.0, trial, "bad_report", message_of(error))

    def _overdue(self, run: SimulatedTrial, spent: float) -> Failed | None:
        """The failure of an attempt whose next iteration takes too long; its time goes on to where that is seen."""
        timeout, idle = self._shipment.timeout, self._shipment.idle
        left = math.inf if timeout is None else timeout - (run.time - run.assignment.elapsed)
        if spent <= min(left, math.inf if idle is None else idle):
            return None
        trial = run.assignment.trial
        if idle is None or left <= idle:
            run.time += max(0.0, left)
            return Failed(0.0, trial, "timeout", f"ran for more than {timeout:g} s")
        run.time += idle
        return Failed(0.0, trial, "idle", f"did not report for {idle:g} s")

    def _saves(self, trial: int, iteration: int, waits: bool, ends: str) -> bool:
        """Whether the trial would save a checkpoint at an iteration."""
        shipment = self._shipment
        if isinstance(self._model, Recorded):
            return self._model.has_checkpoint(trial, iteration)
        if waits and shipment.save_at_decisions:
            return True
        if shipment.form != "class":
            return False
        every = shipment.save_every
        return (every is not None and iteration % every == 0) or (ends != "" and shipment.save_at_end)


def _local_width(plan: Plan) -> int:
    cpu = plan.resources.cpu if isinstance(plan.resources, Resources) else 1.0
    return max(1, int((os.cpu_count() or 1) / cpu)) if cpu else os.cpu_count() or 1

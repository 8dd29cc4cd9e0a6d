"""The simulated cluster's engine: workers on a virtual clock, and a network that does to messages what a seed says.

Between a worker that sends and the driver that hears, a message may be lost with its worker, held up, doubled, or
overtaken by those of other trials; messages of one attempt keep their order. The storage of checkpoints is a set of
names, so that a checkpoint that was removed too early is found out when somebody would start from it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from typing import Final

from tunedsl.backends.protocol import Capacity
from tunedsl.backends.simulated import Cost, Curve, CurveModel, SimulatedEngine, SimulatedTrial
from tunedsl.base.errors import TunedslError
from tunedsl.kernel import CapacityChanged, Ended, Failed, Reported
from tunedsl.plan import Plan
from tunedsl.testing.invariants import InvariantViolated
from tunedsl.testing.simulation.faults import SPREAD_SECONDS, Fault, FaultInjector, failing
from tunedsl.worker import Message, Shipment
from tunedsl.worker.commands import Assign, Halt, WorkerCommand
from tunedsl.worker.messages import NO_TRIAL

Attempt = tuple[int, int]

ALONE: Final = frozenset({"crash", "bad_report", "storage_fails"})
"""Failures of the user's code, in place of the message: a worker that dies may have sent it still."""


class Storage(set[str]):
    """The checkpoints that are there, by their folders; it outlives workers and drivers."""


class ClusterEngine(SimulatedEngine):
    """Runs a plan on a virtual clock, with faults.

    Args:
        injector: says what goes wrong.
        curve, cost, iterations, workers: as of `SimulatedEngine`.
        nodes: how many there are; the workers are spread over them.
        storage: the checkpoints that are there.

    Attributes:
        unwritten: gives how many records the driver has not yet written to the journal, where that can be told.
    """

    name = "simulated"

    def __init__(
        self,
        injector: FaultInjector,
        curve: Curve | CurveModel | None = None,
        cost: float | Cost = 1.0,
        iterations: int | None = None,
        workers: int | None = None,
        nodes: int = 2,
        storage: Storage | None = None,
    ) -> None:
        super().__init__(curve, cost, iterations, workers)
        self.unwritten: Callable[[], int] = lambda: 0
        self._injector = injector
        self._nodes = nodes
        self._storage = Storage() if storage is None else storage
        self._mail: list[tuple[float, int, list[Message]]] = []
        self._arrival: dict[Attempt, float] = {}
        self._zombies: dict[SimulatedTrial, bool] = {}
        self._nodes_change: list[tuple[float, int, int, list[SimulatedTrial]]] = []
        self._busy = 0.0
        self._leaves = False

    def interrupt(self, seconds: float = 0.0) -> None:
        self._leaves = True

    def begin_at(self, clock: float) -> None:
        """Sets the virtual clock, before anything runs."""
        self._clock = self._busy = clock

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        capacity = super().open(plan, shipment)
        self._all_slots = capacity.width
        return capacity

    def apply(self, orders: Sequence[WorkerCommand]) -> None:
        if orders and self.unwritten():
            raise InvariantViolated(
                "nothing_acts_before_it_is_written", f"{self.unwritten()} records wait, and {orders[0]} acts"
            )
        for order in orders:
            if isinstance(order, Assign):
                self._check(order)
            elif isinstance(order, Halt):
                self._keep_zombie((order.trial, order.attempt))
            super().apply([order])

    def poll(self, seconds: float) -> list[Message]:
        taken: list[Message] = []
        while self._heap or self._mail or self._nodes_change or self._delayed.next() is not None:
            due = self._delayed.next()
            sent = self._heap[0][0] if self._heap else math.inf
            came = self._mail[0][0] if self._mail else math.inf
            changes = self._nodes_change[0][0] if self._nodes_change else math.inf
            soonest = min(sent, came, changes, math.inf if due is None else due)
            if taken and soonest > self._busy:
                break
            self._clock = max(self._clock, soonest)
            if soonest == changes:
                self._change_nodes(*heapq.heappop(self._nodes_change)[2:])
            elif soonest == due:
                self._waiting.extend(order.assignment for order in self._delayed.due(self._clock))
                self._start()
            elif came <= sent:
                taken += heapq.heappop(self._mail)[2]
                if self._clock >= self._busy:
                    break
            else:
                _, _, run, messages = heapq.heappop(self._heap)
                self._send(run, messages)
        if not taken and not self._leaves:
            raise TunedslError("The simulation has no further events, but the experiment is not finished.")
        return taken

    def _check(self, order: Assign) -> None:
        """That an order can be carried out."""
        assignment = order.assignment
        other = next((attempt for trial, attempt in self._runs if trial == assignment.trial), None)
        if other is not None:
            text = f"trial {assignment.trial} is assigned as attempt {assignment.attempt} while attempt {other} runs"
            raise InvariantViolated("one_attempt_at_a_time", text)
        if assignment.checkpoint and assignment.checkpoint not in self._storage:
            text = f"trial {assignment.trial} is to start from {assignment.checkpoint}, which does not exist"
            raise InvariantViolated("checkpoints_are_held", text)

    def _keep_zombie(self, attempt: Attempt) -> None:
        """A worker may not hear at once that it is to halt."""
        run = self._runs.get(attempt)
        if run is None:
            return
        fault = self._injector.next("halt")
        if fault is not None:
            self._injector.note(fault)
            self._zombies[run] = False

    def _send(self, run: SimulatedTrial, messages: list[Message]) -> None:
        """A worker sends; what becomes of it is drawn."""
        attempt = (run.assignment.trial, run.assignment.attempt)
        last = messages[-1].event
        ends = isinstance(last, (Ended, Failed)) or (isinstance(last, Reported) and last.ends != "")
        goes_on = not ends and not (isinstance(last, Reported) and last.waits)
        saved = next((message.event.saved for message in messages if isinstance(message.event, Reported)), "")
        if self._runs.get(attempt) is not run:
            if run in self._zombies:  # its last words, or all that it has to say
                more = self._zombies.pop(run) and goes_on
                self._post(attempt, messages, SPREAD_SECONDS / 2)
                if more:
                    self._zombies[run] = True
                    self._continue_trial(run)
            return
        fault = self._injector.next("message")
        if fault is not None and fault.kind.startswith("storage_") and not saved:
            fault = None
        kind, amount = ("", 0.0) if fault is None else (fault.kind, fault.amount)
        if fault is not None:
            self._injector.note(fault)
        if saved and kind != "storage_fails":
            self._storage.add(saved)
        if failing(kind):
            assert fault is not None  # it has a kind
            self._fail(run, messages, fault, goes_on)
            return
        if kind == "drain":
            self._drain(run.assignment.trial % self._nodes, amount)
        left = self._left(run, messages)
        if left:
            messages, ends = [*messages, *left], True
            self._storage.update(message.event.saved for message in left if isinstance(message.event, Failed))
        self._post(attempt, messages, amount * SPREAD_SECONDS if kind in ("delay", "storage_slow") else 0.0)
        if kind == "duplicate":
            self._post(attempt, messages, amount * SPREAD_SECONDS, again=True)
        elif kind == "driver_slow":
            self._busy = self._clock + amount * SPREAD_SECONDS
        if ends:
            self._leave(run)
        elif goes_on:
            self._continue_trial(run)

    def _fail(self, run: SimulatedTrial, messages: list[Message], fault: Fault, goes_on: bool) -> None:
        """An attempt fails, and with a node all that run there."""
        kind, failure = fault.kind, failing(fault.kind)
        fallen = [run]
        if kind == "node":
            node = run.assignment.trial % self._nodes
            fallen += [other for other in self._runs.values() if other.assignment.trial % self._nodes == node]
        for other in dict.fromkeys(fallen):
            trial, attempt = other.assignment.trial, other.assignment.attempt
            failed = Message(trial, attempt, Failed(0.0, trial, failure, f"{kind}, at random"))  # type: ignore[arg-type]
            self._leave(other, start=False)
            if kind == "late":
                self._zombies[other] = True
                self._post((trial, attempt), [failed], 0.0)
                self._post((trial, attempt), messages, fault.amount * SPREAD_SECONDS)
                if goes_on:
                    self._continue_trial(other)
            elif other is run and kind not in ALONE and fault.amount < 0.5:
                # near 0 both arrive as one, else the failure is found out when the driver has answered already
                self._post((trial, attempt), messages, 0.0)
                self._post((trial, attempt), [failed], max(0.0, fault.amount - 0.2) * SPREAD_SECONDS)
            else:
                self._post((trial, attempt), [failed], 0.0)
        self._start()

    def _drain(self, node: int, amount: float) -> None:
        """Drain a node: its trials leave at their next report, it ends, and another node replaces it."""
        there = [run for run in self._runs.values() if run.assignment.trial % self._nodes == node]
        slots = min(self._width, math.ceil(self._all_slots / self._nodes))
        self._leaving.update(there)
        self._change_nodes(-slots, [])
        for times, more, runs in ((2, 0, there), (4, slots, [])):
            self._count += 1
            at = self._clock + times * amount * SPREAD_SECONDS
            heapq.heappush(self._nodes_change, (at, self._count, more, runs))

    def _change_nodes(self, slots: int, lost: list[SimulatedTrial]) -> None:
        """Change the number of slots; preempt the attempts on a node that has ended."""
        for run in lost:
            trial, attempt = run.assignment.trial, run.assignment.attempt
            if self._runs.get((trial, attempt)) is run:
                self._leave(run, start=False)
                failed = Failed(0.0, trial, "preempted", "its node was drained and has ended")
                self._post((trial, attempt), [Message(trial, attempt, failed)], 0.0)
        if slots:
            self._width += slots
            self._free += slots
            changed = CapacityChanged(0.0, self._width, self._ahead)
            self._post((NO_TRIAL, 0), [Message.of_engine(changed)], 0.0)
        self._start()

    def _leave(self, run: SimulatedTrial, start: bool = True) -> None:
        """A worker is free, or there is another one in its place."""
        del self._runs[run.assignment.trial, run.assignment.attempt]
        self._free += 1
        if start:
            self._start()

    def _post(self, attempt: Attempt, messages: list[Message], seconds: float, again: bool = False) -> None:
        """Puts messages on their way; those of one attempt arrive in order, but for what arrives `again`."""
        before = self._arrival.get(attempt, self._clock)
        if again:
            at = before + seconds
        else:
            at = self._arrival[attempt] = max(self._clock + seconds, before)
        self._count += 1
        heapq.heappush(self._mail, (at, self._count, messages))

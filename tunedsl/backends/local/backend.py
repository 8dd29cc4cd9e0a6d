"""The local engine: worker processes of this machine, from the same pool as on Ray."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

from tunedsl.backends.gangs import Gangs
from tunedsl.backends.local.machine import Machine, this_machine
from tunedsl.backends.local.pooled_process import PooledProcess
from tunedsl.backends.local.reaper import Reaper
from tunedsl.backends.local.shipping import write_shipment
from tunedsl.backends.pool import FAILED_STARTS_SECONDS, Pool, resources_of
from tunedsl.backends.protocol import SHUTDOWN_SECONDS, Capacity, EngineLost, ahead_of
from tunedsl.backends.responsiveness import Responsiveness
from tunedsl.base.codec import to_json
from tunedsl.base.diagnostics import with_help
from tunedsl.base.errors import ResourceError, TunedslError
from tunedsl.kernel import Failed
from tunedsl.plan import Plan, Resources
from tunedsl.plan.packing import faults, fit_together, places, ray_amounts
from tunedsl.plan.settings import format_amount
from tunedsl.worker import Message, Shipment
from tunedsl.worker.commands import Assign, WorkerCommand
from tunedsl.worker.wire import unpack_drained

DEATH_SECONDS: Final = 0.2
"""Maximum delay before the death of a process is noticed, on systems that do not report it."""

_gangs: Final = Gangs()


class LocalEngine:
    """Runs trials in processes of this machine.

    Args:
        cpus: how many CPUs trials may use at a time; by default those that this process may use.

    Attributes:
        tell: receives messages about the start of workers, before the first trial runs.
    """

    name = "local"

    def __init__(self, cpus: float | None = None) -> None:
        self.tell: Callable[[str], None] = lambda text: None
        self._cpus = cpus
        self._late: list[Message] = []
        self._pool: Pool[PooledProcess] | None = None
        self._fitting: set[str] = set()
        self._gang: list[Resources] = []
        self._is_logical = False

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        if os.name != "posix":
            raise ResourceError('The engine "local" needs Linux or macOS.\n  help: run("inline")')
        machine = self._machine = this_machine(self._cpus)
        resources = plan.resources if isinstance(plan.resources, Resources) else None
        most = max(1, int(machine.total["CPU"]))
        if resources is not None:
            most = _places(resources, machine, max(plan.trials, plan.parallel or 1))
        self._is_logical = plan.order == "logical"
        if self._is_logical and plan.parallel is not None and plan.parallel > most:
            raise ResourceError(
                f"In logical order {plan.parallel} trials run at a time, but this machine has room for {most}.\n"
                f"  help: ask for fewer resources for each trial, or write parallel({most})"
            )
        width = min(plan.parallel or most, most)
        try:
            self._start(plan, shipment, width, to_json(resources or Resources()))
        except BaseException:
            self.close()
            raise
        is_grown = plan.retry.grow > 1
        return Capacity(width, ahead_of(plan), {"memory": machine.total["memory"]} if is_grown else {})

    def _start(self, plan: Plan, shipment: Shipment, width: int, shape: str) -> None:
        """Start the workers of the first trials, unless another run in logical order has reserved their resources."""
        self._shipment: BinaryIO = write_shipment(shipment)
        self._reaper = Reaper()
        is_shown = shipment.output is None

        def start(shape: str) -> PooledProcess:
            return PooledProcess(shape, self._machine, self._shipment.fileno(), self._reaper, is_shown)

        total = self._machine.total
        self._pool = Pool(width, start, total, plan.isolate == "process", self._is_logical)
        self._responsiveness = Responsiveness(plan, self._pool)
        self._gang = [resources_of(shape)] * width
        if self._is_logical:
            self._pool.blocked = not _gangs.admit(self, [total], self._gang)
        if self._pool.blocked:
            self.tell("waiting for another run of this process in logical order: there is no room for both")
            return
        count = min(width, plan.trials) if isinstance(plan.resources, Resources) else 0
        self._pool.grow(shape, count)
        self._start_processes()
        what = "a worker process" if count == 1 else f"{count} worker processes"
        self.tell(f"starting {what} on this machine with {_shown(total)}")

    def now(self) -> float:
        return time.monotonic()

    def apply(self, commands: Sequence[WorkerCommand]) -> None:
        for command in commands:
            if isinstance(command, Assign) and command.assignment.shape not in self._fitting:
                _places(resources_of(command.assignment.shape), self._machine, 1)
                self._fitting.add(command.assignment.shape)
        if commands:
            self._workers.take(commands)
            self._start_processes()
            if self._is_logical:
                self._check_together(self._workers.changed_trials())

    def poll(self, seconds: float) -> list[Message]:
        messages, self._late = self._late, []
        pool = self._workers
        if pool.blocked:
            pool.blocked = not _gangs.admit(self, [self._machine.total], self._gang)
        messages += self._received(0.0 if messages else seconds)
        messages += self._responsiveness.look()
        pool.place()
        self._start_processes()
        return messages

    def interrupt(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        for member in self._workers.members:
            member.halt()
        self._workers.clear()
        while any(member.assigned for member in self._workers.members if member.ready):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self._late += self._received(left)

    def close(self) -> None:
        _gangs.release(self)
        if self._pool is None:
            return
        for member in list(self._pool.members):
            self._pool.remove(member)
        self._pool = None
        self._shipment.close()
        self._reaper.close()

    def abandon(self) -> None:
        self.close()

    @property
    def _workers(self) -> Pool[PooledProcess]:
        assert self._pool is not None  # the driver opens an engine before it uses it
        return self._pool

    def _start_processes(self) -> None:
        """Start the members whose resources are free now."""
        for member in list(self._workers.members):
            if member.channel is None:
                try:
                    member.start()
                except OSError as error:
                    self._remove_failed_start(member, str(error))

    def _received(self, seconds: float) -> list[Message]:
        """Wait for messages of members; return them, and the failures of members that died."""
        due = self._workers.delayed.next()
        seconds = seconds if due is None else max(0.0, min(seconds, due - self.now()))
        with selectors.DefaultSelector() as selector:
            for member in self._workers.members:
                if member.channel is not None:
                    events = selectors.EVENT_READ
                    if not member.channel.flush():
                        events |= selectors.EVENT_WRITE
                    selector.register(member.channel, events, member)
                    if member.death is not None:
                        selector.register(member.death, selectors.EVENT_READ, member)
                    else:
                        seconds = min(seconds, DEATH_SECONDS)
            if not selector.get_map():
                time.sleep(min(seconds, DEATH_SECONDS))
            found = {id(key.data): key.data for key, _ in selector.select(seconds)}
        dead = {id(member): member for member in self._workers.members if member.is_dead}
        return [message for member in {**found, **dead}.values() for message in self._receive(member)]

    def _receive(self, member: PooledProcess) -> list[Message]:
        """Return a member's messages, and the failure of its trial if it has died."""
        channel = member.channel
        if channel is None:
            return []  # the pool has replaced it
        is_dead = member.is_dead  # before the last messages are read
        frames, closed = channel.receive()
        messages: list[Message] = []
        for frame in frames:
            if not member.ready:
                if frame:
                    raise TunedslError(f"The workers cannot start:\n{frame.decode()}")
                self._workers.mark_started(member)
                continue
            batch = unpack_drained(frame)
            messages += batch.messages
            self._workers.receive(member, batch)
        if (closed or is_dead) and member in self._workers.members:
            messages += self._handle_death(member)
        return messages

    def _handle_death(self, member: PooledProcess) -> list[Message]:
        """Return the failure of the trial that a dead worker ran; other workers get its queued trials."""
        (kind, text), errors = member.cause_of_death(), member.last_errors()
        if not member.ready and kind != "oom":
            self._remove_failed_start(member, f"{text}\n{errors}".strip())
            return []
        order = self._workers.remove_dead(member)
        if order is None:
            return []
        assignment = order.assignment
        given = dict(assignment.resources) if kind == "oom" else {}
        failed = Failed(0.0, assignment.trial, kind, text, errors, given)
        return [Message(assignment.trial, assignment.attempt, failed)]

    def _remove_failed_start(self, member: PooledProcess, text: str) -> None:
        """Remove a member that failed to start; pause the run if starts keep failing."""
        self._workers.remove_failed_start(member)
        if time.monotonic() - self._workers.failing_since > FAILED_STARTS_SECONDS:
            raise EngineLost(f"The workers fail to start: {text}")

    def _check_together(self, trials: Sequence[Resources]) -> None:
        """Raise `ResourceError` if trials in progress cannot run at the same time, as logical order requires."""
        if not fit_together([self._machine.total], trials):
            asked = "; ".join(dict.fromkeys(f"{trials.count(one)} x {_need(one)}" for one in trials))
            raise ResourceError(
                f"In logical order all trials in progress run at a time, but this machine has no room for {asked}.\n"
                f"  help: fewer trials at a time by parallel(...), or fewer resources for each"
            )


def _places(resources: Resources, machine: Machine, most: int) -> int:
    """The number of trials with these resources that fit on this machine, up to a limit.

    Raises:
        ResourceError: when one trial does not fit.
    """
    wrong = next(faults(resources), None)
    if wrong is not None:
        raise ResourceError(with_help(wrong.message, wrong.hint))
    found = places([machine.total], resources, most)
    if found == 0:
        raise ResourceError(f"A trial needs {_need(resources)}, but this machine has {_shown(machine.total)}.")
    return found


def _need(resources: Resources) -> str:
    return _shown(ray_amounts(resources.amounts()))


def _shown(amounts: dict[str, float]) -> str:
    shown = (f"{name}={format_amount(name, amount)}" for name, amount in amounts.items() if amount)
    return ", ".join(shown) or "nothing"

"""The Ray engine's port: connect, check that trials fit, keep the pool busy, hear what happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from tunedsl.backends.gangs import Gangs
from tunedsl.backends.pool import FAILED_STARTS_SECONDS, Pool, resources_of
from tunedsl.backends.protocol import SHUTDOWN_SECONDS, Capacity, EngineLost
from tunedsl.backends.ray.cluster import Watch, in_worker, join
from tunedsl.backends.ray.nodes import has_shut_down
from tunedsl.backends.ray.pooled_actor import PooledActor
from tunedsl.backends.ray.reservation import Reservation
from tunedsl.backends.ray.sharing import Sharing
from tunedsl.backends.ray.shipping import missing_module_error, shipped_environment
from tunedsl.backends.ray.supply import Supply
from tunedsl.backends.ray.waiting import Waiting
from tunedsl.backends.ray.worker_failures import cause_of, failure_of, is_out_of_memory
from tunedsl.backends.responsiveness import Responsiveness
from tunedsl.base.errors import TunedslError
from tunedsl.base.machine import count_oom_kills
from tunedsl.kernel import CapacityChanged
from tunedsl.plan import Plan, Resources
from tunedsl.plan.packing import ray_amounts
from tunedsl.worker import Message, Shipment
from tunedsl.worker.commands import Assign, WorkerCommand
from tunedsl.worker.current import CURRENT
from tunedsl.worker.data import without_unused_rows
from tunedsl.worker.wire import unpack_drained

IDLE_SECONDS: Final = 0.05
_gangs: Final = Gangs()


class RayEngine:
    """Runs trials on a Ray cluster.

    Args:
        address: the cluster's address; without one, a running local cluster, or one that is started
            here without a dashboard and ends with this process.
        wait_for_nodes: how many seconds the run waits for nodes that can run its trials.
        ship: whether to send this package and the experiment's own modules to the workers.

    Attributes:
        tell: is told what is joined, started and waited for before the first trial runs.
    """

    name = "ray"

    def __init__(self, address: str | None = None, wait_for_nodes: float | None = None, ship: bool = False) -> None:
        self.tell: Callable[[str], None] = lambda text: None
        self._address = address
        self._wait_for_nodes = wait_for_nodes
        self._ship = ship
        self._pool: Pool[PooledActor] | None = None
        self._watch: Watch | None = None
        self._waiting: Waiting | None = None
        self._supply: Supply | None = None
        self._sharing = Sharing()
        self._responsiveness: Responsiveness | None = None
        self._reservation: Reservation | None = None
        self._oom_kills = count_oom_kills()
        self._late: list[Message] = []
        self._gang: list[Resources] = []
        self._is_logical = False

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        join(self._address, self.tell)
        self._watch = Watch()
        with self._watch.guarding():
            return self._open(plan, shipment)

    def _open(self, plan: Plan, shipment: Shipment) -> Capacity:
        supply = self._supply = Supply(plan, self._wait_for_nodes)
        capacity, width = supply.capacity, supply.width
        self._is_logical = plan.order == "logical"
        data = {name: ray.put(without_unused_rows(value)) for name, value in shipment.data.items()}
        shipped = ray.put(attrs.evolve(shipment, data={}))
        environment = shipped_environment() if self._ship else {}

        def start(shape: str) -> PooledActor:
            held = self._reservation
            bundle = None if held is None else held.take(shape)
            reserved = None if held is None or bundle is None else (held, bundle)
            return PooledActor(shape, shipped, data, reserved, environment)

        self._pool = Pool(width, start, supply.nodes.total, plan.isolate == "process", self._is_logical)
        self._responsiveness = Responsiveness(plan, self._pool)
        self._waiting = Waiting(self._pool, self._is_logical, CURRENT.session, in_worker())
        resources = plan.resources if isinstance(plan.resources, Resources) else Resources()
        self._gang = [resources] * width
        if self._is_logical:
            self._pool.blocked = not _gangs.admit(self, supply.nodes.amounts, self._gang)
        if self._pool.blocked:
            self.tell("waiting for another run of this process in logical order: there is no room for both")
        else:
            self._reserve()
            if not supply.lack:
                ahead = min(capacity.width, plan.trials) if isinstance(plan.resources, Resources) else 0
                self._pool.grow(supply.shape, ahead)
                self.tell(self._waiting.start_text(len(supply.nodes.usable)))
        return capacity

    def _reserve(self) -> None:
        """In logical order, reserve the resources of all workers together."""
        if self._is_logical and Reservation.is_possible(self._gang[0]):
            self._reservation = Reservation(self._nodes.shape, self._gang[0], len(self._gang))

    def now(self) -> float:
        return time.monotonic()

    def apply(self, orders: Sequence[WorkerCommand]) -> None:
        for order in orders:
            if isinstance(order, Assign):
                self._nodes.check(order.assignment.shape)
        if not orders:
            return
        with self._cluster.guarding():
            if self._cluster.answers():
                self._ready_actors.take(orders)
            else:
                self._ready_actors.keep(orders)
        if self._is_logical:
            self._nodes.check_together(self._ready_actors.changed_trials())

    def poll(self, seconds: float) -> list[Message]:
        messages, self._late = self._late, []
        with self._cluster.guarding():
            if not self._cluster.answers():
                time.sleep(min(seconds, IDLE_SECONDS))
                return messages
            messages += self._follow_nodes()
            if self._ready_actors.blocked and _gangs.admit(self, self._nodes.nodes.amounts, self._gang):
                self._ready_actors.blocked = False
                self._reserve()
            if not self._is_logical:
                self._check_contention()
            messages += self._receive_messages(0.0 if messages else seconds)
            assert self._responsiveness is not None
            messages += self._responsiveness.look()
            self._ready_actors.place()
            messages += self._nodes.shortage(self._ready_actors.shapes, self._ready_actors.started, self.tell)
        assert self._waiting is not None
        return messages + self._waiting.look(self.tell)

    def _follow_nodes(self) -> list[Message]:
        """Update the pool to the nodes that have joined, are drained, or have left."""
        supply, pool = self._nodes, self._ready_actors
        changed = supply.is_due() and self._may_query() and supply.look()
        if supply.nodes.draining:
            pool.preempt(supply.nodes.draining, "its node is being drained")
        if not changed:
            return []
        pool.total = supply.nodes.total
        if not self._is_logical:
            pool.resize(supply.width)
        pool.reserve(supply.shape, supply.spares)
        return [Message.of_engine(CapacityChanged(0.0, *msgspec.structs.astuple(supply.capacity)))]

    def _check_contention(self) -> None:
        """Update whether other runs wait for resources of this run's workers."""
        if self._sharing.is_due() and not self._may_query():
            return
        pool = self._ready_actors
        held = ray_amounts(resources_of(self._nodes.shape).amounts())
        pool.contended = self._sharing.others_wait(held, pool.count_requests)

    def _may_query(self) -> bool:
        """Whether the cluster's head answers now. A query without an answer blocks until Ray ends this process."""
        return self._cluster.answers(now=True)

    def want(self, trials: int) -> None:
        if self._nodes.want(trials):
            self._ready_actors.reserve(self._nodes.shape, self._nodes.spares)

    def _receive_messages(self, seconds: float) -> list[Message]:
        """Wait for messages of members; return them, and the failures of members that died."""
        messages: list[Message] = []
        drains = {member.drain: member for member in self._ready_actors.members}
        if not drains:
            time.sleep(min(seconds, IDLE_SECONDS))
            return messages
        ready, _ = ray.wait(list(drains), num_returns=1, timeout=seconds)
        if ready:
            ready, _ = ray.wait(list(drains), num_returns=len(drains), timeout=0)
        for drain in ready:
            messages += self._receive(drains[drain])
        return messages

    def interrupt(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        with self._cluster.guarding():
            self._interrupt(time.monotonic() + seconds)

    def _interrupt(self, deadline: float) -> None:
        for member in self._ready_actors.members:
            member.halt()
        self._ready_actors.clear()
        while time.monotonic() < deadline and any(
            member.assigned for member in self._ready_actors.members if member.ready
        ):
            for member in list(self._ready_actors.members):
                if not member.ready:
                    continue
                if not self._cluster.answers():
                    time.sleep(IDLE_SECONDS)
                    break
                try:
                    self._late += self._receive(member, max(0.0, deadline - time.monotonic()))
                except GetTimeoutError:
                    break

    def abandon(self) -> None:
        self.close()

    def close(self) -> None:
        _gangs.release(self)
        if self._watch is not None and self._watch.lost:
            self._watch.leave()
        elif self._pool is not None and ray.is_initialized():
            for member in list(self._pool.members):
                self._pool.remove(member)
            if self._reservation is not None:
                self._reservation.remove()
        self._pool = None

    @property
    def _ready_actors(self) -> Pool[PooledActor]:
        assert self._pool is not None  # the driver opens an engine before it uses it
        return self._pool

    @property
    def _nodes(self) -> Supply:
        assert self._supply is not None
        return self._supply

    @property
    def _cluster(self) -> Watch:
        assert self._watch is not None
        return self._watch

    def _receive(self, member: PooledActor, timeout: float | None = None) -> list[Message]:
        """A member's messages, or the failure of its trial if it has died."""
        try:
            drained = unpack_drained(ray.get(member.drain, timeout=timeout))
        except (GetTimeoutError, RayTaskError):
            raise  # a timeout, or a fault of this package, which a retry would hide
        except RayError as error:
            return self._handle_death(member, error)
        self._ready_actors.receive(member, drained)
        return drained.messages

    def _handle_death(self, member: PooledActor, error: Exception) -> list[Message]:
        """Return the failure of the trial that a dead worker ran; other workers get its queued trials.

        If a worker fails to start, its trials have not failed, except when memory ran out: a retry may get more memory.
        """
        if not self._cluster.answers(now=True):
            return []  # the whole cluster may be lost; if it is not, the error is repeated
        if not member.ready and not is_out_of_memory(error):
            lacking = missing_module_error(str(error))
            if lacking is not None:
                raise lacking from error
            if "creation" in str(error).lower():
                raise TunedslError(f"The workers cannot start:\n{error}") from error
            self._ready_actors.remove_failed_start(member)
            if time.monotonic() - self._ready_actors.failing_since > FAILED_STARTS_SECONDS:
                raise EngineLost(f"The workers fail to start: {cause_of(error)}") from error
            return []
        before, self._oom_kills = self._oom_kills, count_oom_kills()
        killed = self._oom_kills > before and ray.util.get_node_ip_address() in str(error)
        preempted = member.preempted or (self._may_query() and has_shut_down(member.node))
        order = self._ready_actors.remove_dead(member)
        return [] if order is None else [failure_of(order.assignment, error, killed, preempted)]

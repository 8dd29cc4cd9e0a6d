"""The Ray engine's port: connect, check that trials fit, keep the pool busy, hear what happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from tunedsl.backends.gangs import Gangs
from tunedsl.backends.pool import STILLBORN_SECONDS, Pool, resources_of
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
from tunedsl.worker.wire import unpack_drained

IDLE_SECONDS: Final = 0.05
_gangs: Final = Gangs()


class RayEngine:
    """Runs trials on a Ray cluster.

    Args:
        address: the cluster's address; without one, a running local cluster, or one that is started
            here without a dashboard and ends with this process.
        wait_for_nodes: how many seconds the run waits for nodes that can carry its trials.
        ship: whether workers get this package and the experiment's own modules from here.

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
        self._shapes: Mapping[str, int] = {}
        self._gang: list[Resources] = []
        self._in_turn = False

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        join(self._address, self.tell)
        self._watch = Watch()
        with self._watch.guarding():
            return self._open(plan, shipment)

    def _open(self, plan: Plan, shipment: Shipment) -> Capacity:
        supply = self._supply = Supply(plan, self._wait_for_nodes)
        capacity, width = supply.capacity, supply.width
        self._in_turn = plan.order == "logical"
        data = {name: ray.put(value) for name, value in shipment.data.items()}
        shipped = ray.put(attrs.evolve(shipment, data={}))
        environment = shipped_environment() if self._ship else {}

        def start(shape: str) -> PooledActor:
            held = self._reservation
            bundle = None if held is None else held.take(shape)
            reserved = None if held is None or bundle is None else (held, bundle)
            return PooledActor(shape, shipped, data, reserved, environment)

        self._pool = Pool(width, start, supply.nodes.total, plan.isolate == "process", self._in_turn)
        self._responsiveness = Responsiveness(plan, self._pool)
        self._waiting = Waiting(self._pool, self._in_turn, CURRENT.session, in_worker())
        resources = plan.resources if isinstance(plan.resources, Resources) else Resources()
        self._gang = [resources] * width
        if self._in_turn:
            self._pool.held = not _gangs.admit(self, supply.nodes.amounts, self._gang)
        if self._pool.held:
            self.tell("waiting for another run of this process in logical order: there is no room for both")
        else:
            self._reserve()
            if not supply.lack:
                ahead = min(capacity.width, plan.trials) if isinstance(plan.resources, Resources) else 0
                self._pool.grow(supply.shape, ahead)
                self.tell(self._waiting.begins(len(supply.nodes.usable)))
        return capacity

    def _reserve(self) -> None:
        """In logical order, have all workers get their resources together or not at all."""
        if self._in_turn and Reservation.is_possible(self._gang[0]):
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
        if self._in_turn:
            self._check_together()

    def poll(self, seconds: float) -> list[Message]:
        messages, self._late = self._late, []
        with self._cluster.guarding():
            if not self._cluster.answers():
                time.sleep(min(seconds, IDLE_SECONDS))
                return messages
            messages += self._follow_nodes()
            if self._ready_actors.held and _gangs.admit(self, self._nodes.nodes.amounts, self._gang):
                self._ready_actors.held = False
                self._reserve()
            if not self._in_turn:
                self._share()
            messages += self._heard(0.0 if messages else seconds)
            assert self._responsiveness is not None
            messages += self._responsiveness.look()
            self._ready_actors.place()
            messages += self._nodes.shortage(self._ready_actors.shapes, self._ready_actors.started, self.tell)
        assert self._waiting is not None
        return messages + self._waiting.look(self.tell)

    def _follow_nodes(self) -> list[Message]:
        """What changes as nodes join, are drained, and leave."""
        supply, pool = self._nodes, self._ready_actors
        changed = supply.look()
        if supply.nodes.draining:
            pool.leave(supply.nodes.draining, "its node is being drained")
        if not changed:
            return []
        pool.total = supply.nodes.total
        if not self._in_turn:
            pool.resize(supply.width)
        pool.reserve(supply.shape, supply.spares)
        return [Message.of_engine(CapacityChanged(0.0, *msgspec.structs.astuple(supply.capacity)))]

    def _share(self) -> None:
        """Note whether others wait for what old workers hold; a run in logical order needs all of its own."""
        pool = self._ready_actors
        held = ray_amounts(resources_of(self._nodes.shape).amounts())
        pool.shares = self._sharing.others_wait(held, pool.count_requests)

    def want(self, trials: int) -> None:
        if self._nodes.want(trials):
            self._ready_actors.reserve(self._nodes.shape, self._nodes.spares)

    def _heard(self, seconds: float) -> list[Message]:
        """What members say, as soon as one does."""
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
        _gangs.dismiss(self)
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
        """A member's messages, or what its death means for its trials."""
        try:
            drained = unpack_drained(ray.get(member.drain, timeout=timeout))
        except (GetTimeoutError, RayTaskError):
            raise  # not yet there; or a fault of this package, which a retry would only hide
        except RayError as error:
            return self._lost(member, error)
        self._ready_actors.receive(member, drained)
        return drained.messages

    def _lost(self, member: PooledActor, error: Exception) -> list[Message]:
        """The running trial failed with its worker; the others go to another one.

        What a worker was to run that died before it began has not failed: nothing of it ran. But for want of memory,
        of which a trial may be given more.
        """
        if not self._cluster.answers(now=True):
            return []  # its trials may be lost, or all of the run: that comes out soon, and this is heard again
        if not member.ready and not is_out_of_memory(error):
            lacking = missing_module_error(str(error))
            if lacking is not None:
                raise lacking from error
            if "creation" in str(error).lower():
                raise TunedslError(f"The workers cannot start:\n{error}") from error
            self._ready_actors.bury(member)
            if time.monotonic() - self._ready_actors.stillborn_since > STILLBORN_SECONDS:
                raise EngineLost(f"The workers ended before they began: {cause_of(error)}") from error
            return []
        before, self._oom_kills = self._oom_kills, count_oom_kills()
        killed = self._oom_kills > before and ray.util.get_node_ip_address() in str(error)
        leaving = member.leaving or has_shut_down(member.node)
        order = self._ready_actors.lose(member)
        return [] if order is None else [failure_of(order.assignment, error, killed, leaving)]

    def _check_together(self) -> None:
        """Refuses trials under way that can never all run at a time, where logical order waits for each of them."""
        under_way = self._ready_actors.shapes()
        if under_way == self._shapes:
            return
        self._shapes = under_way
        trials = [resources_of(shape) for shape, count in under_way.items() for _ in range(count)]
        self._nodes.check_together(trials)

"""The Ray engine's port: connect, check that trials fit, keep the pool busy, hear what happens."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import cloudpickle
import ray
import ray.cloudpickle
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayError, RayTaskError

from tunedsl.backends.protocol import SHUTDOWN_SECONDS, Capacity, ahead_of
from tunedsl.backends.ray.actor import unpack_drained
from tunedsl.backends.ray.pool import DRAIN_SECONDS, Attempt, Pool, PooledActor, ray_names, resources_of
from tunedsl.backends.ray.worker_failures import count_oom_kills, failure_of
from tunedsl.base.codec import to_json
from tunedsl.base.errors import ResourceError, TunedslError
from tunedsl.base.types import FailureKind
from tunedsl.kernel import Failed
from tunedsl.plan import Plan, Resources
from tunedsl.worker import Message, Notice, Shipment
from tunedsl.worker.commands import Assign, WorkerCommand

IDLE_SECONDS: Final = 0.05
ANSWER_SECONDS: Final = 5.0
"""How much longer than its trial's limit of time a worker may take to answer, before it is killed."""
LATE_SECONDS: Final = 30.0
"""How long a worker with work may take to start before the user hears of it."""

_joined: Final[list[str | None]] = []
"""The address at which a run has connected this process."""


class RayEngine:
    """Runs trials on a Ray cluster.

    Args:
        address: the cluster's address; without one, a running local cluster, or one that is started
            here without a dashboard and ends with this process.
    """

    name = "ray"

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        self._pool: Pool | None = None
        self._limit: tuple[FailureKind, float] | None = None
        self._oom_kills = count_oom_kills()
        self._late: list[Message] = []
        self._nodes: list[Mapping[str, Any]] = []
        self._fitting: set[str] = set()
        self._in_turn = self._told_of_late = False

    def open(self, plan: Plan, shipment: Shipment) -> Capacity:
        if ray.is_initialized():
            _check_connected(self._address)
        else:
            ray.init(
                address=self._address,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.ERROR,
            )
            _joined[:] = [self._address]
        for name in cloudpickle.list_registry_pickle_by_value() & sys.modules.keys():  # Ray has a registry of its own
            ray.cloudpickle.register_pickle_by_value(sys.modules[name])
        self._nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if isinstance(plan.resources, Resources):
            most = _places(plan.resources, self._nodes)
        else:
            most = max(1, int(sum(node.get("CPU", 0) for node in self._nodes)))
        if plan.order == "logical" and plan.parallel is not None and plan.parallel > most:
            raise ResourceError(
                f"the plan runs {plan.parallel} trials at a time in logical order, and this cluster "
                f"has room for {most}: ask for fewer resources a trial, or give parallel({most})"
            )
        width = min(plan.parallel or most, most)
        limits: list[tuple[float, FailureKind]] = []
        limits += [] if plan.timeout is None else [(plan.timeout, "timeout")]
        limits += [] if plan.idle is None else [(plan.idle, "idle")]
        self._limit = min(limits)[::-1] if limits else None
        self._in_turn = plan.order == "logical"
        data = {name: ray.put(value) for name, value in shipment.data.items()}
        total: Counter[str] = Counter()
        for node in self._nodes:
            total.update(node)
        self._pool = Pool(width, ray.put(attrs.evolve(shipment, data={})), data, total, plan.isolate == "process")
        if isinstance(plan.resources, Resources):
            self._pool.grow(to_json(plan.resources), min(width, plan.trials))
        return Capacity(width, ahead_of(plan), _max_resources(plan, self._nodes))

    def now(self) -> float:
        return time.monotonic()

    def apply(self, orders: Sequence[WorkerCommand]) -> None:
        for order in orders:
            if isinstance(order, Assign) and order.assignment.shape not in self._fitting:
                _places(resources_of(order.assignment.shape), self._nodes)
                self._fitting.add(order.assignment.shape)
        if orders:
            self._ready_actors.take(orders)

    def poll(self, seconds: float) -> list[Message]:
        messages, self._late = self._late, []
        drains = {member.drain: member for member in self._ready_actors.members}
        if not drains:
            time.sleep(0.0 if messages else min(seconds, IDLE_SECONDS))
            self._ready_actors.place()
            return messages
        ready, _ = ray.wait(list(drains), num_returns=1, timeout=0 if messages else seconds)
        if ready:
            ready, _ = ray.wait(list(drains), num_returns=len(drains), timeout=0)
        for drain in ready:
            messages += self._receive(drains[drain])
        if self._limit is not None:
            messages += self._unresponsive(*self._limit)
        self._ready_actors.place()
        return messages if self._told_of_late else messages + self._late_ones()

    def interrupt(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        for member in self._ready_actors.members:
            member.actor.halt.remote()
        self._ready_actors.clear()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(
            member.assigned for member in self._ready_actors.members if member.ready
        ):
            for member in self._ready_actors.members:
                if not member.ready:
                    continue
                try:
                    self._late += self._receive(member, deadline - time.monotonic())
                except GetTimeoutError:
                    break

    def close(self) -> None:
        if self._pool is not None and ray.is_initialized():
            for member in list(self._pool.members):
                self._pool.remove(member)
        self._pool = None

    @property
    def _ready_actors(self) -> Pool:
        assert self._pool is not None  # the driver opens an engine before it uses it
        return self._pool

    def _receive(self, member: PooledActor, timeout: float | None = None) -> list[Message]:
        """A member's messages, or what its death means for its trials."""
        try:
            drained = unpack_drained(ray.get(member.drain, timeout=timeout))
        except (GetTimeoutError, RayTaskError):
            raise  # not yet there; or a fault of this package, which a retry would only hide
        except RayError as error:
            return self._lost(member, error)
        if not member.ready:
            member.mark_ready()
        failed: set[Attempt] = set()
        for message in drained.messages:
            if message.event is None:
                self._ready_actors.free(member, (message.trial, message.attempt))
            elif isinstance(message.event, Failed):
                failed.add((message.trial, message.attempt))
        if drained.replace:
            self._ready_actors.replace(member, failed)
        elif member in self._ready_actors.members:  # one that runs a single trial is gone with it
            member.request_messages()
        return drained.messages

    def _lost(self, member: PooledActor, error: Exception) -> list[Message]:
        """The running trial failed with its worker; the others go to another one."""
        if not member.ready and not isinstance(error, OutOfMemoryError) and "creation" in str(error).lower():
            raise TunedslError(f"workers cannot start:\n{error}") from error
        before, self._oom_kills = self._oom_kills, count_oom_kills()
        killed = self._oom_kills > before and ray.util.get_node_ip_address() in str(error)
        assigned = self._ready_actors.remove(member)
        self._ready_actors.waiting.extendleft(reversed(assigned[1:]))
        return [failure_of(order.assignment, error, killed) for order in assigned[:1]]

    def _late_ones(self) -> list[Message]:
        """Says once that workers do not start: a node may be gone, or somebody else's work has its place."""
        before = time.monotonic() - LATE_SECONDS
        late = [one for one in self._ready_actors.members if not one.ready and one.assigned and one.began < before]
        if not late:
            return []
        self._told_of_late = True
        need = _amounts(ray_names(resources_of(late[0].shape).amounts()))
        text = (
            f"{len(late)} of {len(self._ready_actors.members)} workers have not started for {LATE_SECONDS:g} s: "
            f"the cluster may have no room now for {need}, which one needs; they start when there is room, and "
            f"{'in logical order all trials wait for them' if self._in_turn else 'the others go on meanwhile'}"
        )
        (trial, attempt), *_ = late[0].assigned
        return [Message(trial, attempt, Notice("late workers", text))]

    def _unresponsive(self, kind: FailureKind, limit: float) -> list[Message]:
        """Kills workers that do not answer for longer than a trial may take; they end trials by themselves before."""
        messages: list[Message] = []
        before = time.monotonic() - limit - DRAIN_SECONDS - ANSWER_SECONDS
        for member in [one for one in self._ready_actors.members if one.ready and one.assigned and one.asked < before]:
            (trial, attempt), *_ = member.assigned
            text = f"its worker has not answered for more than {limit:g} s, and was killed"
            messages.append(Message(trial, attempt, Failed(0.0, trial, kind, text)))
            self._ready_actors.replace(member, {(trial, attempt)})
        return messages


def _check_connected(address: str | None) -> None:
    """Refuses an address that is another than this process is connected to, where it would go unheeded."""
    if address is None or address in ("auto", "local", *_joined):
        return
    if address.startswith("ray://"):
        there = "elsewhere" if not ray.util.client.ray.is_connected() else ""
    else:
        at = ray.get_runtime_context().gcs_address
        there = "" if at.rpartition(":")[2] == address.rpartition(":")[2] else f"at {at}"  # one host has many names
    if there:
        raise TunedslError(
            f"address={address!r}: this process is connected to Ray {there} already; "
            f"leave address out to run there, or call ray.shutdown() before"
        )


def _max_resources(plan: Plan, nodes: list[Mapping[str, Any]]) -> dict[str, float]:
    """The most memory that a trial can be given, where its retries may ask for more.

    Where a function says what it needs beside memory, it is that of the smallest node: it surely fits there.
    """
    if plan.retry.grow <= 1:
        return {}
    if not isinstance(plan.resources, Resources):
        return {"memory": min((float(node["memory"]) for node in nodes if node.get("memory")), default=0.0)}
    need = ray_names(plan.resources.amounts())
    return {"memory": max((float(node["memory"]) for node in nodes if _fits(node, need)), default=0.0)}


def _places(resources: Resources, nodes: list[Mapping[str, Any]]) -> int:
    """How many trials of these resources the cluster has room for.

    Raises:
        ResourceError: when no node can ever give what one trial asks for.
    """
    need = ray_names(resources.amounts())
    if resources.bundles:  # parts may lie on different nodes
        nodes = [{name: sum(node.get(name, 0) for node in nodes) for name in need}]
    places = sum(_fits(node, need) for node in nodes)
    if places == 0:
        best = {name: max((node.get(name, 0) for node in nodes), default=0) for name in need}
        raise ResourceError(
            f"a trial asks for {_amounts(need)}, and no node of the cluster has that: "
            f"the most that any has is {_amounts(best)}"
        )
    return places


def _fits(node: Mapping[str, Any], need: Mapping[str, float]) -> int:
    rooms = [int(node.get(name, 0) / amount + 1e-9) for name, amount in need.items() if amount > 0]
    return min(rooms) if rooms else max(1, int(node.get("CPU", 1)))


def _amounts(amounts: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in amounts.items()) or "nothing"

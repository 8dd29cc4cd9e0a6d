"""The pool: actors by the shape of their resources, and which trials are at which."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from tunedsl.base.codec import from_json
from tunedsl.engine.port import Assign, Halt, Order
from tunedsl.engine.ray.actor import CONCURRENCY_GROUPS, RayWorker, pack
from tunedsl.plan import Resources

DRAIN_SECONDS: Final = 2.0
AHEAD_SECONDS: Final = 0.1
"""How much work a worker may have queued, so that it never waits for the driver between trials."""
MOST_AHEAD: Final = 64

_RAY_NAMES: Final = {"cpu": "CPU", "gpu": "GPU"}

_remote: Any = ray.remote  # its stubs do not know concurrency groups
_ACTOR: Final[Any] = _remote(concurrency_groups=CONCURRENCY_GROUPS, max_restarts=0)(RayWorker)

Attempt = tuple[int, int]


class Member:
    """One actor and what it was assigned, the running trial first."""

    def __init__(self, shape: str, shipment: Any, data: Mapping[str, Any]) -> None:
        resources = resources_of(shape)
        self.shape = shape
        self.assigned: dict[Attempt, Assign] = {}
        self.ready = False
        self.since = time.monotonic()
        self._group = _group(resources)
        self.actor: Any = _ACTOR.options(**_options(resources, self._group)).remote(shipment, data)
        self.drain = self.actor.drain.remote(DRAIN_SECONDS)

    def push(self, orders: Sequence[Order]) -> None:
        self.actor.push.remote(pack(list(orders)))

    def again(self) -> None:
        """Asks for the next messages."""
        self.drain = self.actor.drain.remote(DRAIN_SECONDS)

    def kill(self) -> None:
        ray.kill(self.actor)
        if self._group is not None:
            remove_placement_group(self._group)


class Pool:
    """At most `width` members at a time; assignments wait in order for one of their shape."""

    def __init__(self, width: int, shipment: Any, data: Mapping[str, Any]) -> None:
        self.members: list[Member] = []
        self.waiting: deque[Assign] = deque()
        self._width = width
        self._shipment = shipment
        self._data = data
        self._at: dict[Attempt, Member] = {}
        self._trial_seconds: float | None = None

    def grow(self, shape: str, count: int) -> None:
        """Starts members ahead of the first assignment."""
        self.members += [Member(shape, self._shipment, self._data) for _ in range(count)]

    def take(self, orders: Sequence[Order]) -> None:
        """Sends orders to where their trials are; assignments wait for `place`."""
        answers: dict[int, tuple[Member, list[Order]]] = {}
        for order in orders:
            if isinstance(order, Assign):
                self.waiting.append(order)
                continue
            member = self._at.get((order.trial, order.attempt))
            if member is not None:
                answers.setdefault(id(member), (member, []))[1].append(order)
            elif isinstance(order, Halt):
                self.waiting = deque(wait for wait in self.waiting if wait.assignment.trial != order.trial)
        for member, batch in answers.values():
            member.push(batch)
        self.place()

    def place(self) -> None:
        """Gives waiting assignments to members that have room."""
        depth = self._depth()
        batches: dict[int, tuple[Member, list[Order]]] = {}
        while self.waiting:
            member = self._member_for(self.waiting[0].assignment.shape, depth)
            if member is None:
                break
            order = self.waiting.popleft()
            attempt = (order.assignment.trial, order.assignment.attempt)
            if not member.assigned:
                member.since = time.monotonic()
            member.assigned[attempt] = order
            self._at[attempt] = member
            batches.setdefault(id(member), (member, []))[1].append(order)
        for member, batch in batches.values():
            member.push(batch)

    def free(self, member: Member, attempt: Attempt) -> None:
        """An attempt left its member."""
        if member.assigned.pop(attempt, None) is None:
            return
        self._at.pop(attempt, None)
        now = time.monotonic()
        seconds, member.since = now - member.since, now
        before = self._trial_seconds
        self._trial_seconds = seconds if before is None else max(seconds, 0.8 * before + 0.2 * seconds)

    def remove(self, member: Member) -> list[Assign]:
        """Takes a dead member out; gives back what it was assigned, the running trial first."""
        self.members.remove(member)
        for attempt in member.assigned:
            self._at.pop(attempt, None)
        member.kill()
        return list(member.assigned.values())

    def member_at(self, attempt: Attempt) -> Member | None:
        """The member that an attempt was given to."""
        return self._at.get(attempt)

    def _member_for(self, shape: str, depth: int) -> Member | None:
        fitting = [member for member in self.members if member.shape == shape]
        best = min(fitting, key=lambda member: len(member.assigned), default=None)
        if best is not None and not best.assigned:
            return best
        if len(self.members) >= self._width:
            if best is not None:
                return best if len(best.assigned) < depth else None
            idle = next((member for member in self.members if not member.assigned), None)
            if idle is None:
                return None
            self.remove(idle)
        self.grow(shape, 1)
        return self.members[-1]

    def _depth(self) -> int:
        """How many trials a member may hold: one, or more where they are short."""
        seconds = self._trial_seconds
        return 1 if seconds is None else max(1, min(MOST_AHEAD, int(AHEAD_SECONDS / max(seconds, 1e-6))))


@lru_cache(maxsize=256)
def resources_of(shape: str) -> Resources:
    """The resources that a shape's JSON stands for."""
    resources: Resources = from_json(shape)
    return resources


def ray_names(amounts: Mapping[str, float]) -> dict[str, float]:
    """Amounts by the names that Ray gives to resources."""
    return {_RAY_NAMES.get(name, name): amount for name, amount in amounts.items()}


def _group(resources: Resources) -> Any:
    if not resources.bundles:
        return None
    bundles = [ray_names(dict(bundle)) for bundle in resources.bundles]
    return placement_group(bundles, strategy=resources.strategy)


def _options(resources: Resources, group: Any) -> dict[str, Any]:
    if group is not None:
        first = ray_names(dict(resources.bundles[0]))
        strategy = PlacementGroupSchedulingStrategy(
            placement_group=group, placement_group_bundle_index=0, placement_group_capture_child_tasks=True
        )
        return {
            "num_cpus": first.pop("CPU", 0),
            "num_gpus": first.pop("GPU", 0),
            "memory": first.pop("memory", None),
            "resources": first,
            "scheduling_strategy": strategy,
        }
    options: dict[str, Any] = {
        "num_cpus": resources.cpu,
        "num_gpus": resources.gpu,
        "resources": dict(resources.custom),
    }
    if resources.memory is not None:
        options["memory"] = resources.memory
    return options

"""A worker of the pool that is an actor of Ray, and its resource request."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import ray
from ray.util.placement_group import placement_group, placement_group_table
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from tunedsl.backends.pool import DRAIN_SECONDS, PooledWorker, resources_of
from tunedsl.backends.ray.actor import CONCURRENCY_GROUPS, RayWorker
from tunedsl.backends.ray.placement_groups import remove_group
from tunedsl.backends.ray.reservation import Reservation
from tunedsl.base.import_path import import_path
from tunedsl.plan import Resources
from tunedsl.plan.packing import ray_amounts
from tunedsl.worker.commands import WorkerCommand
from tunedsl.worker.wire import pack

_remote: Any = ray.remote  # its stubs lack concurrency groups
_ACTOR: Final[Any] = _remote(concurrency_groups=CONCURRENCY_GROUPS, max_restarts=0)(RayWorker)


class PooledActor(PooledWorker):
    """One actor and its assignments.

    Args:
        shape: the shape of its resources.
        shipment, data: references to its shipment and data in the object store.
        reserved: a reservation, and the number of this worker's bundle in it.
        environment: its `runtime_env`, if any.
    """

    def __init__(
        self,
        shape: str,
        shipment: Any,
        data: Mapping[str, Any],
        reserved: tuple[Reservation, int] | None = None,
        environment: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(shape)
        resources = resources_of(shape)
        self.reserved = reserved
        self._group = _group(resources)
        options = _options(resources, self._group) if reserved is None else _reserved_options(resources, reserved)
        if environment:
            options["runtime_env"] = dict(environment)
        self.actor: Any = _ACTOR.options(**options).remote(import_path(), [shipment], data)
        self.drain = self.actor.drain.remote(0.0)

    def send(self, orders: Sequence[WorkerCommand]) -> None:
        self.actor.push.remote(pack(list(orders)))

    def halt(self) -> None:
        self.actor.halt.remote()

    def request_messages(self) -> None:
        super().request_messages()
        self.drain = self.actor.drain.remote(DRAIN_SECONDS)

    def nodes(self) -> set[str]:
        if self._group is None:
            return {self.node}
        placed = placement_group_table(self._group).get("bundles_to_node_id") or {}
        return {self.node, *placed.values()}

    def preempt(self, text: str) -> None:
        super().preempt(text)
        self.actor.preempt.remote(text)

    def kill(self) -> None:
        if self.reserved is not None and not self.preempted:
            reservation, bundle = self.reserved  # the bundle of a preempted member is on a node that accepts no others
            reservation.give_back(bundle)
        with contextlib.suppress(Exception):  # the actor or Ray may have ended
            ray.kill(self.actor)
        if self._group is not None:
            remove_group(self._group)


def _group(resources: Resources) -> Any:
    if not resources.bundles:
        return None
    bundles = [ray_amounts(dict(bundle)) for bundle in resources.bundles]
    return placement_group(bundles, strategy=resources.strategy)


def _reserved_options(resources: Resources, reserved: tuple[Reservation, int]) -> dict[str, Any]:
    strategy = PlacementGroupSchedulingStrategy(
        placement_group=reserved[0].group,
        placement_group_bundle_index=reserved[1],
        placement_group_capture_child_tasks=False,  # the worker takes the whole bundle
    )
    return {**_options(resources, None), "scheduling_strategy": strategy}


def bundle_options(group: Any, bundle: int, amounts: dict[str, Any], captures: bool | None = None) -> dict[str, Any]:
    """Return the options of an actor that takes a whole bundle.

    Args:
        group: the placement group.
        bundle: the number of the bundle.
        amounts: the resources of the bundle, by Ray's names; consumed.
        captures: whether the tasks and actors that it starts run in the group; None for Ray's default.
    """
    return {
        "num_cpus": amounts.pop("CPU", 0),
        "num_gpus": amounts.pop("GPU", 0),
        "memory": amounts.pop("memory", None),
        "resources": amounts,
        "scheduling_strategy": PlacementGroupSchedulingStrategy(
            placement_group=group, placement_group_bundle_index=bundle, placement_group_capture_child_tasks=captures
        ),
    }


def _options(resources: Resources, group: Any) -> dict[str, Any]:
    if group is not None:
        return bundle_options(group, 0, ray_amounts(dict(resources.bundles[0])), captures=True)
    options: dict[str, Any] = {
        "num_cpus": resources.cpu,
        "num_gpus": resources.gpu,
        "resources": dict(resources.custom),
    }
    if resources.memory is not None:
        options["memory"] = resources.memory
    return options

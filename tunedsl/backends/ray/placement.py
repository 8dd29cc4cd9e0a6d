"""Where Ray places an actor: the options and placement groups for a trial's resources."""

from __future__ import annotations

from typing import Any

from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from tunedsl.backends.ray.gangs import Reservation
from tunedsl.plan import Resources
from tunedsl.plan.packing import ray_amounts


def group_of(resources: Resources) -> Any:
    if not resources.bundles:
        return None
    bundles = [ray_amounts(dict(bundle)) for bundle in resources.bundles]
    return placement_group(bundles, strategy=resources.strategy)


def reserved_options(resources: Resources, reserved: tuple[Reservation, int]) -> dict[str, Any]:
    strategy = PlacementGroupSchedulingStrategy(
        placement_group=reserved[0].group,
        placement_group_bundle_index=reserved[1],
        placement_group_capture_child_tasks=False,  # the worker takes the whole bundle
    )
    return {**options_of(resources, None), "scheduling_strategy": strategy}


def options_of(resources: Resources, group: Any) -> dict[str, Any]:
    if group is not None:
        first = ray_amounts(dict(resources.bundles[0]))
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

"""The joint reservation of all workers of a run in logical order on a Ray cluster."""

from __future__ import annotations

from ray.util.placement_group import placement_group

from tunedsl.backends.ray.placement_groups import remove_group
from tunedsl.plan import Resources
from tunedsl.plan.packing import ray_amounts


class Reservation:
    """A placement group with a bundle for each worker of a run. Ray grants all bundles or none, across processes.

    Args:
        shape: the shape of each worker, which has no bundles of its own.
        resources: the resources of each worker.
        count: the number of workers.
    """

    def __init__(self, shape: str, resources: Resources, count: int) -> None:
        self.shape = shape
        self.group = placement_group([ray_amounts(resources.amounts())] * count, strategy="PACK")
        self._free = list(range(count))[::-1]

    @staticmethod
    def is_possible(resources: Resources) -> bool:
        """Whether workers with these resources can be reserved together."""
        return not resources.bundles and any(resources.amounts().values())

    def take(self, shape: str) -> int | None:
        """Return a free bundle for a worker; None if it has another shape or no bundle is free."""
        return self._free.pop() if shape == self.shape and self._free else None

    def give_back(self, bundle: int) -> None:
        """Free the bundle of a worker."""
        self._free.append(bundle)

    def remove(self) -> None:
        """Remove the placement group."""
        remove_group(self.group)

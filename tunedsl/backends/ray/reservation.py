"""What the workers of a run in logical order hold together on a Ray cluster."""

from __future__ import annotations

import contextlib

from ray.util.placement_group import placement_group, remove_placement_group

from tunedsl.plan import Resources
from tunedsl.plan.packing import ray_amounts


class Reservation:
    """What all workers of a run need, in one placement group: Ray gives all of it or nothing, to whichever process.

    Args:
        shape: of the workers, which have no bundles of their own.
        resources: of each.
        count: how many there are.
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
        """The bundle for a worker; None where it has another shape, or all are taken."""
        return self._free.pop() if shape == self.shape and self._free else None

    def give_back(self, bundle: int) -> None:
        """A worker does not need its bundle any more."""
        self._free.append(bundle)

    def remove(self) -> None:
        """Give everything back to the cluster."""
        with contextlib.suppress(Exception):  # the cluster may be gone
            remove_placement_group(self.group)

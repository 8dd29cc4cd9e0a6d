"""The joint reservation of all workers of a run in logical order on a Ray cluster."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Final

from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group

from tunedsl.plan import Resources
from tunedsl.plan.packing import ray_amounts

DECISION_SECONDS: Final = 2.0
"""How long the removal of a group waits for the cluster's decision whether it has room for it."""
_POLL_SECONDS: Final = 0.005


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


def remove_group(group: Any) -> None:
    """Remove a placement group.

    Ray 2.60 loses the resources of a group that is removed while a node prepares its bundles, until the cluster ends.
    So a group about which the cluster decides at this moment is removed after the decision.
    """
    with contextlib.suppress(Exception):  # the cluster may have ended
        deadline = time.monotonic() + DECISION_SECONDS
        while _is_undecided(group) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        remove_placement_group(group)


def _is_undecided(group: Any) -> bool:
    """Whether the cluster has not decided yet whether it has room for a group."""
    found: dict[str, Any] = placement_group_table(group)
    state = found.get("stats", {}).get("scheduling_state")
    return found.get("state") != "CREATED" and state in ("QUEUED", "SCHEDULING_STARTED")

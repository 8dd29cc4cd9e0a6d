"""Safe removal of Ray's placement groups."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Final

from ray.util.placement_group import placement_group_table, remove_placement_group

DECISION_SECONDS: Final = 2.0
"""How long the removal of a group waits for the cluster's decision whether it has room for it."""
_POLL_SECONDS: Final = 0.005


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

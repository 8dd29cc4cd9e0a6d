"""Finds out whether an autoscaler adds nodes to a cluster, and whether one of its node types can run a trial."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import ray

from tunedsl.backends.ray.nodes import Amounts
from tunedsl.plan import Resources
from tunedsl.plan.packing import places

_BY_HAND: Final = re.compile(r"node_[0-9a-f]{20,}")
"""In the status of the cluster: the type of a node that no autoscaler has started."""


def is_running() -> bool:
    """Whether an autoscaler runs: that of `ray up`, of KubeRay, or of a platform that has set the node types."""
    if ray.util.client.ray.is_connected():
        return False
    with contextlib.suppress(Exception):  # it is private in Ray
        if _config() is not None:
            return True
        return any(not _BY_HAND.fullmatch(name) for name in _types_in_status())
    return False


def fits_a_node_type(resources: Resources) -> bool:
    """Whether nodes of the known types can run a trial; true if no types are known."""
    with contextlib.suppress(Exception):
        config = _config()
        if config is not None:
            types: list[Amounts] = [dict(group.resources) for group in config.node_group_configs if group.max_count]
            return not types or bool(places(types * max(1, len(resources.bundles)), resources, 1))
    return True


def _config() -> Any:
    """The node types that a platform has set; None if it has set no types."""
    return ray._private.state.state.get_cluster_config()


def _types_in_status() -> Iterator[str]:
    """The node types in the status of the autoscaler, version 1 or 2."""
    worker: Any = ray._private.worker.global_worker
    status = worker.gcs_client.internal_kv_get(ray._private.ray_constants.DEBUG_AUTOSCALING_STATUS.encode(), None)
    if status:
        report = json.loads(status).get("autoscaler_report") or {}
        yield from report.get("active_nodes", ())
        yield from report.get("pending_launches", ())
        return
    from ray.autoscaler.v2.sdk import get_cluster_status

    found = get_cluster_status(ray.get_runtime_context().gcs_address)
    yield from (node.ray_node_type_name for node in (*found.active_nodes, *found.idle_nodes) if node.ray_node_type_name)
    yield from (launch.ray_node_type_name for launch in found.pending_launches)

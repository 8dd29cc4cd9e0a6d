"""The nodes of a cluster: their resources, and which of them are being drained."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import ray

LOOK_SECONDS: Final = 0.5
"""Minimum time between two queries of the nodes. A query takes about a millisecond."""
MAX_SHARE: Final = 0.01
"""Maximum share of the driver's time for querying the nodes of a large cluster."""

_IN_ORDER: Final = (1, 3, 4)
"""Ray's reasons for the end of a node that did not crash: a request, preemption, idleness."""

Amounts = Mapping[str, float]


@attrs.frozen
class ClusterNodes:
    """The nodes at one moment.

    Attributes:
        usable: the resources of each node, by its identifier and by Ray's names.
        draining: nodes that will end: they finish running tasks and accept no others.
    """

    usable: Mapping[str, Amounts]
    draining: frozenset[str] = frozenset()

    @property
    def amounts(self) -> list[Amounts]:
        """The resources of each usable node."""
        return list(self.usable.values())

    @property
    def total(self) -> dict[str, float]:
        """The resources of all usable nodes together."""
        total: Counter[str] = Counter()
        for amounts in self.usable.values():
            total.update(amounts)
        return dict(total)


def read_nodes() -> ClusterNodes:
    """Query the cluster for its nodes."""
    draining = _draining()
    alive = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    return ClusterNodes(
        {node: amounts for node, amounts in alive.items() if node not in draining}, draining & alive.keys()
    )


def has_shut_down(node_id: str) -> bool:
    """Whether a node was shut down: drained, preempted, or stopped by a request."""
    found = (node for node in ray.nodes() if node["NodeID"] == node_id and not node["Alive"])
    return any(node.get("DeathReason") in _IN_ORDER for node in found)


def _draining() -> frozenset[str]:
    """The nodes that are being drained; empty through a Ray Client, which does not report them."""
    if ray.util.client.ray.is_connected():
        return frozenset()
    with contextlib.suppress(AttributeError):  # it is private in Ray
        return frozenset(ray._private.state.state.get_draining_nodes())
    return frozenset()


class NodeWatch:
    """Follows the nodes by queries at limited intervals.

    Attributes:
        nodes: the nodes at the last query.
    """

    def __init__(
        self, read: Callable[[], ClusterNodes] = read_nodes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._clock = read, clock
        self.nodes = ClusterNodes({})
        self._next = 0.0
        self.look()

    def is_due(self) -> bool:
        """Whether it is time for the next query."""
        return self._clock() >= self._next

    def look(self) -> bool:
        """Query the nodes if it is time to; return whether they have changed."""
        began = self._clock()
        if began < self._next:
            return False
        before, self.nodes = self.nodes, self._read()
        self._next = began + max(LOOK_SECONDS, (self._clock() - began) / MAX_SHARE)
        return self.nodes != before

"""The nodes of a cluster: what each of them has, and which ones are about to end."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import ray

LOOK_SECONDS: Final = 0.5
"""Least time between two looks at the nodes. A look takes about a millisecond."""
MAX_SHARE: Final = 0.01
"""Largest share of the driver's time for looking at the nodes of a large cluster."""

_IN_ORDER: Final = (1, 3, 4)
"""Ray's reasons for the end of a node that did not crash: told to end, preempted, idle."""

Amounts = Mapping[str, float]


@attrs.frozen
class ClusterNodes:
    """The nodes at one moment.

    Attributes:
        usable: what each node has, by Ray's names; by the node's identifier.
        draining: nodes that run what they run and take nothing new, since they will end.
    """

    usable: Mapping[str, Amounts]
    draining: frozenset[str] = frozenset()

    @property
    def amounts(self) -> list[Amounts]:
        """What each usable node has."""
        return list(self.usable.values())

    @property
    def total(self) -> dict[str, float]:
        """What all usable nodes have together."""
        total: Counter[str] = Counter()
        for amounts in self.usable.values():
            total.update(amounts)
        return dict(total)


def read_nodes() -> ClusterNodes:
    """Ask the cluster for its nodes."""
    draining = _draining()
    alive = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    return ClusterNodes(
        {node: amounts for node, amounts in alive.items() if node not in draining}, draining & alive.keys()
    )


def has_shut_down(node_id: str) -> bool:
    """Whether a node has ended in order: it was drained, preempted, or told to end."""
    found = (node for node in ray.nodes() if node["NodeID"] == node_id and not node["Alive"])
    return any(node.get("DeathReason") in _IN_ORDER for node in found)


def _draining() -> frozenset[str]:
    """The nodes that are being drained; none through a Ray Client, which does not say."""
    if ray.util.client.ray.is_connected():
        return frozenset()
    with contextlib.suppress(AttributeError):  # none of Ray's public names
        return frozenset(ray._private.state.state.get_draining_nodes())
    return frozenset()


class NodeWatch:
    """Follows the nodes, and asks for them only now and then.

    Attributes:
        nodes: the nodes at the last look.
    """

    def __init__(
        self, read: Callable[[], ClusterNodes] = read_nodes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._clock = read, clock
        self.nodes = ClusterNodes({})
        self._next = 0.0
        self.look()

    def look(self) -> bool:
        """Ask for the nodes if the last look was some time ago; return whether they have changed."""
        began = self._clock()
        if began < self._next:
            return False
        before, self.nodes = self.nodes, self._read()
        self._next = began + max(LOOK_SECONDS, (self._clock() - began) / MAX_SHARE)
        return self.nodes != before

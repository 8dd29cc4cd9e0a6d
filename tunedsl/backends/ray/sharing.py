"""Detects contention: whether other users of the cluster wait for the resources of a run's workers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import ray

from tunedsl.backends.ray.nodes import Amounts

LOOK_SECONDS: Final = 5.0
"""Time between two queries."""

Requests = Iterable[tuple[Amounts, int]]


def pending_requests() -> Requests:
    """The requests that the cluster has not fulfilled: amounts and counts; empty if Ray does not report them."""
    if ray.util.client.ray.is_connected():
        return []
    with contextlib.suppress(Exception):  # it is private in Ray
        from ray.autoscaler.v2.sdk import get_cluster_resource_state

        worker: Any = ray._private.worker.global_worker
        state = get_cluster_resource_state(worker.gcs_client)
        groups = (request for group in state.pending_gang_resource_requests for request in group.requests)
        alone = [(dict(one.request.resources_bundle), one.count) for one in state.pending_resource_requests]
        return [*alone, *((dict(request.resources_bundle), 1) for request in groups)]
    return []


class Sharing:
    """Looks at intervals for requests of other users that the resources of this run's workers could fulfil."""

    def __init__(
        self, read: Callable[[], Requests] = pending_requests, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._clock = read, clock
        self._next = clock() + LOOK_SECONDS
        self._before = self._wait = False

    def is_due(self) -> bool:
        """Whether the next call of `others_wait` queries the cluster."""
        return self._clock() >= self._next

    def others_wait(self, held: Mapping[str, float], own: Callable[[], int]) -> bool:
        """Return whether others wait, according to the last two queries.

        Args:
            held: the resources of a worker, by Ray's names.
            own: returns the number of this run's own requests.
        """
        now = self._clock()
        if now < self._next:
            return self._wait
        self._next = now + LOOK_SECONDS
        fitting = (count for amounts, count in self._read() if any(amounts.values()) and _are_held(amounts, held))
        found = sum(fitting) > own()
        self._before, self._wait = found, found and self._before
        return self._wait


def _are_held(amounts: Amounts, held: Mapping[str, float]) -> bool:
    """Whether a worker has each requested kind of resource; names of placement groups do not count."""
    return all(held.get(name) for name, amount in amounts.items() if amount and "_group_" not in name)

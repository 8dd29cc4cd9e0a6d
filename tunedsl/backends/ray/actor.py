"""What runs in an actor: one worker, its orders in one queue and its reports in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import ray

from tunedsl.base.import_path import extend_import_path
from tunedsl.worker import Shipment
from tunedsl.worker.output import capture
from tunedsl.worker.wire import MessageBatch, pack, unpack_orders
from tunedsl.worker.worker import Worker

CONCURRENCY_GROUPS = {"orders": 1, "drain": 1}
"""Orders keep their order, and never wait behind a fetch."""


class RayWorker:
    """A `Worker` behind an actor's methods; all that travels is bytes.

    Args:
        folders: where the driver finds the user's modules.
        shipment: a list with the reference of a `Shipment`, so that it is read once those are known here.
        data: references of the objects of `.data(...)`.
    """

    def __init__(self, folders: Sequence[str], shipment: Sequence[Any], data: Mapping[str, Any]) -> None:
        extend_import_path(folders)
        shipped: Shipment
        [shipped, *objects] = ray.get([*shipment, *data.values()])
        live = dict(zip(data, objects, strict=True))
        self._node = ray.get_runtime_context().get_node_id()
        heard = capture(shipped.output, alone=True)
        self._worker = Worker(attrs.evolve(shipped, data=live), capture=heard, cleans_up=shipped.isolate == "pool")

    @ray.method(concurrency_group="orders")
    def push(self, orders: bytes) -> None:
        """Takes orders."""
        self._worker.push(unpack_orders(orders))

    @ray.method(concurrency_group="orders")
    def halt(self) -> None:
        """Ends the running trial at its next report and drops the queued ones."""
        self._worker.halt()

    @ray.method(concurrency_group="orders")
    def preempt(self, reason: str) -> None:
        """Move its trials to another node: the running one at its next report with a checkpoint."""
        self._worker.preempt(reason)

    @ray.method(concurrency_group="drain")
    def drain(self, seconds: float) -> bytes:
        """What happened; waits up to `seconds` for something."""
        messages = self._worker.drain(seconds)
        node, self._node = self._node, ""
        return pack(MessageBatch(messages, self._worker.replace, node))

"""The bytes that a driver and the processes of its workers exchange."""

from __future__ import annotations

import msgspec

from tunedsl.worker.commands import WorkerCommand
from tunedsl.worker.messages import Message


class MessageBatch(msgspec.Struct, frozen=True, array_like=True):
    """A batch of a worker: messages, a reason to replace the worker, if any, and the node in the first batch."""

    messages: list[Message]
    replace: str = ""
    node: str = ""


pack = msgspec.msgpack.Encoder().encode
unpack_orders = msgspec.msgpack.Decoder(list[WorkerCommand]).decode
unpack_drained = msgspec.msgpack.Decoder(MessageBatch).decode

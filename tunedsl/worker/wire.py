"""The bytes that a driver and the processes of its workers exchange."""

from __future__ import annotations

import msgspec

from tunedsl.worker.commands import WorkerCommand
from tunedsl.worker.messages import Message


class MessageBatch(msgspec.Struct, frozen=True, array_like=True):
    """What a worker sends: its messages, why it should be replaced, if it should, and at first the node it is on."""

    messages: list[Message]
    replace: str = ""
    node: str = ""


pack = msgspec.msgpack.Encoder().encode
unpack_orders = msgspec.msgpack.Decoder(list[WorkerCommand]).decode
unpack_drained = msgspec.msgpack.Decoder(MessageBatch).decode

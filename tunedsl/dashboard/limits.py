"""Limits on connections, so that clients that hang keep nobody else from being served.

A newcomer is always served: another connection, or the oldest stream, ends instead.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS: Final = 256
MAX_STREAMS: Final = 48
"""Streams of updates; each is a connection of its own."""
FIRST_SECONDS: Final = 10.0
"""How long a connection may take until its first request is complete."""
BEAT_SECONDS: Final = 15.0
"""How often a stream without updates is written to, so that a client that is gone is noticed."""
SILENT_SECONDS: Final = 30.0
"""How long a client may confirm nothing of what was sent to it, where the system can tell; then its connection ends.

A machine that sleeps, or whose network is gone, closes nothing: the system would try for a quarter of an hour.
"""


class Connections:
    """The open connections, the one that was used longest ago first."""

    def __init__(self) -> None:
        self._open: OrderedDict[H11Protocol, None] = OrderedDict()

    def add(self, connection: H11Protocol) -> None:
        """Count a new connection; when there are too many, end one without a request, or else the oldest."""
        if len(self._open) >= MAX_CONNECTIONS:
            silent = (each for each in self._open if each.cycle is None)
            ended = next(silent, next(iter(self._open)))
            del self._open[ended]
            ended.transport.abort()
        self._open[connection] = None

    def use(self, connection: H11Protocol) -> None:
        """Record that a connection was used."""
        if connection in self._open:
            self._open.move_to_end(connection)

    def remove(self, connection: H11Protocol) -> None:
        """Forget a connection that ended."""
        self._open.pop(connection, None)


def protocol() -> type[H11Protocol]:
    """The protocol of one server, which counts its connections."""
    connections = Connections()

    class LimitedProtocol(H11Protocol):
        """HTTP with a limit on connections, and on the time until a connection's first request."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            connected = transport.get_extra_info("socket")
            # asyncio does so for its own sockets only: without it, the end of an answer waits 40 ms for the client
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * SILENT_SECONDS))
            connections.add(self)
            self._first = self.loop.call_later(FIRST_SECONDS, self._end_without_request)

        def _end_without_request(self) -> None:
            if self.cycle is None and self.transport is not None:
                self.transport.abort()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None:
                connections.use(self)

        def connection_lost(self, exc: Exception | None) -> None:
            self._first.cancel()
            connections.remove(self)
            super().connection_lost(exc)

    return LimitedProtocol


class Streams:
    """The streams of updates. A new one ends the oldest when there are too many; that client connects again."""

    def __init__(self) -> None:
        self._open: OrderedDict[object, asyncio.Event] = OrderedDict()
        self._over = False

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def end(self) -> None:
        """End all streams, also those that begin later."""
        self._over = True
        for ended in self._open.values():
            ended.set()

    async def follow(
        self, read: Callable[[], Awaitable[tuple[Any, bytes]]], seconds: float, gone: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """The events of one stream: the content whenever its version changed.

        Args:
            read: the present version and content.
            seconds: between two reads.
            gone: whether the client has disconnected.
        """
        own, ended = object(), asyncio.Event()
        self._open[own] = ended
        if len(self._open) > MAX_STREAMS:
            self._open.popitem(last=False)[1].set()
        known, quiet = None, 0.0
        try:
            yield b"retry: 3000\n\n"
            while not (self._over or ended.is_set()) and not await gone():
                version, content = await read()
                if version != known:
                    known, quiet = version, 0.0
                    yield b"data: " + content + b"\n\n"
                elif quiet >= BEAT_SECONDS:
                    quiet = 0.0
                    yield b": \n\n"
                quiet += seconds
                try:
                    await asyncio.wait_for(ended.wait(), seconds)
                except TimeoutError:
                    continue
        finally:
            self._open.pop(own, None)

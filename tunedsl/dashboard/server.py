"""The web server of a dashboard: it ends streams before it ends, and gives up clients that are gone."""

from __future__ import annotations

import logging
import socket
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette

from tunedsl.dashboard.limits import Streams, protocol

KEEP_SECONDS: Final = 10
"""How long an idle connection is kept."""
GRACE_SECONDS: Final = 1
"""How long requests in progress may take when the server ends."""


class Server(uvicorn.Server):
    """A server that ends at once although pages follow runs.

    Args:
        app: the application.
        streams: its streams of updates, which would not end by themselves.
    """

    def __init__(self, app: Starlette, streams: Streams) -> None:
        self._streams = streams
        config = uvicorn.Config(
            app,
            http=protocol(),
            ws="none",
            log_level="warning",
            access_log=False,  # addresses and headers are not kept
            server_header=False,
            timeout_keep_alive=KEEP_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> Any:
        """End the streams, then the connections; requests that take longer are cut off, which is no error."""
        self._streams.end()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)

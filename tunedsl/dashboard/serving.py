"""Starts the web server of a dashboard, alone or beside a run."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Collection
from typing import Any, Final

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import TunedslError
from tunedsl.dashboard.security import Access
from tunedsl.dashboard.store import Store

PORT: Final = 8265
MAX_FILES: Final = 4_096
"""Open files and connections that the process asks the system for."""
KEEP_SECONDS: Final = 10
"""How long an idle connection is kept."""
MAX_TRIED: Final = 20
"""Ports that are tried for a dashboard beside a run."""


def serve(
    store: str | os.PathLike[str],
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    read_only: bool = False,
    hosts: Collection[str] = (),
    *,
    seek_port: bool = False,
    begun: Any = None,
) -> None:
    """Serve the dashboard of a store until it is interrupted.

    Args:
        store: a folder or an address with runs, or one run.
        host: the address to listen on; others than this machine's own need a token.
        port: its port; 0 for a free one.
        token: the secret that a reader must know.
        read_only: whether nothing can be changed.
        hosts: further names under which it may be reached, such as a proxy's.
        seek_port: whether another port is taken when this one is in use.
        begun: is called with the address once it is reachable.

    Raises:
        TunedslError: without the extra `dashboard`, for another host without a token, or when the port is in use.
    """
    try:
        import uvicorn

        from tunedsl.dashboard.app import create_app
        from tunedsl.dashboard.limits import protocol
    except ImportError as error:
        raise TunedslError(
            f"The dashboard needs {error.name}, which is not installed.\n  help: pip install 'tunedsl[dashboard]'"
        ) from None
    bound = _bound(host, port, seek_port)
    access = Access(host, bound.getsockname()[1], token, read_only, frozenset(name.lower() for name in hosts))
    _raise_file_limit()
    app = create_app(Store(store), access)
    config = uvicorn.Config(
        app,
        http=protocol(),
        ws="none",
        log_level="warning",
        access_log=False,  # addresses and headers are not kept
        server_header=False,
        timeout_keep_alive=KEEP_SECONDS,
        timeout_graceful_shutdown=1,
    )
    (begun or _announce)(address_of(access))
    uvicorn.Server(config).run([bound])


def address_of(access: Access) -> str:
    """The address of a dashboard, without its token."""
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(access.host, access.host)
    return f"http://{f'[{name}]' if ':' in name else name}:{access.port}/"


def _announce(address: str) -> None:
    print(f"dashboard at {address}", flush=True)


def _bound(host: str, port: int, seek_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for tried in range(port, port + (MAX_TRIED if seek_port and port else 1)):
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, tried))
            return bound
        except (OSError, OverflowError) as error:
            bound.close()
            failure = error
    raise TunedslError(f"The dashboard cannot listen on {host}:{port}: {reason(failure)}.\n  help: --port 0")


def _raise_file_limit() -> None:
    """Allows more open connections than the usual limit of a shell."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

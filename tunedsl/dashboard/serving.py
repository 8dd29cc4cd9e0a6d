"""Starts the web server of a dashboard, alone or beside a run."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Collection
from typing import Any, Final

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import TunedslError
from tunedsl.dashboard.security import Access
from tunedsl.dashboard.store import Store
from tunedsl.runs.beside import PORT

MAX_FILES: Final = 4_096
"""Open files and connections that the process asks the system for."""


def serve(
    store: str | os.PathLike[str],
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    read_only: bool = False,
    hosts: Collection[str] = (),
    *,
    descriptor: int | None = None,
) -> None:
    """Serve the dashboard of a store until it is interrupted.

    Args:
        store: a folder or an address with runs, or one run.
        host: the address to listen on; others than this machine's own need a token.
        port: its port; 0 for a free one.
        token: the secret that a reader must know.
        read_only: whether nothing can be changed.
        hosts: further names under which it may be reached, such as a proxy's.
        descriptor: of a socket that listens already, and was inherited from a process; the dashboard ends with it.

    Raises:
        TunedslError: without the extra `dashboard`, for another host without a token, or when the port is in use.
    """
    try:
        from tunedsl.dashboard.app import create_app
        from tunedsl.dashboard.limits import Streams
        from tunedsl.dashboard.server import Server
    except ImportError as error:
        raise TunedslError(
            f"The dashboard needs {error.name}, which is not installed.\n  help: pip install 'tunedsl[dashboard]'"
        ) from None
    bound = _bound(host, port) if descriptor is None else socket.socket(fileno=descriptor)
    access = Access(host, bound.getsockname()[1], token, read_only, frozenset(name.lower() for name in hosts))
    _raise_file_limit()
    streams = Streams()
    server = Server(create_app(Store(store), access, streams), streams)
    if descriptor is None:
        print(f"dashboard at {address_of(access)}", flush=True)
    else:
        threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    server.run([bound])


def _end_with_parent(server: Any) -> None:
    """Waits until the process that started this one has ended, which closes its end of the pipe."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 1):
            pass
    server.should_exit = True


def address_of(access: Access) -> str:
    """The address of a dashboard, without its token."""
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(access.host, access.host)
    return f"http://{f'[{name}]' if ':' in name else name}:{access.port}/"


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        message = f"The dashboard cannot listen on {host}:{port}: {reason(error)}."
        raise TunedslError(f"{message}\n  help: --port 0 takes a free port") from error
    return bound


def _raise_file_limit() -> None:
    """Allows more open connections than the usual limit of a shell."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

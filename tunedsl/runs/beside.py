"""Opens the dashboard next to a run: a process of its own, which ends with this one and never slows the driver."""

from __future__ import annotations

import html
import os
import socket
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tunedsl.base.errors import TunedslError
from tunedsl.journal import Location, is_address
from tunedsl.views.progress import in_notebook

PORT: Final = 8265
MAX_TRIED: Final = 20
"""Ports that are tried before any free one."""
HOST: Final = "127.0.0.1"
PACKAGES: Final = str(Path(__file__).resolve().parents[2])
"""The folder that this package is imported from."""

_opened: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
"""The dashboards of this process, by store."""


def check_dashboard() -> None:
    """Check that the dashboard is installed; raises `TunedslError` if it is not."""
    missing = [name for name in ("starlette", "uvicorn", "plotly") if find_spec(name) is None]
    if missing:
        raise TunedslError(
            f"The dashboard needs {missing[0]}, which is not installed.\n  help: pip install 'tunedsl[dashboard]'"
        )


def open_dashboard(home: Location, root: Path, quiet: bool = False) -> str:
    """Open the dashboard of a run's store on this machine, and return the run's address there.

    Args:
        home: the run's folder or address.
        root: its local folder.
        quiet: whether to print nothing.
    """
    store = str(home.parent)
    process, port = _opened.get(store, (None, 0))
    if process is None or process.poll() is not None:
        process, port = _opened[store] = _start(store, root)
    address = f"http://{HOST}:{port}/#/run/{quote(home.name)}"
    if not quiet:
        _show(address)
    return address


def _start(store: str, root: Path) -> tuple[subprocess.Popen[bytes], int]:
    bound = _listen()
    words = [sys.executable, "-m", "tunedsl", "dashboard", store, "--socket", str(bound.fileno())]
    cwd = root.parent.parent if is_address(store) else None  # where the run's local files are found
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,  # it ends with this process, which closes the pipe
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[bound.fileno()],
        start_new_session=True,  # Ctrl+C is for the run
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (PACKAGES, os.environ.get("PYTHONPATH"))))},
    )
    port: int = bound.getsockname()[1]
    bound.close()
    threading.Thread(target=process.wait, daemon=True).start()
    return process, port


def _listen() -> socket.socket:
    """A socket that accepts connections before the dashboard has started, which then answers them."""
    for port in (*range(PORT, PORT + MAX_TRIED), 0):
        bound = socket.socket()
        try:
            bound.bind((HOST, port))
            bound.listen()
            return bound
        except OSError:
            bound.close()
    raise TunedslError(f"The dashboard found no free port on {HOST}.")


def _show(address: str) -> None:
    if in_notebook():
        import IPython.display

        display: Any = IPython.display

        link = f'<a href="{html.escape(address)}" target="_blank" rel="noopener">dashboard</a>'
        display.display(display.HTML(f"<p>{link} <code>{html.escape(address)}</code></p>"))
    else:
        print(f"dashboard at {address}", file=sys.stderr, flush=True)

"""Dashboards for tests: stores of journals that were made in memory, and a client that behaves like the page."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunedsl.results import Results

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")
pytest.importorskip("plotly")

from starlette.testclient import TestClient

from tunedsl.dashboard.app import create_app
from tunedsl.dashboard.limits import Streams
from tunedsl.dashboard.security import Access
from tunedsl.dashboard.server import Server
from tunedsl.dashboard.store import Store

ADDRESS = "http://127.0.0.1:8265"
SOON = 30.0
"""Seconds after which something that must happen has not happened."""


def stored(store: Path, name: str, results: Results) -> Path:
    """A run's folder with a journal that was made in memory."""
    folder = store / name
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(b"".join(line for line, _ in results.journal.raw()))
    return folder


class Client(TestClient):
    """A client of a dashboard, which sends what its page sends.

    Attributes:
        store: the dashboard's store.
    """

    store: Path | str

    def change(self, path: str, content: Any, **headers: str) -> Any:
        """A request that changes something."""
        csrf = self.get("/api/session").json()["csrf"]
        return self.post(path, json=content, headers={"x-tunedsl-csrf": csrf, **headers})

    def steer(self, run: str, action: str, **more: Any) -> Any:
        """An action on a run."""
        return self.change(f"/api/runs/{run}/steer", {"action": action, **more})


def client(store: Path | str, **access: Any) -> Client:
    """A client of a new dashboard."""
    made = Client(create_app(Store(store), Access(**access)), base_url=ADDRESS)
    made.store = store
    return made


@contextlib.contextmanager
def serving(store: Path | str, **access: Any) -> Iterator[str]:
    """A dashboard behind a real server, and its address."""
    bound, streams = _bound(), Streams()
    app = create_app(Store(store), Access(port=bound.getsockname()[1], **access), streams)
    with running(Server(app, streams), bound) as address:
        yield address


@contextlib.contextmanager
def running(server: Server, bound: socket.socket | None = None) -> Iterator[str]:
    """The address of a server that runs in a thread."""
    bound = bound or _bound()
    thread = threading.Thread(target=server.run, args=([bound],))
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(SOON)
        bound.close()
        assert not thread.is_alive()


def _bound() -> socket.socket:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


def eventually(what: Any) -> Any:
    """Waits for a true value and returns it."""
    until = time.monotonic() + SOON
    while not (found := what()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
    return found

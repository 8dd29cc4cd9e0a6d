"""Clients that send slowly, never read, or send too much: others are served meanwhile, and nothing stays open."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.pictured import experiment
from tests.served import eventually, running, serving, stored
from tunedsl.dashboard import limits
from tunedsl.dashboard.limits import MAX_CONNECTIONS, Connections
from tunedsl.dashboard.server import Server

H11Protocol = pytest.importorskip("uvicorn.protocols.http.h11_impl").H11Protocol
httpx = pytest.importorskip("httpx")
MANY = MAX_CONNECTIONS + 44


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = tmp_path_factory.mktemp("store")
    stored(store, "run", experiment(2_000))
    with serving(store) as address:
        yield address


@contextlib.contextmanager
def clients(address: str, begun: str, count: int) -> Iterator[list[socket.socket]]:
    """Clients that have sent the beginning of a request."""
    host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
    with contextlib.ExitStack() as opened:
        made = []
        for _ in range(count):
            each = opened.enter_context(socket.create_connection((host, int(port)), timeout=30))
            each.sendall(begun.replace("HOST", f"{host}:{port}").encode())
            made.append(each)
        yield made


@contextlib.contextmanager
def dripping(made: list[socket.socket], text: bytes) -> Iterator[None]:
    """Sends a byte of each client after the other, again and again."""
    ended = threading.Event()

    def drip() -> None:
        for place in range(10**9):
            for each in made:
                with contextlib.suppress(OSError):  # the server has ended it
                    each.sendall(text[place % len(text) :][:1])
            if ended.wait(0.005):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def is_served(address: str) -> bool:
    """Whether a new client gets a page, a table and a change."""
    with httpx.Client(base_url=address, timeout=60) as page:
        csrf = page.get("api/session").json()["csrf"]
        rows = page.get("api/runs/run/table").json()["rows"]
        note = {"note": {"text": ""}}
        written = page.post("api/runs/run/note", json=note, headers={"x-tunedsl-csrf": csrf})
        return page.get("/").status_code == written.status_code == 200 and len(rows) == 2_000


KINDS = {
    "header byte by byte": ("GET /api/runs HTTP/1.1\r\nHost: HOST\r\nX-Slow: ", b"a"),
    "body byte by byte": (
        "POST /api/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n",
        b" ",
    ),
    "nothing": ("", b""),
    "an answer that is not read": ("GET /api/runs/run/table HTTP/1.1\r\nHost: HOST\r\n\r\n", b""),
    "updates that are not read": ("GET /api/runs/run/live HTTP/1.1\r\nHost: HOST\r\n\r\n", b""),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_slow_clients_keep_nobody_from_being_served(address: str, kind: str) -> None:
    begun, dripped = KINDS[kind]
    with clients(address, begun, MANY) as made, dripping(made, dripped) if dripped else contextlib.nullcontext():
        assert all(is_served(address) for _ in range(3))


@pytest.mark.slow
def test_clients_that_are_gone_leave_nothing_open(address: str) -> None:
    def opened() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    if not Path("/proc/self/fd").exists():
        pytest.skip("open files are counted in /proc")
    assert is_served(address)
    before = opened()
    for begun, _ in KINDS.values():
        with clients(address, begun, 40):
            assert is_served(address)
    assert eventually(lambda: opened() <= before + 2)


@pytest.mark.slow
def test_a_client_that_confirms_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("the system does not tell")
    monkeypatch.setattr(limits, "SILENT_SECONDS", 0.5)
    streams, reads = limits.Streams(), itertools.count()
    last = 0

    async def read() -> tuple[int, bytes]:
        nonlocal last
        last = next(reads)
        return last, b"x" * 2**20

    async def watch(request: Request) -> StreamingResponse:
        return StreamingResponse(streams.follow(read, 0.0, request.is_disconnected))

    server, begun = (
        Server(Starlette(routes=[Route("/live", watch)]), streams),
        "GET /live HTTP/1.1\r\nHost: HOST\r\n\r\n",
    )
    with running(server) as address, clients(address, begun, 1):  # which stays open and reads nothing
        assert eventually(lambda: last and not len(streams))


def test_the_end_of_an_answer_is_sent_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    use = Connections.use

    def looked(self: Connections, connection: H11Protocol) -> None:
        own = connection.transport.get_extra_info("socket")
        found.append(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        use(self, connection)

    monkeypatch.setattr(Connections, "use", looked)
    assert is_served(address) and found and all(found)


CHANGE = "POST /api/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
ENDLESS = {
    "a body": (f"{CHANGE}Content-Length: 99999999999\r\n\r\n", 413),
    "a body in parts": (f"{CHANGE}Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n", 411),
    "a header": ("GET / HTTP/1.1\r\nHost: HOST\r\nX-Long: " + "x" * 200_000, 400),
    "an address": ("GET /" + "x" * 200_000, 400),
    "zeros": ("\0" * 70_000, 400),
    "two lengths": (f"{CHANGE}Content-Length: 3\r\nContent-Length: 9\r\n\r\n{{}}", 400),
    "two hosts": ("GET / HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n", 400),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_requests_without_end_or_measure_are_refused(address: str, what: str) -> None:
    begun, status = ENDLESS[what]
    with clients(address, "", 1) as (each,):
        host = address.removeprefix("http://").rstrip("/")
        with contextlib.suppress(OSError):  # it may end the connection before all is sent
            each.sendall(begun.replace("HOST", host).encode())
        answer = each.recv(100)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert is_served(address)

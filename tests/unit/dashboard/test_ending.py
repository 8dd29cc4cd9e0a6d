"""A dashboard that is interrupted ends at once with one line, whoever follows its runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsers import chromium
from tests.pictured import experiment
from tests.served import SOON, stored
from tunedsl.dashboard.limits import Streams

httpx = pytest.importorskip("httpx")


@contextlib.contextmanager
def started(store: Path) -> Iterator[tuple[Any, str]]:
    """The process of a dashboard, and its address."""
    words = [sys.executable, "-m", "tunedsl", "dashboard", str(store), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_one_line_while_pages_follow_runs(tmp_path: Path, number: signal.Signals) -> None:
    stored(tmp_path, "run", experiment(60))
    with chromium() as browser, started(tmp_path) as (process, address), contextlib.ExitStack() as opened:
        for path in ("", "#/run/run", "#/run/run/trial/5"):
            page = browser.new_page()
            page.goto(f"{address}{path}")
            page.wait_for_selector("#link.live")
        client = opened.enter_context(httpx.Client(timeout=SOON))
        stream = opened.enter_context(client.stream("GET", f"{address}api/runs/run/live"))
        texts = stream.iter_text()
        assert next(texts)
        process.send_signal(number)
        for _ in texts:  # it ends as a whole answer does
            pass
        _, wrong = process.communicate(timeout=SOON)
    assert (process.returncode, wrong.strip()) == (128 + number, "The command was interrupted.")


def test_a_stream_that_begins_while_the_server_ends_has_no_update() -> None:
    streams = Streams()
    streams.end()

    async def read() -> tuple[int, bytes]:
        raise AssertionError("it was read")

    async def gone() -> bool:
        return False

    async def follow() -> list[bytes]:
        return [part async for part in streams.follow(read, 0.0, gone)]

    assert asyncio.run(follow()) == [b"retry: 3000\n\n"] and not len(streams)

"""Trials that report faster than the driver takes reports: their workers wait, with a bounded memory."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.memory import report_and_measure
from tunedsl import replay, space, uniform
from tunedsl.driver.driver import Listener
from tunedsl.journal import objects
from tunedsl.kernel import Reported

pytestmark = pytest.mark.slow

REPORTS = 12_000
"""Of 10 kB: without a bound, a worker holds more than 100 MiB of them."""

MAX_MEBIBYTES = 60


def quick(config: dict[str, Any]) -> None:
    report_and_measure(config, REPORTS)


class Pauses(Listener):
    """Keeps the driver busy once trials have reported, long enough for a trial to make all its reports."""

    def __init__(self) -> None:
        self.paused = False

    def on_event(self, event: Any, commands: Any, state: Any) -> None:
        if isinstance(event, Reported) and not self.paused:
            self.paused = True
            time.sleep(4)

    def on_wait(self, state: Any) -> None: ...
    def close(self, state: Any) -> None: ...


def check(results: Any) -> None:
    assert [t.metrics["training_iteration"] for t in results.trials] == [REPORTS + 1] * 2
    assert max(t.metrics["grown"] for t in results.trials) < MAX_MEBIBYTES
    assert replay(results.path).torn == 0


def made(store: Any) -> Any:
    return space(x=uniform(0, 1)).trainable(quick).minimize("loss").samples(2).parallel(2).seed(0).store(store)


def test_a_worker_waits_for_a_driver_that_is_busy(tmp_path):
    pauses = Pauses()
    check(made(tmp_path).run(engine="local", quiet=True, listeners=[pauses]))
    assert pauses.paused


def test_a_worker_waits_for_a_store_that_is_slow(monkeypatch):
    write, slow, lock = objects.write_object, [], threading.Lock()

    def slowly(place: Any, content: bytes) -> None:
        with lock:
            if len(slow) < 8:
                slow.append(len(content))
                time.sleep(0.5)
        write(place, content)

    monkeypatch.setattr(objects, "write_object", slowly)
    check(made("memory://bucket/slow").run(engine="local", quiet=True))
    assert len(slow) == 8

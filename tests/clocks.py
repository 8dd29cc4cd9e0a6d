"""Time in tests: a clock that they set, so that no machine's speed decides, and how long they wait for what comes."""

from __future__ import annotations

import time
from typing import Final

import pytest

PATIENCE_SECONDS: Final = 100.0
"""How long a test waits for what should come at once, before it fails."""


class Clock:
    """Stands where a module has `time`: its seconds go on by `pass_by`, and by `sleep`, which takes none."""

    def __init__(self) -> None:
        self.now = 1000.0

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    sleep = pass_by

    def perf_counter(self) -> float:
        return self.now

    monotonic = staticmethod(time.monotonic)


def of_trials(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which trials in this process measure their time and that of their limits."""
    clock = Clock()
    monkeypatch.setattr("tunedsl.worker.session.time", clock)
    monkeypatch.setattr("tunedsl.worker.worker.time", clock)
    return clock

"""Time in tests: a clock that tests set, so that results do not depend on the machine's speed, and wait limits."""

from __future__ import annotations

import time
from typing import Final

import pytest

PATIENCE_SECONDS: Final = 100.0
"""How long a test waits for what should come at once, before it fails."""


class Clock:
    """Replaces a module's `time`: its seconds advance by `pass_by`, and by `sleep`, which returns at once."""

    def __init__(self) -> None:
        self.now = 1000.0

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    sleep = pass_by

    def perf_counter(self) -> float:
        return self.now

    monotonic = staticmethod(time.monotonic)


def of_trials(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that measures trials' time and time limits in this process."""
    clock = Clock()
    monkeypatch.setattr("tunedsl.worker.session.time", clock)
    monkeypatch.setattr("tunedsl.worker.worker.time", clock)
    return clock

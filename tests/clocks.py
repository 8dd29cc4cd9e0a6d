"""A clock that tests set: what hangs on seconds is then decided by no machine's speed."""

from __future__ import annotations

import time

import pytest


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
    monkeypatch.setattr("tunedsl.trainable.session.time", clock)
    monkeypatch.setattr("tunedsl.engine.worker.time", clock)
    return clock

"""The grace period: how long the code of a trial may continue after the trial has ended."""

from __future__ import annotations

import threading
from typing import Final

MAX_STOPS: Final = 100
"""How many reports after its end a trial may make; code that makes more will never end by itself."""

_never: Final = threading.Event()


class Grace:
    """The grace period of one attempt. Times are seconds of the caller's clock.

    Args:
        seconds: the period.

    Attributes:
        abandoned: whether the worker has stopped waiting for the code.
    """

    def __init__(self, seconds: float) -> None:
        self.abandoned = False
        self._seconds = seconds
        self._since: float | None = None
        self._stops = 0

    def begin(self, now: float) -> None:
        """Start the period: the trial has ended, and its code may not know yet."""
        if self._since is None:
            self._since = now

    def stop(self, now: float) -> None:
        """Count one `TrialStopped`; the first one restarts the period, for the clean-up.

        This call never returns to abandoned code that has swallowed the exception too often. Python cannot end its
        thread, but a blocked thread uses no processor.
        """
        self._stops += 1
        if self._stops == 1:
            self._since = now
        elif self.abandoned and self._stops > MAX_STOPS:
            _never.wait()

    def excess(self, now: float) -> str:
        """Describe how the code exceeds the period; empty while it does not."""
        if self._since is None:
            return ""
        if self._stops > MAX_STOPS:
            return f"reported {self._stops:,} times after its end and swallowed TrialStopped each time"
        return f"kept running for {self._seconds:g} s after its end" if now - self._since > self._seconds else ""

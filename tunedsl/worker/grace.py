"""The grace period: how long the code of a trial may run on after the trial has ended, and whether it still does."""

from __future__ import annotations

import threading
from typing import Final

MAX_STOPS: Final = 100
"""How often code may report after its trial's end, and be told so, before it is taken to do that for ever."""

_never: Final = threading.Event()


class Grace:
    """Of one attempt at a trial. Times are seconds of one clock, given by the caller.

    Args:
        seconds: the period.

    Attributes:
        abandoned: whether nobody waits for the code any more.
    """

    def __init__(self, seconds: float) -> None:
        self.abandoned = False
        self._seconds = seconds
        self._since: float | None = None
        self._stops = 0

    def begin(self, now: float) -> None:
        """The trial has ended; its code may not know yet."""
        if self._since is None:
            self._since = now

    def stop(self, now: float) -> None:
        """The code is told to end, by an exception: from the first time on it has the whole period to clean up.

        Code that has swallowed that for too long does not get away from here once it is abandoned: as it cannot be
        ended, it shall at least use no processor.
        """
        self._stops += 1
        if self._stops == 1:
            self._since = now
        elif self.abandoned and self._stops > MAX_STOPS:
            _never.wait()

    def excess(self, now: float) -> str:
        """What the code has done beyond the period, in words; empty while it is within."""
        if self._since is None:
            return ""
        if self._stops > MAX_STOPS:
            return f"reported {self._stops:,} times after its end and swallowed TrialStopped each time"
        return f"ran on for {self._seconds:g} s after its end" if now - self._since > self._seconds else ""

"""Ctrl+C and SIGTERM: asked once, the run ends at the next safe point; asked twice, at once.

The journal is closed in either case: a second one that comes then is passed over.
"""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Shield:
    """While entered, interrupts are passed over; does nothing outside the main thread."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, _pass_over) for number in SIGNALS}

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Interrupts:
    """While entered, counts interrupts instead of raising; does nothing outside the main thread.

    Attributes:
        asked: whether the run was asked to end.
        insisted: whether it was asked again.
    """

    def __init__(self) -> None:
        self.asked = self.insisted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._heard) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self.insisted = True
            raise KeyboardInterrupt
        self.asked = True
        print("\nending: running trials stop at their next report; once more to end at once", file=sys.stderr)


def deaf_at_exit() -> None:
    """Has this process hear no Ctrl+C once it exits: Ray's clean-up would break off, with a crash at times."""
    atexit.unregister(_be_deaf)
    atexit.register(_be_deaf)  # what is registered last comes first


def _be_deaf() -> None:
    signal.signal(signal.SIGINT, _pass_over)


def _pass_over(number: int, frame: FrameType | None) -> None:
    """Unlike `SIG_IGN`, processes that are started meanwhile do not inherit it."""

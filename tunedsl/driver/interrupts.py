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


class IgnoreInterrupts:
    """While entered, interrupts are passed over; does nothing outside the main thread."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, _ignore) for number in SIGNALS}

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Interrupts:
    """While entered, counts interrupts instead of raising; does nothing outside the main thread.

    Attributes:
        requested: whether the run was asked to end.
        force_quit: whether it was asked again.
    """

    def __init__(self) -> None:
        self.requested = self.force_quit = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            self.force_quit = True
            raise KeyboardInterrupt
        self.requested = True
        print("\nending: running trials stop at their next report; once more to end at once", file=sys.stderr)


def ignore_sigint_at_exit() -> None:
    """Has this process hear no Ctrl+C once it exits: Ray's clean-up would break off, with a crash at times."""
    atexit.unregister(_ignore_sigint)
    atexit.register(_ignore_sigint)  # what is registered last comes first


def _ignore_sigint() -> None:
    signal.signal(signal.SIGINT, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Unlike `SIG_IGN`, processes that are started meanwhile do not inherit it."""

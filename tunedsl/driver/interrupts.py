"""Ctrl+C and SIGTERM: asked once, the run ends at the next safe point; asked twice, at once.

The journal is closed in either case: a second one that comes then is passed over. Only the driver's process handles
them so; a forked child has the handlers that were there before the run.
"""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final

from tunedsl.base.errors import Interrupted
from tunedsl.base.forks import in_children

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
EXIT_CODE: Final = 130
"""What a shell expects of a program that Ctrl+C ended."""


class _Handlers:
    """Handles this process's interrupts while entered; does nothing outside the main thread."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._unregister: Callable[[], object] = lambda: None

    def __enter__(self) -> Any:
        if threading.current_thread() is threading.main_thread():
            self._unregister = in_children(self._restore)
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        self._unregister()

    def handle(self) -> None:
        """What an interrupt does in this process."""

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.handle()

    def _restore(self) -> None:
        before, self._before = self._before, {}
        for number, handler in before.items():
            if handler is not None:  # None stands for one that was not installed from Python
                signal.signal(number, handler)


class IgnoreInterrupts(_Handlers):
    """While entered, interrupts are passed over."""


class Interrupts(_Handlers):
    """While entered, counts interrupts instead of raising.

    Attributes:
        requested: whether the run was asked to end.
        force_quit: whether it was asked again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requested = self.force_quit = False

    def handle(self) -> None:
        """Asks the run to end; the second time raises."""
        if self.requested:
            self.force_quit = True
            raise KeyboardInterrupt
        self.requested = True
        print("\nending: running trials stop at their next report; once more to end at once", file=sys.stderr)


class _ExitHook:
    """Ends a script by exit code 130 after an uncaught `Interrupted` that was told; other errors pass.

    Args:
        before: the hook that was in its place.
    """

    def __init__(self, before: Callable[..., Any]) -> None:
        self._before = before

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not (isinstance(error, Interrupted) and error.is_announced):
            self._before(kind, error, trace)
        elif not hasattr(sys, "ps1"):  # an interactive session goes on
            raise SystemExit(EXIT_CODE)


def exit_quietly() -> None:
    """Has an uncaught `Interrupted` that was told end this process by exit code 130, without a traceback."""
    if not isinstance(sys.excepthook, _ExitHook):
        sys.excepthook = _ExitHook(sys.excepthook)


def ignore_sigint_at_exit() -> None:
    """Has this process hear no Ctrl+C once it exits: Ray's clean-up would break off, with a crash at times."""
    atexit.unregister(_ignore_sigint)
    atexit.register(_ignore_sigint)  # what is registered last comes first


def _ignore_sigint() -> None:
    signal.signal(signal.SIGINT, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Unlike `SIG_IGN`, processes that are started meanwhile do not inherit it."""

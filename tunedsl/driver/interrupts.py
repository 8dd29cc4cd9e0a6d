"""Handles Ctrl+C and SIGTERM: the first ends the run at the next safe point, the second at once.

The journal is closed in either case; interrupts during that time are ignored. A forked child gets back the handlers
from before the run. How trials are stopped is the driver's and the engine's part.
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
"""Exit code of a program that was ended by Ctrl+C."""


class _Handlers:
    """Handles interrupts of this process while entered; has no effect outside the main thread."""

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
        """Handles one interrupt; ignores it by default."""

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.handle()

    def _restore(self) -> None:
        before, self._before = self._before, {}
        for number, handler in before.items():
            if handler is not None:  # None: the handler was not installed by Python
                signal.signal(number, handler)


class IgnoreInterrupts(_Handlers):
    """Ignores interrupts while entered."""


class Interrupts(_Handlers):
    """Records the first interrupt and raises `KeyboardInterrupt` on the second.

    Attributes:
        requested: whether an interrupt has come.
        force_quit: whether a second one has come.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requested = self.force_quit = False

    def handle(self) -> None:
        """Requests the end of the run; raises the second time."""
        if self.requested:
            self.force_quit = True
            raise KeyboardInterrupt
        self.requested = True
        print("\nending: running trials stop at their next report; press Ctrl+C again to end at once", file=sys.stderr)


class _ExitHook:
    """An exception hook that exits with code 130 after an uncaught `Interrupted` that was already printed.

    Args:
        before: the previous hook, which gets all other errors.
    """

    def __init__(self, before: Callable[..., Any]) -> None:
        self._before = before

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not (isinstance(error, Interrupted) and error.is_announced):
            self._before(kind, error, trace)
        elif not hasattr(sys, "ps1"):  # an interactive session continues
            raise SystemExit(EXIT_CODE)


def exit_quietly() -> None:
    """Makes an uncaught `Interrupted` that was already printed exit with code 130, without a traceback."""
    if not isinstance(sys.excepthook, _ExitHook):
        sys.excepthook = _ExitHook(sys.excepthook)


def ignore_sigint_at_exit() -> None:
    """Ignores Ctrl+C while this process exits: it would interrupt Ray's clean-up, sometimes with a crash."""
    atexit.unregister(_ignore_sigint)
    atexit.register(_ignore_sigint)  # the last one registered runs first


def _ignore_sigint() -> None:
    signal.signal(signal.SIGINT, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Does nothing; unlike `SIG_IGN` it is not inherited by processes that start later."""

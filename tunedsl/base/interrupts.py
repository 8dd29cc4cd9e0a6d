"""Handles Ctrl+C, SIGTERM and SIGHUP from the first line of a run to its last, so that each run ends once.

While a run is prepared, the first signal raises `KeyboardInterrupt`. While trials run, the first one ends the run at
the next safe point, and the second at once. Any other signal is ignored: while files are written, while the run closes,
and for a moment afterwards. A forked child gets back the handlers from before the run. How trials are stopped is the
driver's and the engine's part.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Final, Literal, ParamSpec, TypeVar

from tunedsl.base.arguments import public
from tunedsl.base.errors import Interrupted
from tunedsl.base.forks import in_children

SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
SETTLE_SECONDS: Final = 0.1
"""How long further signals are ignored after a run was interrupted: they belong to the same impatient key."""

_ENDING: Final = "\nending: running trials stop at their next report; press Ctrl+C again to end at once"

P = ParamSpec("P")
R = TypeVar("R")


class Interrupts:
    """The signals of one run; without effect outside the main thread.

    Attributes:
        requested: whether a signal has come.
        force_quit: whether a second one has come while trials run.
        number: the first signal.
    """

    def __init__(self) -> None:
        self.requested = self.force_quit = False
        self.number = int(signal.SIGINT)
        self._mode: Literal["hold", "raise", "graceful"] = "hold"
        self._before: dict[int, Any] = {}
        self._unregister: Callable[[], object] = lambda: None

    def install(self) -> None:
        """Handle the signals, also if another library has just set its own handlers."""
        if threading.current_thread() is not threading.main_thread():
            return
        if not self._before:
            self._unregister = in_children(self._restore)
        for number in SIGNALS:
            before = signal.getsignal(number)
            if number != signal.SIGINT and before is signal.SIG_IGN:
                continue  # as under nohup
            signal.signal(number, self._receive)
            self._before.setdefault(number, before)

    def remove(self) -> None:
        """Set the earlier handlers again."""
        if self.requested and self._before:
            time.sleep(SETTLE_SECONDS)
        self._restore()
        self._unregister()

    def hold(self) -> None:
        """Ignore further signals, except that the first one sets `requested`."""
        self._mode = "hold"

    def rearm(self) -> None:
        """Raise `KeyboardInterrupt` at the next signal again; the caller has handled the one before."""
        if self.requested:
            self.requested, self._mode = False, "raise"

    @contextlib.contextmanager
    def nested(self, restores: bool) -> Iterator[None]:
        """Ignores signals in the body; `restores` says whether the mode from before applies again after it."""
        before = self._mode
        self._mode = "hold"
        try:
            yield
        finally:
            self._mode = before if restores and not self.requested else "hold"

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Makes a signal raise `KeyboardInterrupt` in the body, once; also one that came before."""
        try:
            self._mode = "raise"
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._mode = "hold"

    @contextlib.contextmanager
    def graceful(self) -> Iterator[None]:
        """Makes a first signal set `requested` in the body, and a second one raise `KeyboardInterrupt`."""
        try:
            self._mode = "graceful"
            yield
        finally:
            self._mode = "hold"

    def _receive(self, number: int, frame: FrameType | None) -> None:
        mode, again = self._mode, self.requested
        if not again:
            self.requested, self.number = True, number
        if mode == "raise":
            if _is_finalizer(frame):  # the exception would be printed and lost
                threading.Timer(0.01, signal.raise_signal, [number]).start()
                return
            self._mode = "hold"
            raise KeyboardInterrupt
        if mode == "graceful" and again:
            self.force_quit, self._mode = True, "hold"
            raise KeyboardInterrupt
        if mode == "graceful":
            with contextlib.suppress(RuntimeError):  # the signal came while standard error was being written
                print(_ENDING, file=sys.stderr)

    def _restore(self) -> None:
        before, self._before = self._before, {}
        for number, handler in reversed(before.items()):  # SIGINT at last: after that it raises
            if handler is not None:  # None: the handler was not installed by Python
                signal.signal(number, handler)


def _is_finalizer(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


_active: list[Interrupts] = []
"""Those of the run of the main thread, while there is one."""


@contextlib.contextmanager
def handled_interrupts(restores: bool = False) -> Iterator[Interrupts]:
    """Handles the signals of this process in the body, where they are ignored until a mode is entered.

    In a run, this is the same value as in the function that began the run.

    Args:
        restores: whether the mode from before applies again after the body; otherwise signals are ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Interrupts()
        return
    if _active:
        with _active[0].nested(restores):
            yield _active[0]
        return
    interrupts = Interrupts()
    try:
        _active.append(interrupts)
        interrupts.install()
        yield interrupts
    finally:
        try:
            interrupts.remove()
        finally:
            _active.clear()


def hold_interrupts() -> None:
    """Ignore further signals of a run, because files are written that belong together."""
    if _active and threading.current_thread() is threading.main_thread():
        _active[0].hold()


def interruptible(command: str | None = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function that runs, resumes or opens an experiment end in `Interrupted` after a signal, announced once.

    Args:
        command: what continues the run in the function's argument `path`, if there is one: by default the terminal
            command; None for a function whose run is another one.
    """

    def wrapper(verb: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(verb)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            result: R | None = None
            try:
                with handled_interrupts(restores=True) as interrupts:
                    try:
                        with interrupts.raising():
                            result = verb(*args, **kwargs)
                        return result
                    except Interrupted:
                        raise
                    except KeyboardInterrupt:
                        raise announced(_before_the_run(verb, command, args, kwargs), interrupts) from None
            except Interrupted:
                raise
            except KeyboardInterrupt as error:  # in the moment before or after this process handles the signals
                with handled_interrupts() as interrupts:
                    interrupts.requested = True
                    earlier = error.__context__
                    if isinstance(earlier, Interrupted):
                        raise earlier from None
                    path = str(getattr(result, "path", ""))
                    ended = Interrupted(path) if path else _before_the_run(verb, command, args, kwargs)
                    raise announced(ended, interrupts) from None

        return public(call)

    return wrapper


def _before_the_run(verb: Callable[..., Any], command: str | None, args: Any, kwargs: Any) -> Interrupted:
    path = str(inspect.signature(verb).bind_partial(*args, **kwargs).arguments.get("path") or "")
    is_run = command is not None and ("://" in path or os.path.exists(path))
    return Interrupted(path, (command or "").format(path)) if is_run else Interrupted()


def announced(error: Interrupted, interrupts: Interrupts | None = None) -> Interrupted:
    """Prints an interruption; uncaught, it then ends the process without a traceback."""
    if interrupts is not None:
        error.exit_code = 128 + interrupts.number
    print(f"\n{error}", file=sys.stderr)
    error.is_announced = True
    exit_quietly()
    ignore_sigint_at_exit()
    return error


class _ExitHook:
    """An exception hook that exits without a traceback after an uncaught `Interrupted` that was already printed.

    Args:
        before: the previous hook, which gets all other errors.
    """

    def __init__(self, before: Callable[..., Any]) -> None:
        self._before = before

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        cause: BaseException | None = error
        while isinstance(cause, KeyboardInterrupt) and not isinstance(cause, Interrupted):
            cause = cause.__context__  # Ctrl+C again, while the first one was on its way
        if not (isinstance(cause, Interrupted) and cause.is_announced):
            self._before(kind, error, trace)
        elif not hasattr(sys, "ps1"):  # an interactive session continues
            ignore_signals()
            raise SystemExit(cause.exit_code)


def exit_quietly() -> None:
    """Makes an uncaught `Interrupted` that was already printed exit with its code, without a traceback."""
    if not isinstance(sys.excepthook, _ExitHook):
        sys.excepthook = _ExitHook(sys.excepthook)


def ignore_sigint_at_exit() -> None:
    """Ignores signals while this process exits: they would interrupt Ray's clean-up, sometimes with a crash."""
    atexit.unregister(ignore_signals)
    atexit.register(ignore_signals)  # the last one registered runs first


def ignore_signals() -> None:
    """Ignore the signals until the process has ended."""
    for number in SIGNALS:
        signal.signal(number, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Does nothing; unlike `SIG_IGN` it is not inherited by processes that start later."""

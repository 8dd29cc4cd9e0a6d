"""Forked children of this process: what they must not share with it, and how one ends that returns into its code.

Programs that are started by `subprocess`, `spawn` or `forkserver` share nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final, NoReturn

_releases: Final[dict[object, Callable[[], object]]] = {}


def in_children(release: Callable[[], object]) -> Callable[[], object]:
    """Has each forked child call `release` before it does anything else; returns the function that ends this.

    The last one registered is called first.
    """
    key = object()
    _releases[key] = release
    return lambda: _releases.pop(key, None)


def this_process() -> Callable[[], bool]:
    """A function that says whether its caller still is the process that made it, and no forked child."""
    pid = os.getpid()
    return lambda: os.getpid() == pid


def end_child(error: BaseException | None = None) -> NoReturn:
    """Ends a forked child that has returned into its parent's code, as Python ends a script; runs no `atexit`."""
    code: object = 0 if error is None else 1
    if isinstance(error, SystemExit):
        code = 0 if error.code is None else error.code
        if not isinstance(code, int):
            print(code, file=sys.stderr)
    elif error is not None:
        traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code & 0xFF if isinstance(code, int) else 1)


class _Mask(threading.local):
    """The signals that this thread blocked before it began to fork."""

    before: set[Any] | None = None


_mask: Final = _Mask()


def _block() -> None:
    """Keeps signals from a child until it is released: it would lose those that it still has Python's handlers for."""
    if _releases:
        _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))


def _unblock() -> None:
    before, _mask.before = _mask.before, None
    if before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _release_all() -> None:
    releases = [*_releases.values()]
    _releases.clear()
    for release in reversed(releases):
        release()
    _unblock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_release_all)

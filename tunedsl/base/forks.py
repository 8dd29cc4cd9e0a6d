"""Forked child processes: how they release resources of this process, and how they exit.

Processes that are started by `subprocess`, `spawn` or `forkserver` share nothing.
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
    """Registers a function that each forked child calls first; returns a function that unregisters it.

    The last one registered is called first.
    """
    key = object()
    _releases[key] = release
    return lambda: _releases.pop(key, None)


def this_process() -> Callable[[], bool]:
    """A function that returns whether it runs in the process that created it, not in a forked child."""
    pid = os.getpid()
    return lambda: os.getpid() == pid


def end_child(error: BaseException | None = None) -> NoReturn:
    """Exits a forked child that returned into its parent's code, like a script but without `atexit` handlers."""
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
    """The signals that this thread had blocked before it forked."""

    before: set[Any] | None = None


_mask: Final = _Mask()


def _block() -> None:
    """Blocks signals in a child until its handlers are released, since signals before that would be lost."""
    if _releases:
        _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))


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

"""Waiting for storage that does not take what is written: said once, tried again with growing delay.

While a writer waits nothing is decided, so nothing is lost; the run goes on where it paused.
"""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable
from typing import Final

FIRST_SECONDS: Final = 0.25
MAX_SECONDS: Final = 15.0
SLICE_SECONDS: Final = 0.1

TRANSIENT_ERRNOS: Final = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EAGAIN,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EACCES,
    }
)
"""Errors of a local or mounted disk that may go away by themselves or by what a user does beside the run."""


def print_to_stderr(text: str) -> None:
    """Tells the user something that cannot wait for the results."""
    print(text, file=sys.stderr, flush=True)


class StorageRetry:
    """How a writer waits.

    Args:
        what: what cannot be written, in words.
        tell: says something to the user.

    Attributes:
        asked: whether the user asked to end the run meanwhile.
    """

    def __init__(self, what: str, tell: Callable[[str], None] = print_to_stderr) -> None:
        self.asked: Callable[[], bool] = lambda: False
        self._what = what
        self._tell = tell

    def call(self, attempt: Callable[[], None], passing: Callable[[Exception], bool]) -> bool:
        """Tries until it works; says whether it had to wait.

        Args:
            attempt: what is tried; it may fail at any place, and be tried again.
            passing: whether an error may go away.

        Raises:
            KeyboardInterrupt: when the user asked to end.
        """
        seconds = FIRST_SECONDS
        told = False
        while True:
            try:
                attempt()
            except Exception as error:
                if not passing(error):
                    raise
                if not told:
                    self._tell(f"{self._what} cannot be written ({_reason(error)}): the run is paused until it can")
                    told = True
            else:
                if told:
                    self._tell(f"{self._what} can be written again: the run goes on, nothing is lost")
                return told
            self._wait(seconds)
            seconds = min(2 * seconds, MAX_SECONDS)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self.asked():
                raise KeyboardInterrupt
            time.sleep(min(left, SLICE_SECONDS))


def is_transient(error: Exception) -> bool:
    """Whether an error of a local disk may go away."""
    return isinstance(error, OSError) and error.errno in TRANSIENT_ERRNOS


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__

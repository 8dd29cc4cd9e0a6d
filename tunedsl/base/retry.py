"""Retries of storage operations with growing delays, before a failure counts.

If a disk is full, retries continue without limit, as for the journal, which is often on the same disk.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Final, TypeVar

from tunedsl.base.errors import StorageError

SECONDS: Final = 10.0
"""Seconds of failing retries before the attempt fails."""
FIRST: Final = 0.1
GROWTH: Final = 2.0
MAX_SECONDS: Final = 2.0
"""Maximum delay between two tries while a disk is full."""
_PERMANENT_ERRNOS: Final = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
)
"""Errors that retries cannot fix; the cause is usually the user's `save`."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

T = TypeVar("T")


def retry_transient(
    action: Callable[[], T],
    over: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
    tell: Callable[[str], None] = lambda text: None,
) -> T:
    """The result of `action`, retried for some seconds while storage fails, and without limit while it is full.

    Args:
        action: the storage operation.
        over: returns whether the result is no longer needed; then it is not retried.
        sleep: waits for a number of seconds.
        tell: is called once with a message if the storage is full.

    Raises:
        StorageError: the error of the last try.
    """
    spent, delay, told = 0.0, FIRST, False
    while True:
        try:
            return action()
        except StorageError as error:
            number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
            full = number in _FULL
            if over() or number in _PERMANENT_ERRNOS or (spent >= SECONDS and not full):
                raise
            if full and not told:
                tell(f"{error}: its trial waits until there is room")
                told = True
        sleep(delay)
        spent += 0.0 if full else delay
        delay = min(delay * GROWTH, MAX_SECONDS if full else max(SECONDS - spent, FIRST))

"""Storage that fails for a while: a checkpoint is tried again, with growing delay, before its failure counts."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Final, TypeVar

from tunedsl.base.errors import StorageError

SECONDS: Final = 10.0
"""How long storage may fail before that fails the attempt."""
FIRST: Final = 0.1
GROWTH: Final = 2.0
_FOR_GOOD: Final = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
)
"""What no waiting mends; most often the user's own `save` is at fault."""

T = TypeVar("T")


def patient(action: Callable[[], T], over: Callable[[], bool], sleep: Callable[[float], None] = time.sleep) -> T:
    """What `action` gives, tried again for some seconds while storage fails.

    Args:
        over: whether nobody wants it any more; then it is not tried again.
        sleep: waits for so many seconds.

    Raises:
        StorageError: of the last try.
    """
    spent, delay = 0.0, FIRST
    while True:
        try:
            return action()
        except StorageError as error:
            cause = error.__cause__
            if over() or spent >= SECONDS or (isinstance(cause, OSError) and cause.errno in _FOR_GOOD):
                raise
        sleep(delay)
        spent += delay
        delay = min(delay * GROWTH, max(SECONDS - spent, FIRST))

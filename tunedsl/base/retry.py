"""Storage that fails for a while: a checkpoint is tried again, with growing delay, before its failure counts.

A disk that is full is waited for as long as it takes, as the journal does: most often they are on the same one.
"""

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
MAX_SECONDS: Final = 2.0
"""Between two tries while a disk is full."""
_PERMANENT_ERRNOS: Final = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
)
"""What no waiting mends; most often the user's own `save` is at fault."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

T = TypeVar("T")


def retry_transient(
    action: Callable[[], T],
    over: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
    tell: Callable[[str], None] = lambda text: None,
) -> T:
    """What `action` gives, tried again for some seconds while storage fails, and for ever while it is full.

    Args:
        over: whether nobody wants it any more; then it is not tried again.
        sleep: waits for so many seconds.
        tell: hears once that the storage is full.

    Raises:
        StorageError: of the last try.
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

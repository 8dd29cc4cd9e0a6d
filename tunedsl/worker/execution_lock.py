"""The lock that a trial holds while its code runs. The inline backend has the real one."""

from __future__ import annotations


class NoLock:
    """Whose turn it is to run, where workers share one thread of work; here nobody has to wait.

    Attributes:
        wanted: whether a thread waits for it.
        shared: whether who fetches events needs it, too.
    """

    wanted: bool = False
    shared: bool = False

    def acquire(self) -> None: ...
    def release(self) -> None: ...
    def rotate(self) -> None: ...

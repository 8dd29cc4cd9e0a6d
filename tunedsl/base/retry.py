"""Retries while storage fails for a while: one loop, and the policies that say how long it waits.

It does not decide what an error that persists means. We prefer a small loop to tenacity and stamina: one call
needs several limits (none for a full disk, seconds for other errors) and a cancel check during the wait.
"""

from __future__ import annotations

import errno
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final, TypeVar

import attrs

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import StorageError

T = TypeVar("T")


@attrs.frozen
class RetryPolicy:
    """How long to wait between tries, and in total.

    Attributes:
        initial: seconds before the first retry.
        factor: factor by which the delay grows from one retry to the next.
        maximum: longest delay in seconds.
        total: seconds to wait in all before the error counts.
    """

    initial: float
    factor: float = 2.0
    maximum: float = math.inf
    total: float = math.inf


JOURNAL_POLICY: Final = RetryPolicy(initial=0.25, maximum=15.0)
"""The journal waits for its storage without a limit."""
CHECKPOINT_POLICY: Final = RetryPolicy(initial=0.1, total=10.0)
"""How long storage may fail before the trial's attempt fails."""
FULL_DISK_POLICY: Final = RetryPolicy(initial=0.1, maximum=2.0)
"""A checkpoint waits for a full disk without a limit, as the journal does: most often it is the same disk."""
SLICE_SECONDS: Final = 0.1
"""Longest sleep between two cancel checks."""

_FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PERMANENT_ERRNOS: Final = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
)
"""Errors of a checkpoint that no retry fixes; most often the user's own `save` is at fault."""
_TRANSIENT_ERRNOS: Final = _FULL_ERRNOS | {
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
"""Errors of a local or mounted disk that may pass by themselves, or that the user can fix during the run."""


class RetryCancelled(Exception):
    """The wait for a retry was cancelled; the cause is the error of the last try."""


def retry(
    action: Callable[[], T],
    policy_for: Callable[[Exception], RetryPolicy | None],
    *,
    is_cancelled: Callable[[], bool] = lambda: False,
    notify: Callable[[Exception], None] = lambda error: None,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call an action until it succeeds, and return its result.

    Args:
        action: what to try; it may fail at any point and is then called again.
        policy_for: the policy for an error, or None where a retry is useless.
        is_cancelled: whether the caller no longer wants the result; checked before and during each wait.
        notify: receives the error before each wait.
        sleep: waits for a number of seconds.

    Raises:
        RetryCancelled: when the wait was cancelled.
        Exception: the error of the last try, when it has no policy or its policy's total is used up.
    """
    delay = 0.0
    waited: defaultdict[RetryPolicy, float] = defaultdict(float)
    while True:
        try:
            return action()
        except Exception as error:
            policy = policy_for(error)
            if policy is None or waited[policy] >= policy.total:
                raise
            if is_cancelled():
                raise RetryCancelled from error
            notify(error)
            delay = min(max(delay * policy.factor, policy.initial), policy.maximum, policy.total - waited[policy])
            waited[policy] += delay
            if not _wait(delay, is_cancelled, sleep):
                raise RetryCancelled from error


def _wait(seconds: float, is_cancelled: Callable[[], bool], sleep: Callable[[float], None]) -> bool:
    """Waits; returns False as soon as the wait is cancelled."""
    while seconds > 0.0:
        sleep(min(seconds, SLICE_SECONDS))
        seconds -= SLICE_SECONDS
        if is_cancelled():
            return False
    return True


def retry_transient(
    action: Callable[[], T],
    is_cancelled: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
    notify: Callable[[str], None] = lambda text: None,
) -> T:
    """Write or read a checkpoint, with retries while its storage fails.

    Args:
        is_cancelled: whether the trial no longer needs it.
        notify: receives one message, when the storage is full.

    Raises:
        StorageError: the error of the last try.
    """
    notified = False

    def notify_once(error: Exception) -> None:
        nonlocal notified
        if _errno_of_cause(error) in _FULL_ERRNOS and not notified:
            notify(f"{reason(error)}; its trial waits until there is room")
            notified = True

    try:
        return retry(action, _checkpoint_policy, is_cancelled=is_cancelled, notify=notify_once, sleep=sleep)
    except RetryCancelled as cancelled:
        assert cancelled.__cause__ is not None  # `retry` always sets it
        raise cancelled.__cause__ from cancelled.__cause__.__cause__


def _checkpoint_policy(error: Exception) -> RetryPolicy | None:
    if not isinstance(error, StorageError) or _errno_of_cause(error) in _PERMANENT_ERRNOS:
        return None
    return FULL_DISK_POLICY if _errno_of_cause(error) in _FULL_ERRNOS else CHECKPOINT_POLICY


def _errno_of_cause(error: Exception) -> int | None:
    return error.__cause__.errno if isinstance(error.__cause__, OSError) else None


class JournalRetry:
    """Retries of a journal's writer, which wait for storage without a limit; the run is paused meanwhile.

    Args:
        name: what cannot be written, such as `the journal results/run-1`.
        notify: receives a message when the wait begins and when it ends.
    """

    def __init__(self, name: str, notify: Callable[[str], None]) -> None:
        self._name = name
        self._notify = notify
        self._is_cancelled: Callable[[], bool] = lambda: False

    def set_cancel_check(self, is_cancelled: Callable[[], bool]) -> None:
        """Sets what ends a wait: whether the user asked to end the run."""
        self._is_cancelled = is_cancelled

    def call(self, action: Callable[[], None], is_retryable: Callable[[Exception], bool]) -> bool:
        """Call an action until it succeeds; return whether it had to wait.

        Raises:
            KeyboardInterrupt: when the user asked to end the run.
        """
        waited = False

        def notify_once(error: Exception) -> None:
            nonlocal waited
            if not waited:
                self._notify(f"{self._name} cannot be written ({_reason(error)}): the run is paused until it can")
                waited = True

        def policy_for(error: Exception) -> RetryPolicy | None:
            return JOURNAL_POLICY if is_retryable(error) else None

        try:
            retry(action, policy_for, is_cancelled=self._is_cancelled, notify=notify_once)
        except RetryCancelled:
            raise KeyboardInterrupt from None
        if waited:
            self._notify(f"{self._name} can be written again: the run continues, nothing is lost")
        return waited


def is_transient(error: Exception) -> bool:
    """Whether an error of a local or mounted disk may pass."""
    return isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNOS


def print_to_stderr(text: str) -> None:
    """Prints a message that must not wait for the results."""
    print(text, file=sys.stderr, flush=True)


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__

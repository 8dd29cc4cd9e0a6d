"""Reports that a run waits for nodes, and ends the wait after a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tunedsl.backends.protocol import EngineLost
from tunedsl.base.errors import ResourceError
from tunedsl.worker import Message, Notice

FIRST_SECONDS: Final = 10.0
"""Time until a waiting run is reported again; it doubles each time."""


class Shortage:
    """Follows how long the cluster has lacked the nodes that a run needs.

    Args:
        limit: the maximum wait in seconds; None for no limit.
    """

    def __init__(self, limit: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._since: float | None = None
        self._next = self._count = 0.0

    def look(self, lack: str, started: bool, tell: Callable[[str], None]) -> list[Message]:
        """Report what the run waits for.

        Args:
            lack: what the cluster lacks; empty if it lacks nothing.
            started: whether a trial has run.
            tell: receives the messages before that.

        Raises:
            ResourceError: when the limit is exceeded and no trial has run.
            EngineLost: when it is exceeded later, so that the run pauses.
        """
        if not lack:
            self._since = None
            return []
        now = self._clock()
        if self._since is None:
            self._since = self._next = now
        waited = now - self._since
        if self._limit is not None and waited >= self._limit:
            text = f"No suitable node has joined for {self._limit:g} s (wait_for_nodes={self._limit:g}). {lack}"
            raise EngineLost(text) if started else ResourceError(text)
        if now < self._next:
            return []
        self._next = now + max(FIRST_SECONDS, waited)
        for_long = f", for {waited:.0f} s so far" if waited >= 1 else ""
        until = "" if self._limit is None else f", at most {self._limit:g} s"
        text = f"waiting for a node{for_long}{until}: {lack.partition(chr(10))[0]}"
        if not started:
            tell(text)
            return []
        self._count += 1
        return [Message.of_engine(Notice(f"waiting for nodes {self._count:g}", text))]

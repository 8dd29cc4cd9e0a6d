"""Kills unresponsive workers: those that hang in code which blocks all threads of their process."""

from __future__ import annotations

import time
from typing import Any, Final

from tunedsl.backends.pool import DRAIN_SECONDS, Attempt, Pool, PooledWorker
from tunedsl.base.types import FailureKind
from tunedsl.kernel import Failed
from tunedsl.plan import Plan
from tunedsl.worker import Message, Notice

ANSWER_SECONDS: Final = 5.0
"""How long a worker may fail to answer beyond its trial's time limit before it is killed."""


class Responsiveness:
    """Kills workers that do not answer within the time limits of their trials.

    Other workers end such trials themselves.

    Args:
        plan: the plan, which has the limits.
        pool: the workers.
    """

    def __init__(self, plan: Plan, pool: Pool[Any]) -> None:
        limits: list[tuple[float, FailureKind]] = []
        limits += [] if plan.timeout is None else [(plan.timeout, "timeout")]
        limits += [] if plan.idle is None else [(plan.idle, "idle")]
        self._limit = min(limits, default=None)
        self._grace = plan.grace
        self._pool = pool

    def look(self) -> list[Message]:
        """Replace the workers that have not answered for too long; return the failures of their trials."""
        messages: list[Message] = []
        now, pool = time.monotonic(), self._pool
        silent = now - DRAIN_SECONDS - ANSWER_SECONDS
        for attempt, since in list(pool.ended.items()):
            member = pool.member_at(attempt)
            if member is not None and member.asked < silent and now - since > self._grace + ANSWER_SECONDS:
                messages.append(self._replaced_after_end(member, attempt))
        if self._limit is None:
            return messages
        limit, kind = self._limit
        for member in [one for one in pool.members if one.ready and one.assigned and one.asked < silent - limit]:
            (trial, attempt_at), *_ = member.assigned
            text = f"its worker has not answered for more than {limit:g} s, and was killed"
            messages.append(Message(trial, attempt_at, Failed(0.0, trial, kind, text)))
            pool.replace(member, {(trial, attempt_at)})
        return messages

    def _replaced_after_end(self, member: PooledWorker, attempt: Attempt) -> Message:
        """Replace a worker whose trial has ended but whose code still blocks its process."""
        name = member.assigned[attempt].assignment.name
        text = (
            f"trial {name} kept running for more than {self._grace:g} s after its end, in C code that holds Python's "
            f"lock: its worker was killed and replaced"
        )
        self._pool.replace(member, {attempt})
        return Message(*attempt, Notice(f"keeps running {name}", text, urgent=True))

"""Reports workers that do not start: what they wait for, and since when, so that it does not look like a hang."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import ray

from tunedsl.backends.pool import Pool, PooledWorker, resources_of
from tunedsl.plan.packing import ray_amounts
from tunedsl.plan.settings import format_amount
from tunedsl.worker import Message, Notice, Session

NESTED_SECONDS: Final = 5.0
"""How long the workers of a nested run may wait before the user is warned."""
FIRST_SECONDS: Final = 10.0
"""Time until a wait of the first workers is reported; the interval doubles after each report."""
LATE_SECONDS: Final = 30.0
"""How long a worker may take to start, later in a run, before the delay is reported."""


class Waiting:
    """Watches the members of a pool that have not started.

    Args:
        pool: the pool.
        logical: whether all trials wait for the one that has not started.
        outer: the trial that contains this run, if any.
        nested: whether this process is a worker of the same cluster, so that its resources are in use during the run.
    """

    def __init__(
        self,
        pool: Pool[Any],
        logical: bool = False,
        outer: Session | None = None,
        nested: bool = False,
    ) -> None:
        self._pool = pool
        self._is_logical = logical
        self._outer = outer
        self._nested = nested
        self._next = FIRST_SECONDS
        self._any_started = self._late_reported = self._nested_reported = False

    def start_text(self, nodes: int) -> str:
        """The message about the start of the first workers."""
        count = len(self._pool.members)
        what = f"starting {_workers(count)}{self._each(self._pool.members[0]) if count else ''}"
        has = shown({name: self._pool.total.get(name, 0) for name in ("CPU", "GPU") if self._pool.total.get(name)})
        return f"{what} on {'a node' if nodes == 1 else f'{nodes} nodes'} with {has}"

    def look(self, tell: Callable[[str], None]) -> list[Message]:
        """Notices about members that have waited for too long.

        Args:
            tell: receives a message about the first workers, repeatedly.
        """
        if self._late_reported and self._any_started:
            return []
        members = self._pool.members
        waiting = [member for member in members if not member.ready and member.assigned]
        self._any_started = self._any_started or any(member.ready for member in members)
        if not waiting:
            return []
        waited = time.monotonic() - min(member.began for member in waiting)
        (trial, attempt), *_ = waiting[0].assigned
        if not self._any_started:
            if self._nested and not self._nested_reported and waited >= NESTED_SECONDS:
                self._nested_reported = True
                return [Message(trial, attempt, self._nested_notice(waiting[0], waited))]
            if waited >= self._next:
                self._next *= 2
                tell(f"{self._waiting_text(waiting, waited)}{self._free()}")
        if self._late_reported or waited < LATE_SECONDS:
            return []
        self._late_reported = True
        return [Message(trial, attempt, self._late_notice(waiting))]

    def _waiting_text(self, waiting: list[PooledWorker], waited: float) -> str:
        count = _workers(len(waiting))
        return f"waiting for {count} to start, for {waited:.0f} s so far{self._each(waiting[0])}"

    def _each(self, member: PooledWorker) -> str:
        return f", each of which needs {need_of(member)}"

    def _free(self) -> str:
        with contextlib.suppress(Exception):  # the message is complete without it
            free = ray.available_resources()
            names = [name for name in ("CPU", "GPU") if self._pool.total.get(name)]
            return f"; the cluster has {shown({name: free.get(name, 0) for name in names})} free of " + shown(
                {name: self._pool.total[name] for name in names}
            )
        return ""

    def _late_notice(self, waiting: list[PooledWorker]) -> Notice:
        late = [member for member in waiting if member.began <= time.monotonic() - LATE_SECONDS]
        text = (
            f"{len(late)} of {len(self._pool.members)} workers have not started for {LATE_SECONDS:g} s: the cluster "
            f"may have no room now for {need_of(late[0])}, which each needs. They start when there is room, and "
            f"{'in logical order all trials wait for them' if self._is_logical else 'the other workers continue'}"
        )
        return Notice("late workers", text)

    def _nested_notice(self, member: PooledWorker, waited: float) -> Notice:
        """The warning of a nested run whose workers wait for resources of its outer trial; both runs show it."""
        outer = self._outer
        whose = "a Ray task or actor" if outer is None else f"trial {outer.assignment.name} of another run"
        holds = "" if outer is None else f", which uses {shown(ray_amounts(outer.assignment.resources))} while it waits"
        text = (
            f"a run on Ray is inside {whose}{holds}: its workers have waited for {waited:.0f} s for "
            f"{need_of(member)} each{self._free()}\n"
            f'  help: run the inner experiment by run("inline"), or leave room for it: .parallel(1) or '
            f".resources(cpu=0) for the outer one"
        )
        notice = Notice("nested run", text, urgent=True)
        if outer is not None:
            outer.send(notice)
        return notice


def need_of(member: PooledWorker) -> str:
    """The resources of a member, as text."""
    return shown(ray_amounts(resources_of(member.shape).amounts()))


def shown(amounts: Mapping[str, float]) -> str:
    """Amounts for people: `CPU=1, memory=2 GiB`."""
    return ", ".join(f"{name}={format_amount(name, amount)}" for name, amount in amounts.items()) or "nothing"


def _workers(count: int) -> str:
    return "a worker" if count == 1 else f"{count} workers"

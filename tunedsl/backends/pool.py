"""The pool of workers: groups them by the shape of their resources, and assigns trials to them.

Each engine starts its own workers and exchanges messages with them.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final, Generic, TypeVar

from tunedsl.backends.delay_queue import DelayQueue
from tunedsl.base.codec import from_json
from tunedsl.kernel import Ended, Failed, Reported
from tunedsl.plan import Resources
from tunedsl.plan.packing import ray_amounts
from tunedsl.worker.commands import Assign, ChangeSettings, Halt, WorkerCommand
from tunedsl.worker.wire import MessageBatch

DRAIN_SECONDS: Final = 2.0
"""How long a worker waits for messages before it sends an empty batch."""
AHEAD_SECONDS: Final = 0.1
"""How much work a worker may have queued, so that it never waits for the driver between trials."""
MAX_QUEUED: Final = 64
STARVED_SECONDS: Final = 10.0
"""How long a member may take to start before the pool ends all idle members of other shapes."""
LOST_START_SECONDS: Final = 60.0
"""How long a member may take to start, while others are idle, before the pool ends it: its node may be lost."""
IDLE_SECONDS: Final = 10.0
"""How long the pool keeps a member without work."""
TURN_SECONDS: Final = 60.0
"""How long a member keeps its resources while other runs wait for them."""
YIELD_SECONDS: Final = 10.0
"""How long the pool starts no member after it ended one for other runs, which may need several at once."""
MIN_START_DELAY: Final = 0.1
MAX_START_DELAY: Final = 5.0
"""Seconds without new workers after a failed start; the delay doubles each time, up to the maximum."""
FAILED_STARTS_SECONDS: Final = 60.0
"""How long starts may fail one after the other before the run pauses."""

Attempt = tuple[int, int]


class PooledWorker:
    """One worker and what it was assigned, the running trial first.

    Commands wait here until the worker reports that it has started. So a worker that has not started can be told from
    one that hangs in a trial, and its trials can move to another worker.
    """

    def __init__(self, shape: str) -> None:
        self.shape = shape
        self.node, self.preempted, self.spare = "", False, False
        self.assigned: dict[Attempt, Assign] = {}
        self.ready = False
        self.since = self.began = self.asked = time.monotonic()
        self._unsent: list[WorkerCommand] = []

    def push(self, orders: Sequence[WorkerCommand]) -> None:
        """Sends commands, once the worker has started."""
        if self.ready:
            self.send(orders)
        else:
            self._unsent += orders

    def mark_ready(self, node: str = "") -> None:
        """Record that the worker has started on a node, and send the commands that waited for it."""
        self.ready, self.spare, self.node = True, False, node
        unsent, self._unsent = self._unsent, []
        if unsent:
            self.push(unsent)

    def send(self, orders: Sequence[WorkerCommand]) -> None:
        """Sends commands to a worker that has started."""
        raise NotImplementedError

    def withdraw(self) -> list[Assign]:
        """Takes back the trials of a worker that has not started; none of them if it has further commands for them."""
        settings = [order for order in self._unsent if isinstance(order, ChangeSettings)]
        if self.ready or len(settings) + len(self.assigned) < len(self._unsent):
            return []
        taken, self.assigned, self._unsent = list(self.assigned.values()), {}, [*settings]
        return taken

    def halt(self) -> None:
        """Stops the running trial at its next report, and drops the queued ones."""
        raise NotImplementedError

    def request_messages(self) -> None:
        """Asks for the next messages."""
        self.asked = time.monotonic()

    def nodes(self) -> set[str]:
        """The nodes on which it runs."""
        return {self.node}

    def preempt(self, text: str) -> None:
        """Moves its trials to another node."""
        self.preempted = True

    def kill(self) -> None:
        """Ends the worker by force and frees its resources."""
        raise NotImplementedError


Member = TypeVar("Member", bound=PooledWorker)


class Pool(Generic[Member]):
    """Up to `width` workers, called members; assignments wait in order for one of their shape.

    Attributes:
        blocked: whether the pool must not assign trials yet.
        started: whether any member has ever started.
        contended: whether other runs wait for the resources of members, so that old members end with their trial.

    Args:
        width: how many members, at most.
        start: starts a worker with the resources of a shape.
        total: the resources of all machines together, by Ray's names.
        alone: whether each assignment gets a new member.
        keeps_idle: whether members without work keep their resources; otherwise they end after `IDLE_SECONDS`.
    """

    def __init__(
        self,
        width: int,
        start: Callable[[str], Member],
        total: Mapping[str, float],
        alone: bool = False,
        keeps_idle: bool = False,
    ) -> None:
        self.blocked = self.started = self.contended = False
        self._yields_until = 0.0
        self.total = total
        self._keeps_idle = keeps_idle
        self.members: list[Member] = []
        self.waiting: deque[Assign] = deque()
        self.delayed = DelayQueue()
        self._alone = alone
        self._mixed = False
        self._width = width
        self._start = start
        self._settings: ChangeSettings | None = None
        self._shapes: Counter[str] = Counter()
        self._at: dict[Attempt, Member] = {}
        self._kept: list[WorkerCommand] = []
        self.ended: dict[Attempt, float] = {}
        self.failed_starts = 0
        self.failing_since = self._delayed_until = 0.0
        self._trial_seconds: float | None = None

    def grow(self, shape: str, count: int) -> None:
        """Starts members ahead of the first assignment."""
        self._mixed = self._mixed or any(member.shape != shape for member in self.members)
        started = [self._start(shape) for _ in range(count)]
        if self._settings is not None:
            for member in started:
                member.push([self._settings])
        self.members += started

    def resize(self, width: int) -> None:
        """Changes the maximum number of members; members that have not started, and idle ones, end first."""
        self._width = width
        staying = [member for member in self.members if not member.preempted and not member.spare]
        staying.sort(key=lambda member: (member.ready, bool(member.assigned)))
        for member in reversed(staying[: max(0, len(staying) - width)]):
            if not (member.ready and member.assigned):
                self.replace(member, set())

    def reserve(self, shape: str, count: int) -> None:
        """Requests `count` members on nodes that an autoscaler may add; they get trials once they have started."""
        spare = [member for member in self.members if member.spare]
        for member in spare[count:]:
            self.remove(member)
        before = len(self.members)
        self.grow(shape, count - len(spare))
        for member in self.members[before:]:
            member.spare = True

    def preempt(self, nodes: Collection[str], text: str) -> None:
        """Moves the trials of members on nodes that will end; these members get no further trials."""
        for member in [one for one in self.members if one.ready and not one.preempted]:
            if not member.nodes().isdisjoint(nodes):
                member.preempt(text)
                if not member.assigned:
                    self.remove(member)

    def give_back_idle(self) -> None:
        """Ends members that have been idle for `IDLE_SECONDS`, so that other runs get their resources."""
        if self._keeps_idle or self.waiting:
            return
        long_ago = time.monotonic() - IDLE_SECONDS
        for member in [one for one in self.members if one.ready and not one.assigned and one.since < long_ago]:
            self.remove(member)

    def take(self, orders: Sequence[WorkerCommand]) -> None:
        """Sends commands to the members that run their trials; assignments wait for `place`."""
        answers: dict[int, tuple[Member, list[WorkerCommand]]] = {}
        kept, self._kept = self._kept, []
        for order in [*kept, *orders]:
            if isinstance(order, ChangeSettings):
                self._settings = order
                for each in self.members:
                    each.push([order])
                continue
            if isinstance(order, Halt):
                self.end((order.trial, order.attempt))
            if isinstance(order, Assign):
                if not self.delayed.push(order, time.monotonic()):
                    self.waiting.append(order)
                continue
            member = self._at.get((order.trial, order.attempt))
            if member is not None:
                answers.setdefault(id(member), (member, []))[1].append(order)
            elif isinstance(order, Halt):
                self.waiting = deque(wait for wait in self.waiting if wait.assignment.trial != order.trial)
                self.delayed.drop(order.trial, order.attempt)
        for member, batch in answers.values():
            member.push(batch)
        self.place()

    def keep(self, orders: Sequence[WorkerCommand]) -> None:
        """Keeps commands for the next `take`, while the cluster does not answer."""
        self._kept += orders

    def shapes(self) -> Counter[str]:
        """The number of attempts in progress by shape, without those whose trial has ended."""
        given = [item for member in self.members for item in member.assigned.items() if item[0] not in self.ended]
        return Counter(order.assignment.shape for order in (*(order for _, order in given), *self.waiting))

    def changed_trials(self) -> list[Resources]:
        """The resources of all attempts in progress, or nothing if they are those of the last call."""
        before, self._shapes = self._shapes, self.shapes()
        return [] if self._shapes == before else [resources_of(shape) for shape in self._shapes.elements()]

    def count_requests(self) -> int:
        """The number of this pool's requests that the cluster has not fulfilled."""
        waiting = [resources_of(member.shape) for member in self.members if not member.ready]
        return sum(max(1, len(resources.bundles)) for resources in waiting)

    def place(self) -> None:
        """Assigns waiting trials to members that have room."""
        if self.blocked:
            return
        if self._kept:
            self.take(())
        self.waiting.extend(self.delayed.due(time.monotonic()))
        self._move_to_idle()
        self.give_back_idle()
        starved = self._starved() if self._mixed else None
        if starved is not None:
            self._make_room(starved)
        depth = self._depth()
        batches: dict[int, tuple[Member, list[WorkerCommand]]] = {}
        while self.waiting:
            shape = self.waiting[0].assignment.shape
            only_old = starved is not None and starved.shape != shape
            member = self._member_for(shape, depth, only_old)
            if member is None:
                break
            order = self.waiting.popleft()
            attempt = (order.assignment.trial, order.assignment.attempt)
            if not member.assigned:
                member.since = time.monotonic()
            member.assigned[attempt] = order
            self._at[attempt] = member
            batches.setdefault(id(member), (member, []))[1].append(order)
        for member, batch in batches.values():
            member.push(batch)

    def free(self, member: Member, attempt: Attempt) -> None:
        """Record that an attempt no longer runs on its member."""
        if member.assigned.pop(attempt, None) is None:
            return
        self._at.pop(attempt, None)
        self.ended.pop(attempt, None)
        now = time.monotonic()
        seconds, member.since = now - member.since, now
        before = self._trial_seconds
        self._trial_seconds = seconds if before is None else max(seconds, 0.8 * before + 0.2 * seconds)
        if self._alone or (member.preempted and not member.assigned):
            self.remove(member)
        elif self.contended and not member.assigned and member.began < now - TURN_SECONDS:
            self.remove(member)
            self._yields_until = now + YIELD_SECONDS

    def remove(self, member: Member) -> list[Assign]:
        """Ends a member; returns its assignments, the running trial first."""
        self.members.remove(member)
        for attempt in member.assigned:
            self._at.pop(attempt, None)
            self.ended.pop(attempt, None)
        member.kill()
        return list(member.assigned.values())

    def receive(self, member: Member, batch: MessageBatch) -> None:
        """Processes a member's messages, then requests more from it or replaces it."""
        if not member.ready:
            self.mark_started(member, batch.node)
        failed: set[Attempt] = set()
        for message in batch.messages:
            attempt, event = (message.trial, message.attempt), message.event
            if event is None:
                self.free(member, attempt)
            elif isinstance(event, Failed):
                failed.add(attempt)
            if isinstance(event, (Ended, Failed)) or (isinstance(event, Reported) and event.ends):
                self.end(attempt)
        if member in self.members:  # a member for a single trial has ended with it
            if batch.replace:
                self.replace(member, failed)
            else:
                member.request_messages()

    def remove_dead(self, member: Member) -> Assign | None:
        """Removes a member that died; returns the trial that it ran. Other members get its queued trials."""
        assigned = self.remove(member)
        self.waiting.extendleft(reversed(assigned[1:]))
        return assigned[0] if assigned else None

    def end(self, attempt: Attempt) -> None:
        """Record that the trial of an attempt has ended; its code may still run."""
        if attempt in self._at:
            self.ended.setdefault(attempt, time.monotonic())

    def remove_failed_start(self, member: Member) -> None:
        """Removes a member that failed to start; others get its trials, after a growing delay."""
        self.waiting.extendleft(reversed(self.remove(member)))
        now = time.monotonic()
        if self.failed_starts == 0:
            self.failing_since = now
        if now >= self._delayed_until:  # workers that were started together fail together, which counts once
            self._delayed_until = now + min(MIN_START_DELAY * 2.0**self.failed_starts, MAX_START_DELAY)
            self.failed_starts = min(self.failed_starts + 1, 64)

    def mark_started(self, member: Member, node: str = "") -> None:
        """Record that a member has started on a node."""
        self.failed_starts, self._delayed_until = 0, 0.0
        self.started = True
        if not member.assigned:
            member.since = time.monotonic()
        member.mark_ready(node)

    def member_at(self, attempt: Attempt) -> Member | None:
        """The member that an attempt is assigned to."""
        return self._at.get(attempt)

    def clear(self) -> None:
        """Drops the commands that no member has received."""
        self.waiting.clear()
        self.delayed.clear()
        self._kept.clear()

    def replace(self, member: Member, failed: set[Attempt]) -> None:
        """Ends a member; other members get its trials, except for the attempts that failed."""
        assigned = self.remove(member)
        left = [order for order in assigned if (order.assignment.trial, order.assignment.attempt) not in failed]
        self.waiting.extendleft(reversed(left))

    def _move_to_idle(self) -> None:
        """Takes back trials for idle members from those that have not started, and ends one that may never start."""
        idle = Counter(member.shape for member in self.members if member.ready and not member.assigned)
        lost, taken = time.monotonic() - LOST_START_SECONDS, list[Assign]()
        for member in list(self.members):
            if member.ready or member.spare or idle[member.shape] <= 0:
                continue
            own = member.withdraw()
            idle[member.shape] -= len(own)
            taken += own
            if member.began < lost and not member.assigned:
                self.remove(member)
        for order in taken:
            self._at.pop((order.assignment.trial, order.assignment.attempt), None)
        self.waiting.extendleft(reversed(taken))

    def _starved(self) -> Member | None:
        """The first member with trials that cannot start, because others have its resources or it takes long."""
        waiting = [member for member in self.members if not member.ready and member.assigned]
        first = min(waiting, key=lambda member: member.began, default=None)
        if first is None or self._is_late(first) or not self._fits(self.members):
            return first
        return None

    def _make_room(self, starved: Member) -> None:
        """Ends idle members of other shapes until the starved one fits; ends all of them if it should already fit."""
        for member in [one for one in self.members if one.ready and not one.assigned and one.shape != starved.shape]:
            ready = [one for one in self.members if one.ready]
            if not self._is_late(starved) and self._fits([*ready, starved]):
                return
            self.remove(member)

    def _is_late(self, member: Member) -> bool:
        return member.began < time.monotonic() - STARVED_SECONDS

    def _fits(self, members: Sequence[Member]) -> bool:
        """Whether the cluster has enough resources, in total, for these members."""
        need: Counter[str] = Counter()
        for member in members:
            need.update(ray_amounts(resources_of(member.shape).amounts()))
        return all(amount <= self.total.get(name, 0.0) + 1e-6 for name, amount in need.items())

    def _member_for(self, shape: str, depth: int, only_old: bool) -> Member | None:
        staying = [member for member in self.members if not (member.preempted or member.spare)]
        fitting = [member for member in staying if member.shape == shape]
        best = min(
            fitting, key=lambda member: (bool(member.assigned), not member.ready, len(member.assigned)), default=None
        )
        if best is not None and not best.assigned:
            return best
        depth = depth if best is not None and best.ready else 1  # what has not started may take long
        if time.monotonic() < max(self._delayed_until, self._yields_until if self.contended else 0.0):
            return best if best is not None and len(best.assigned) < depth else None
        if len(staying) >= self._width:
            if best is not None:
                return best if len(best.assigned) < depth else None
            idle = next((member for member in staying if not member.assigned), None)
            if idle is None:
                return None
            self.remove(idle)
        if only_old:
            return None  # a new one would take the resources that are being freed
        self.grow(shape, 1)
        return self.members[-1]

    def _depth(self) -> int:
        """The number of trials to assign to a member: more than one only if trials are short."""
        seconds = self._trial_seconds
        return 1 if seconds is None or self._alone else max(1, min(MAX_QUEUED, int(AHEAD_SECONDS / max(seconds, 1e-6))))


@lru_cache(maxsize=256)
def resources_of(shape: str) -> Resources:
    """The resources of a shape, which is their JSON."""
    resources: Resources = from_json(shape)
    return resources

"""The pool's rules, without processes: assignment of resources, and eviction."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from msgspec.structs import replace

from tunedsl.backends import pool as pools
from tunedsl.backends.pool import Pool
from tunedsl.backends.ray import pooled_actor
from tunedsl.backends.ray.waiting import FIRST_SECONDS, LATE_SECONDS, NESTED_SECONDS, Waiting
from tunedsl.base.codec import to_json
from tunedsl.plan import Resources
from tunedsl.worker import Assignment, Outbox
from tunedsl.worker.commands import Assign, Halt
from tunedsl.worker.wire import unpack_orders

SMALL, LARGE = to_json(Resources.of(cpu=1)), to_json(Resources.of(cpu=2))


class FakeMember(pools.PooledWorker):
    """One without an actor."""

    def __init__(self, shape):
        super().__init__(shape)
        self.pushed = []

    def push(self, orders):
        self.pushed += orders

    def preempt(self, text):
        self.preempted = text

    def kill(self):
        """A cluster on which nothing runs."""


CLOCK = {"now": 0.0}


@pytest.fixture
def pool(monkeypatch):
    CLOCK["now"] = 0.0
    monkeypatch.setattr(pools.time, "monotonic", lambda: CLOCK["now"])
    return Pool(4, FakeMember, {"CPU": 4})


def assign(number, shape=SMALL, wait=0.0):
    return Assign(Assignment(number, f"{number:05d}", 0, {}, 1, {}, shape), wait)


def running(pool):
    return {attempt[0]: member for member in pool.members for attempt in member.assigned}


def test_what_waits_is_placed_when_it_is_due(pool):
    pool.take([assign(0, wait=3.0), assign(1, wait=5.0)])
    assert not running(pool)
    pool.take([Halt(1, 0)])
    CLOCK["now"] = 9.0
    pool.place()
    assert set(running(pool)) == {0}


def test_nothing_begins_on_a_worker_that_has_not_said_that_it_is_there(monkeypatch):
    """So that one which then does not answer hangs in a trial, and its limits of time hold, also for the first one."""
    monkeypatch.setattr(pooled_actor, "_ACTOR", MagicMock())
    member = pooled_actor.PooledActor(SMALL, None, {})
    member.push([assign(0)])
    sent = member.actor.push.remote
    assert not sent.called and member.actor.drain.remote.call_args.args == (0.0,)
    member.mark_ready("")
    member.push([Halt(0, 0)])
    assert [unpack_orders(call.args[0]) for call in sent.call_args_list] == [[assign(0)], [Halt(0, 0)]]


def test_each_trial_alone_in_its_process(monkeypatch, pool):
    alone = Pool(2, FakeMember, {"CPU": 4}, alone=True)
    alone.take([assign(number) for number in range(3)])
    first = running(alone)[0]
    first.ready = True
    alone.free(first, (0, 0))
    alone.place()
    assert first not in alone.members and set(running(alone)) == {1, 2}


def test_what_a_worker_was_to_run_that_died_before_it_began_goes_to_others_after_a_rest(pool):
    pool.take([assign(0), assign(1)])
    for _ in range(3):
        for member in list(pool.members):
            pool.remove_failed_start(member)
        assert {order.assignment.trial for order in pool.waiting} == {0, 1}
        pool.place()
        assert not pool.members, "no new one at once: it would die like those before"
        CLOCK["now"] += 5.0  # the longest pause between two starts
        pool.place()
        assert set(running(pool)) == {0, 1}
    assert pool.failed_starts == 3, "those that die together count as one"
    for member in pool.members:
        pool.mark_started(member)
    assert pool.failed_starts == 0


def test_orders_are_kept_while_the_cluster_does_not_answer(pool):
    pool.take([assign(0)])
    pool.keep([assign(1), Halt(0, 0)])
    assert set(running(pool)) == {0}
    pool.place()
    assert set(running(pool)) == {0, 1} and running(pool)[0].pushed[-1] == Halt(0, 0)
    assert set(pool.ended) == {(0, 0)}


def all_ready(pool):
    for member in pool.members:
        member.ready = True
    return list(pool.members)


def test_idle_members_make_room_for_one_that_starves_and_no_new_ones_take_it(pool):
    pool.take([assign(number) for number in range(3)])
    small = all_ready(pool)
    pool.take([assign(3, LARGE)])
    large = running(pool)[3]
    pool.take([assign(4)])
    assert 4 not in running(pool), "a new member would take what the large one waits for"
    pool.free(small[0], (0, 0))
    pool.place()
    assert small[0] not in pool.members, "its place is the large one's"
    pool.free(small[1], (1, 0))
    pool.place()
    assert running(pool)[4] is small[1], "as much as it needs has been made free"
    large.ready = True
    pool.take([assign(5)])
    pool.free(large, (3, 0))
    pool.place()
    assert large not in pool.members and 5 in running(pool), "now it holds what a small one needs"


def test_one_that_should_fit_and_does_not_start_gets_all_that_is_idle(pool):
    pool.take([assign(0)])
    (small,) = all_ready(pool)
    pool.take([assign(1, LARGE)])
    pool.free(small, (0, 0))
    pool.place()
    assert small in pool.members, "it may only be slow to start"
    CLOCK["now"] = pools.STARVED_SECONDS + 1
    pool.place()
    assert small not in pool.members


def test_what_waits_for_a_member_that_has_not_started_goes_to_an_idle_one(pool):
    pool.take([assign(0), assign(1), assign(2)])
    first, second, third = pool.members
    first.ready = True
    pool.place()
    assert running(pool) == {0: first, 1: second, 2: third}, "none is idle"
    pool.free(first, (0, 0))
    pool.place()
    assert running(pool) == {1: first, 2: third} and second in pool.members, "it may only be slow to start"
    pool.take([assign(3)])
    assert running(pool)[3] is second and pool.member_at((1, 0)) is first
    CLOCK["now"] = pools.LOST_START_SECONDS + 1
    pool.free(first, (1, 0))
    pool.place()
    assert running(pool) == {2: third, 3: first} and pool.members == [first, third], "its node may be lost"


def test_what_has_not_started_is_given_one_trial_at_a_time_and_keeps_one_that_was_stopped(monkeypatch):
    actors = MagicMock(**{"options.return_value.remote.side_effect": lambda *_: MagicMock()})
    monkeypatch.setattr(pooled_actor, "_ACTOR", actors)
    pool = Pool(2, lambda shape: pooled_actor.PooledActor(shape, None, {}), {"CPU": 4})
    pool.take([assign(0), assign(1)])
    first, second = pool.members
    first.mark_ready("")
    pool.free(first, (0, 0))  # trials are short: a member that has started may have several
    pool.place()
    pool.take([assign(number) for number in range(2, 6)])
    assert [attempt[0] for attempt in second.assigned] == [2] and len(first.assigned) == 4
    pool.take([Halt(2, 0)])
    for attempt in list(first.assigned):
        pool.free(first, attempt)
    pool.place()
    assert [attempt[0] for attempt in second.assigned] == [2], "it says that the trial has ended"
    second.mark_ready("")
    sent = [unpack_orders(call.args[0]) for call in second.actor.push.remote.call_args_list]
    assert sent == [[assign(2), Halt(2, 0)]], "what was taken back is not sent"


def test_a_worker_to_be_replaced_hands_on_what_it_had_not_begun(pool):
    pool.take([assign(0)])
    (member,) = all_ready(pool)
    pool.free(member, (0, 0))  # trials are short: it may have more than one
    pool.members = [member]
    pool._width = 1
    pool.take([assign(1), assign(2)])
    assert len(member.assigned) == 2
    pool.replace(member, {(1, 0)})
    assert [order.assignment.trial for order in pool.waiting] == [2]
    pool.place()
    assert set(running(pool)) == {2} and member not in pool.members


def test_workers_that_do_not_start_are_told_of_once(pool):
    waiting, told = Waiting(pool, logical=True), []
    pool.take([assign(0), assign(1)])
    pool.members[0].ready = True
    CLOCK["now"] = LATE_SECONDS - 1
    assert waiting.look(told.append) == []
    CLOCK["now"] = LATE_SECONDS + 1
    (message,) = waiting.look(told.append)
    assert (message.trial, message.event.kind) == (1, "late workers")
    assert "1 of 2 workers" in message.event.text and "CPU=1" in message.event.text
    assert "all trials wait" in message.event.text
    assert waiting.look(told.append) == [] and not told


def test_while_no_worker_has_started_it_is_said_for_how_long_they_wait(pool):
    waiting, told = Waiting(pool), []
    pool.take([assign(0), assign(1)])
    assert waiting.start_text(1) == "starting 2 workers, each of which needs CPU=1 on a node with CPU=4"
    for seconds in range(5 * int(FIRST_SECONDS)):
        CLOCK["now"] = float(seconds)
        waiting.look(told.append)
    assert [text.partition(" so far")[0] for text in told] == [
        f"waiting for 2 workers to start, for {FIRST_SECONDS * times:g} s" for times in (1, 2, 4)
    ]
    assert all("each of which needs CPU=1" in text for text in told)


def test_a_run_inside_a_trial_of_a_run_says_who_holds_what_it_waits_for(pool):
    outbox = Outbox()
    outer = SimpleNamespace(assignment=assign(7).assignment, send=lambda notice: outbox.put(7, 0, notice))
    outer.assignment = replace(outer.assignment, resources={"cpu": 2.0})
    waiting = Waiting(pool, outer=outer, nested=True)
    pool.take([assign(0)])
    CLOCK["now"] = NESTED_SECONDS - 1
    assert waiting.look(print) == []
    CLOCK["now"] = NESTED_SECONDS + 1
    (message,) = waiting.look(print)
    assert message.event.urgent, "said under quiet as well"
    for part in ("inside trial 00007", "uses CPU=2", "CPU=1 each", 'run("inline")', ".parallel(1)"):
        assert part in message.event.text
    (relayed,) = outbox.take()
    assert (relayed.trial, relayed.event) == (7, message.event), "the run around it says it where its user is"
    assert waiting.look(print) == []

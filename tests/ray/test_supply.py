"""What a changing cluster gives to a run, without processes: slots, waiting, an autoscaler, and the pool's part."""

from __future__ import annotations

import pytest

from tests.plans import make_plan
from tests.ray.test_pool import CLOCK, SMALL, assign, pool, running
from tunedsl.backends.pool import IDLE_SECONDS, TURN_SECONDS, YIELD_SECONDS
from tunedsl.backends.protocol import EngineLost
from tunedsl.backends.ray import autoscaler, supply
from tunedsl.backends.ray.nodes import ClusterNodes, NodeWatch
from tunedsl.backends.ray.sharing import LOOK_SECONDS, Sharing
from tunedsl.backends.ray.shortage import FIRST_SECONDS, Shortage
from tunedsl.backends.ray.supply import Supply
from tunedsl.base.codec import to_json
from tunedsl.base.errors import ResourceError
from tunedsl.plan import Resources
from tunedsl.worker import Notice

__all__ = ["pool"]


class Cluster:
    """Nodes that a test changes."""

    def __init__(self, **nodes):
        self.nodes = {name: {"CPU": float(cpus)} for name, cpus in nodes.items()}
        self.draining = frozenset()

    def read(self):
        usable = {name: node for name, node in self.nodes.items() if name not in self.draining}
        return ClusterNodes(usable, self.draining)


@pytest.fixture
def cluster(monkeypatch):
    now = {"now": 0.0}
    found = Cluster(first=2)
    found.pass_by = lambda seconds: now.update(now=now["now"] + seconds)
    found.scales = False
    monkeypatch.setattr(supply, "NodeWatch", lambda: NodeWatch(found.read, lambda: now["now"]))
    monkeypatch.setattr(supply, "Shortage", lambda limit: Shortage(limit, lambda: now["now"]))
    monkeypatch.setattr(autoscaler, "is_running", lambda: found.scales)
    monkeypatch.setattr(autoscaler, "fits_a_node_type", lambda resources: resources.cpu <= 8)
    return found


def test_the_width_follows_the_nodes_without_those_that_are_drained(cluster):
    given = Supply(make_plan(trials=100, parallel=None), None)
    assert given.capacity.width == 2 and not given.look()
    cluster.nodes["second"] = {"CPU": 6.0}
    assert not given.look(), "the nodes are looked at now and then only"
    cluster.pass_by(1)
    assert given.look() and given.capacity.width == 8
    cluster.draining = frozenset({"first"})
    cluster.pass_by(1)
    assert given.look() and given.capacity.width == 6 and given.nodes.total == {"CPU": 6.0}
    assert Supply(make_plan(trials=100, parallel=3), None).capacity.width == 3


def test_logical_order_keeps_its_width_and_says_what_it_waits_for(cluster):
    plan = make_plan(trials=100, parallel=4, order="logical")
    with pytest.raises(
        ResourceError, match=r"parallel\(4\) exceeds the 2 trials(.|\n)*write parallel\(2\), or run\(wait_for_nodes"
    ):
        Supply(plan, None)
    given = Supply(plan, 60)
    assert given.capacity.width == given.width == 4 and "exceeds the 2 trials" in given.lack
    cluster.nodes["second"] = {"CPU": 2.0}
    cluster.pass_by(1)
    assert given.look() and given.capacity.width == 4 and not given.lack


def test_a_trial_beyond_all_nodes_is_refused_unless_one_may_come(cluster):
    plan = make_plan(trials=4, parallel=None, resources=Resources.of(cpu=4))
    for limit in (None, 0):
        with pytest.raises(ResourceError, match=r"ask for at most CPU=2, or run\(wait_for_nodes=600"):
            Supply(plan, limit)
    assert Supply(plan, 1).capacity.width == 0
    cluster.scales = True
    assert Supply(plan, None).capacity.width == 0
    with pytest.raises(ResourceError):
        Supply(make_plan(resources=Resources.of(cpu=64)), None)


def test_a_shape_that_once_had_a_node_may_wait_for_it_to_come_back(cluster):
    cluster.nodes["large"] = {"CPU": 8.0}
    given = Supply(make_plan(trials=4, parallel=None), None)
    large = to_json(Resources.of(cpu=8))
    given.check(large)
    del cluster.nodes["large"]
    cluster.pass_by(1)
    assert given.look()
    given.check(large)
    told = []
    assert not given.shortage(lambda: {large: 0}, False, told.append) and not told
    given.shortage(lambda: {large: 1}, False, told.append)
    assert "waiting for a node: A trial needs CPU=8" in told[0]
    with pytest.raises(ResourceError):
        given.check(to_json(Resources.of(cpu=9)))


def test_an_autoscaler_is_asked_for_what_could_run_and_no_more(cluster):
    plan = make_plan(trials=100, parallel=6)
    given = Supply(plan, None)
    assert not given.want(100) and given.spares == 0, "without an autoscaler nobody can add nodes"
    cluster.scales = True
    given = Supply(plan, None)
    assert given.want(100) and given.spares == 4
    assert not given.want(99)
    assert given.want(3) and given.spares == 1
    assert given.want(0) and given.spares == 0
    assert Supply(make_plan(trials=100, parallel=4, order="logical"), 9).spares == 0, "its reservation is the request"


def test_a_shortage_is_told_at_longer_and_longer_intervals_until_the_limit():
    now, told = {"now": 0.0}, []
    short = Shortage(100, lambda: now["now"])
    assert not short.look("", False, told.append)
    for second in range(100):
        now["now"] = float(second)
        short.look("no GPU", False, told.append)
    assert [text.partition(", at most")[0] for text in told] == [
        "waiting for a node",
        "waiting for a node, for 10 s so far",
        "waiting for a node, for 20 s so far",
        "waiting for a node, for 40 s so far",
        "waiting for a node, for 80 s so far",
    ]
    now["now"] = 100.0
    with pytest.raises(ResourceError, match=r"No suitable node has joined for 100 s \(wait_for_nodes=100\). no GPU"):
        short.look("no GPU", False, told.append)
    with pytest.raises(EngineLost):
        short.look("no GPU", True, told.append)


def test_a_shortage_in_a_run_is_a_notice_and_ends_when_a_node_comes():
    now = {"now": 0.0}
    short = Shortage(None, lambda: now["now"])
    (first,) = short.look("no GPU", True, print)
    now["now"] = FIRST_SECONDS
    (second,) = short.look("no GPU", True, print)
    assert isinstance(first.event, Notice) and first.event.kind != second.event.kind, "each is shown"
    assert not short.look("", True, print)
    now["now"] = 1e6
    (again,) = short.look("no GPU", True, print)
    assert again.event.text == "waiting for a node: no GPU"


def test_workers_on_a_draining_node_finish_and_get_no_other_trials(pool):
    pool.grow(SMALL, 2)
    for member, node in zip(pool.members, "ab", strict=True):
        pool.mark_started(member, node)
    pool.take([assign(0), assign(1)])
    gone = running(pool)[0]
    pool.preempt({gone.node}, "drained")
    assert gone.preempted == "drained" and gone in pool.members
    pool.resize(1)
    pool.take([assign(2)])
    assert set(running(pool)) == {0, 1}, "the other worker is busy, and the width is 1"
    pool.free(gone, (0, 0))
    assert gone not in pool.members
    pool.free(running(pool)[1], (1, 0))
    pool.place()
    assert running(pool)[2].node != gone.node


def test_a_narrower_pool_ends_what_has_not_begun_and_what_is_idle(pool):
    pool.take([assign(number) for number in range(4)])
    for member in pool.members[:2]:
        pool.mark_started(member, "a")
    pool.resize(2)
    assert len(pool.members) == 2 and all(member.ready for member in pool.members)
    assert [order.assignment.trial for order in pool.waiting] == [2, 3]


def test_workers_without_trials_are_given_back_after_a_while(pool):
    pool.take([assign(0), assign(1)])
    for member in list(pool.members):
        pool.mark_started(member, "a")
    pool.free(running(pool)[1], (1, 0))
    CLOCK["now"] = IDLE_SECONDS / 2
    pool.place()
    assert len(pool.members) == 2
    CLOCK["now"] = IDLE_SECONDS * 2
    pool.place()
    assert set(running(pool)) == {0} and len(pool.members) == 1


def test_old_workers_end_with_their_trial_while_others_wait(pool):
    pool.take([assign(number) for number in range(3)])
    for member in list(pool.members):
        pool.mark_started(member, "a")
    old = dict(running(pool))
    pool.free(old[0], (0, 0))
    assert old[0] in pool.members
    pool.contended = True
    pool.free(old[1], (1, 0))
    assert old[1] in pool.members, "it has not had its turn"
    CLOCK["now"] = TURN_SECONDS + 1
    pool.take([assign(3)])
    pool.free(old[2], (2, 0))
    assert old[2] not in pool.members
    pool.remove(next(member for member in pool.members if not member.assigned))
    pool.take([assign(4)])
    assert 4 not in running(pool), "what it has given back is not taken at once"
    CLOCK["now"] += YIELD_SECONDS
    pool.place()
    assert 4 in running(pool)


def test_only_requests_of_others_for_the_same_resources_count():
    now, pending = {"now": 0.0}, []
    shared = Sharing(lambda: pending, lambda: now["now"])

    def look(own):
        found = []
        for _ in range(2):
            now["now"] += LOOK_SECONDS
            found.append(shared.others_wait({"CPU": 1}, lambda: own))
        return found

    assert look(0) == [False, False]
    pending[:] = [({"CPU": 1.0}, 2)]
    assert look(2) == [False, False], "they are its own"
    assert look(1) == [False, True], "one look may be out of date"
    pending[:] = [({"CPU": 1.0, "GPU": 1.0}, 2)]
    assert look(0) == [False, False], "no worker holds what they lack"


def test_requests_for_nodes_take_trials_only_once_they_have_started(pool):
    pool.resize(1)
    pool.reserve(SMALL, 2)
    spare = list(pool.members)
    pool.take([assign(0), assign(1)])
    assert not any(member.assigned for member in spare) and len(pool.members) == 3
    pool.mark_started(spare[0], "new")
    pool.resize(2)
    pool.place()
    assert running(pool)[0] is spare[0], "the one that has started goes first"
    assert set(running(pool)) == {0, 1} and not spare[1].assigned
    pool.reserve(SMALL, 0)
    assert spare[1] not in pool.members

"""The number of machines changes during a run, on the simulated engine."""

from __future__ import annotations

import pytest

from tunedsl import asha, replay, space, uniform
from tunedsl.backends import SimulatedEngine
from tunedsl.kernel import CapacityChanged, Failed
from tunedsl.testing import Bowl, cluster, faults

CHANGES = [(3, 1), (6, 0), (9, 8)]


def bowls(order="arrival"):
    made = space(x=uniform(0, 1)).trainable(Bowl).minimize("loss").scheduler(asha(max_t=9)).samples(20).seed(1)
    return made.parallel(4).order(order)


def preempted(results):
    return [event for event in results.journal.events() if isinstance(event, Failed)]


def test_order_of_arrival_follows_the_capacity_and_loses_no_report(tmp_path):
    results = bowls().store(tmp_path).run(SimulatedEngine(capacity=CHANGES, iterations=9), quiet=True)
    widths = [(event.seconds, event.width) for event in results.journal.events() if isinstance(event, CapacityChanged)]
    assert widths == [(0.0, 4), (3.0, 1), (6.0, 0), (9.0, 8)]
    assert {event.kind for event in preempted(results)} == {"preempted"} and all(e.saved for e in preempted(results))
    assert results.finished and not results.errors
    assert replay(results.path).digest == results.journal.digest
    assert results.stats.training_seconds == results.stats.iterations, "nothing was trained again"


def test_logical_order_waits_and_gives_one_digest(tmp_path):
    calm = bowls("logical").store(tmp_path / "calm").run(SimulatedEngine(iterations=9), quiet=True)
    changing = SimulatedEngine(capacity=CHANGES, iterations=9)
    results = bowls("logical").store(tmp_path / "changing").run(changing, quiet=True)
    assert preempted(results)
    assert results.journal.digest == calm.journal.digest


def test_a_trial_that_never_saves_stays_until_it_ends(tmp_path):
    def train(config):
        return {"loss": config["x"]}

    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(6).parallel(2).store(tmp_path)
    engine = SimulatedEngine(lambda config, iteration: 1.0, cost=4.0, iterations=3, capacity=[(5, 1), (30, 2)])
    results = e.stop(training_iteration=3).run(engine, quiet=True)
    assert results.finished and not preempted(results)


@pytest.mark.parametrize("seed", range(3))
def test_drained_nodes_change_no_result_in_logical_order(seed):
    drained = cluster(nodes=2, faults=faults(drain=0.2), seed=seed).run(bowls("logical"))
    calm = cluster(nodes=2, seed=seed).run(bowls("logical"))
    kinds = [event.kind for event in drained.journal.events() if isinstance(event, Failed)]
    assert kinds and set(kinds) == {"preempted"}
    assert drained.journal.digest == calm.journal.digest

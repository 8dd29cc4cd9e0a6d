"""Resource changing: allocations with any wrapped scheduler, and the table of valid combinations."""

import random

import pytest

from tunedsl.base import codec
from tunedsl.base.errors import ArgumentError
from tunedsl.base.objective import Objective
from tunedsl.schedulers import asha, distribute, distribute_to_top, fifo, hyperband, pbt, resource_changing, table
from tunedsl.schedulers.contract import (
    NON_LEARNING,
    At,
    Every,
    Report,
    Resize,
    SchedulerContext,
    registered_schedulers,
    scheduler_of,
)


class Cluster:
    """Trials with one CPU each at first, and whom the scheduler gives more."""

    def __init__(self, spec, trials, start=None):
        self.spec, self.scheduler = spec, scheduler_of(spec)
        self.state = self.scheduler.init(
            spec, SchedulerContext(0, trials, Objective("score", "max"), resources=start or {"cpu": 1})
        )
        self.has = {}
        for trial in range(trials):
            self.add(trial)

    def add(self, trial):
        self.state = self.scheduler.on_add(self.spec, self.state, trial, {})
        self.has[trial] = 1

    def report(self, trial, iteration=1, value=0.0):
        report = Report(trial, iteration, value, 1.0, {})
        self.state, decision, note = self.scheduler.on_report(self.spec, self.state, report)
        if isinstance(decision, Resize):
            self.has[trial] = decision.resources["cpu"]
        return decision, note

    def leave(self, trial):
        del self.has[trial]
        self.state = self.scheduler.on_remove(self.spec, self.state, trial)


def test_trials_share_evenly_and_grow_when_others_leave():
    cluster = Cluster(resource_changing(fifo(), distribute(cpu=10)), 4)
    decision, note = cluster.report(0)
    assert decision == Resize({"cpu": 3}) and note.facts["cpu"] == "1 -> 3"
    for trial in (1, 2, 3):
        cluster.report(trial)
    assert cluster.has == {0: 3, 1: 3, 2: 2, 3: 2}
    assert cluster.report(0) == ("continue", None)
    cluster.leave(0)
    for trial in (1, 2, 3):
        cluster.report(trial)
    assert cluster.has == {1: 4, 2: 3, 3: 3}


def test_those_with_more_than_their_share_give_it_back_before_others_grow():
    cluster = Cluster(resource_changing(fifo(), distribute(cpu=8)), 1)
    assert cluster.report(0)[0] == Resize({"cpu": 8})
    cluster.add(1)
    assert cluster.report(1)[0] == "continue", "nothing is idle"
    assert cluster.report(0)[0] == Resize({"cpu": 4})
    assert cluster.report(1)[0] == Resize({"cpu": 4})


def test_what_is_idle_goes_to_the_best_until_it_has_enough():
    cluster = Cluster(resource_changing(fifo(), distribute_to_top(cpu=12, increase_by_times=4)), 4)
    assert cluster.report(0, value=0.1)[0] == Resize({"cpu": 5})
    assert cluster.report(1, value=0.9)[0] == Resize({"cpu": 5})
    assert cluster.report(2, value=0.5)[0] == "continue" and cluster.report(3, value=0.6)[0] == "continue"
    cluster.leave(1)
    assert cluster.report(2, value=0.5)[0] == "continue"
    decision, note = cluster.report(3, value=0.6)
    assert decision == Resize({"cpu": 5}) and note.facts["best"] == 3


def test_units_and_other_resources():
    spec = resource_changing(fifo(), distribute(cpu=16, gpu=2, increase_by={"cpu": 2, "gpu": 0.5}))
    cluster = Cluster(spec, 2, {"cpu": 4, "gpu": 0.5, "memory": 100})
    assert cluster.report(0)[0] == Resize({"cpu": 6, "gpu": 1, "memory": 100})
    gpus = Cluster(resource_changing(fifo(), distribute(gpu=4)), 2, {"cpu": 2, "gpu": 1})
    assert gpus.report(0)[0] == Resize({"cpu": 2, "gpu": 2})


@pytest.mark.parametrize("resources", [distribute(cpu=13), distribute_to_top(cpu=13, increase_by_times=5)], ids=repr)
def test_what_is_given_never_exceeds_the_total_once_it_does_not(resources):
    rng = random.Random(0)
    for trials in (1, 3, 9, 13):
        cluster = Cluster(resource_changing(fifo(), resources), trials)
        for _ in range(200):
            trial = rng.choice(sorted(cluster.has))
            if rng.random() < 0.05 and len(cluster.has) > 1:
                cluster.leave(trial)
            else:
                cluster.report(trial, value=rng.random())
            assert sum(cluster.has.values()) <= 13 and min(cluster.has.values()) >= 1


def test_the_base_decides_first_and_paused_trials_come_back_with_their_share():
    spec = resource_changing(pbt(perturbation_interval=2, synch=True), distribute(cpu=6))
    cluster = Cluster(spec, 2)
    cluster.state = cluster.scheduler.on_all_proposed(spec, cluster.state)
    assert cluster.report(0, 2, 1.0)[0] == "pause"
    decision, _ = cluster.report(1, 2, 2.0)
    assert decision == Resize({"cpu": 3}), "the other one comes back"
    state, chosen = cluster.scheduler.promote(spec, cluster.state)
    assert chosen[0] == 0 and chosen[2].donor == 1
    assert cluster.scheduler.promote(spec, state) == (state, None)
    cluster.state = state
    assert cluster.report(0, 4, 3.0)[0] == "pause"
    assert cluster.report(1, 4, 2.5)[0].donor == 0
    state, chosen = cluster.scheduler.promote(spec, cluster.state)
    assert chosen[0] == 0 and chosen[2] == Resize({"cpu": 3})


def test_points_needs_and_last_iteration_are_the_bases():
    inside = resource_changing(asha(max_t=9, reduction_factor=3), distribute(cpu=4))
    scheduler = scheduler_of(inside)
    assert scheduler.decision_points(inside) == At((1, 3)) and scheduler.last_iteration(inside) == 9
    assert scheduler.requirements(inside).objective and scheduler.requirements(inside).checkpoints
    assert scheduler.decision_points(resource_changing(fifo(), distribute(cpu=4), every=5)) == Every(5)
    assert scheduler.requirements(resource_changing(pbt(), distribute(cpu=4))).searcher == NON_LEARNING
    assert scheduler.requirements(resource_changing(hyperband(), distribute(cpu=4))).pause
    assert scheduler.requirements(resource_changing(fifo(), distribute_to_top(cpu=4))).objective


def test_what_cannot_be_distributed_is_said():
    scheduler = scheduler_of(resource_changing(fifo(), distribute(cpu=1)))
    for resources, count in (
        (distribute(), 1),
        (distribute(cpu=-1), 1),
        (distribute(cpu=1, increase_by={"cpu": 0}), 1),
    ):
        assert [f.code for f in scheduler.validate(resource_changing(fifo(), resources))] == ["E076"] * count
    spec = resource_changing(fifo(), distribute(cpu=4))
    assert [
        f.code for f in scheduler.check_compatibility(spec, SchedulerContext(0, 1, None, resources={"cpu": 8}))
    ] == ["E076"]
    assert [f.subject for f in scheduler.check_compatibility(spec, SchedulerContext(0, 1, None))] == ["resources"]
    assert scheduler.check_compatibility(spec, SchedulerContext(0, 1, None, resources={"cpu": 1})) == []
    for wrong in (lambda: resource_changing("asha", distribute(cpu=1)), lambda: resource_changing(fifo(), 8)):
        with pytest.raises(ArgumentError, match="E003"):
            wrong()
    with pytest.raises(ArgumentError, match="'cpu' or 'gpu'"):
        distribute(cpu=1, increase_by={"tpu": 1})
    shown = "resource_changing(fifo(), resources=distribute(cpu=4, increase_by={'cpu': 2}, increase_by_times=3))"
    spec = resource_changing(fifo(), distribute(cpu=4, increase_by={"cpu": 2}, increase_by_times=3))
    assert repr(spec) == shown and eval(shown) == spec == codec.from_json(codec.to_json(spec))


def test_the_table_has_a_row_for_each_scheduler_of_the_package():
    lines = table().splitlines()
    inside = [s.name for c, s in registered_schedulers().items() if c.__module__.startswith("tunedsl.")]
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == sorted(inside)
    (row,) = (line for line in lines if line.startswith("| pbt |"))
    assert row == "| pbt | one that does not learn | those that save | needed | any | yes | every 5 iterations | any |"

"""Rankings by several objectives, compared with sorting front by front."""

import itertools
import math
import random

import numpy as np
import pytest

from tunedsl import Trainable, replay, space, uniform
from tunedsl.base import pareto
from tunedsl.base.objective import Objective
from tunedsl.base.pareto import crowding_order, epsilon_net_order, nondominated_order, pareto_front
from tunedsl.schedulers import asha, asha_promote, epsilon_net, hyperband, median_stopping, nondominated, pasha
from tunedsl.schedulers.contract import Report, SchedulerContext, scheduler_of
from tunedsl.schedulers.pareto_ranking import ParetoRanking, best_among, insert, order_within, place

GOALS = (Objective("loss", "min"), Objective("size", "min"), Objective("accuracy", "max"))


def fronts_of(losses):
    """The front of each point, by removing one front after another."""
    fronts, left = np.full(len(losses), -1), np.arange(len(losses))
    for number in itertools.count():
        if not len(left):
            return fronts.tolist()
        on = pareto_front(losses[left])
        fronts[left[on]] = number
        left = left[~on]


def net_order(losses):
    """Each next point the farthest from all before it, by all distances."""
    span = np.ptp(losses, axis=0)
    points = (losses - losses.min(axis=0)) / np.where(span > 0, span, 1)
    order, left = [int(np.argmin(losses[:, 0]))], set(range(len(losses)))
    left -= set(order)
    while left:
        distances = {at: min(np.sum((points[at] - points[of]) ** 2) for of in order) for at in sorted(left)}
        order.append(max(distances, key=distances.__getitem__))
        left.remove(order[-1])
    return order


@pytest.mark.parametrize("rule", [nondominated(), epsilon_net()], ids=repr)
@pytest.mark.parametrize("width", [2, 3])
def test_a_ranking_is_the_sorted_whole_after_each_insertion(rule, width):
    rng = random.Random(width)
    for case in range(12):
        draw = rng.choice(
            [rng.random, lambda: float(rng.randint(0, 4)), lambda: rng.choice([math.inf, 0.5, rng.random()])]
        )
        ranking, points = ParetoRanking(rule, width), []
        for trial in range(40):
            points.append(tuple(draw() for _ in range(width)))
            before = repr(ranking)
            grown = insert(ranking, trial, points[-1])
            assert repr(ranking) == before
            ranking = grown
            assert ranking.fronts.tolist() == fronts_of(np.array(points)), case
        order = nondominated_order(np.array(points), len(points), order_within(rule)).tolist()
        assert [place(ranking, trial) for trial in order] == list(range(40))
        some = rng.sample(range(40), 7)
        assert best_among(ranking, some) == min(some, key=order.index)


def test_an_epsilon_net_takes_the_farthest_point_next():
    rng = np.random.default_rng(0)
    for _ in range(20):
        losses = rng.random((25, 3))
        assert epsilon_net_order(losses).tolist() == net_order(losses)


def test_orders_of_large_fronts_are_permutations_that_begin_with_the_net(monkeypatch):
    monkeypatch.setattr(pareto, "MAX_NET", 8)
    x = np.sort(np.random.default_rng(1).random(24))
    losses = np.stack([x, 1 - x], axis=1)
    order = epsilon_net_order(losses)
    assert sorted(order.tolist()) == list(range(len(losses)))
    assert order[:8].tolist() == net_order(losses)[:8]
    assert sorted(crowding_order(losses).tolist()) == list(range(len(losses)))


def run(spec, points, goals=GOALS[:2]):
    """The decisions of a scheduler at its first milestone, and the reasons."""
    scheduler = scheduler_of(spec)
    state = scheduler.init(spec, SchedulerContext(0, 99, goals[0], objectives=goals))
    found = []
    for trial in range(len(points)):
        if scheduler.on_add:
            state = scheduler.on_add(spec, state, trial, {})
    for trial, losses in enumerate(points):
        values = tuple(-loss for loss in losses)
        metrics = {goal.metric: -goal.sign * loss for goal, loss in zip(goals, losses, strict=True)}
        state, decision, why = scheduler.on_report(spec, state, Report(trial, 1, values[0], 1.0, metrics, values))
        found.append((decision, why))
    return state, found


class TestSchedulers:
    def test_asha_continues_by_place_and_not_by_one_objective(self):
        _, found = run(asha(max_t=9, reduction_factor=2), [(1, 1), (2, 2), (0, 3), (3, 0), (0.5, 0.5), (9, 9)])
        assert [decision for decision, _ in found] == ["continue", "stop", "continue", "continue", "stop", "stop"]
        assert found[-1][1].facts == {
            "bracket": 0, "milestone": 1, "front": 4, "place": 6, "places": 3, "competitors": 5,
        }  # fmt: skip

    def test_asha_leaves_a_report_without_an_objective_out_of_the_rung(self):
        _, found = run(asha(max_t=9), [(1, 1), (math.nan, 0), (2, 2)])
        assert found[1][0] == "continue" and found[2][1].facts["competitors"] == 1

    def test_hyperband_keeps_a_net_of_the_front(self):
        spec = hyperband(max_t=3, reduction_factor=3)
        state, found = run(spec, [(9, 9), (9, 9), (0, 4), (3, 1), (4, 0)])
        assert [decision for decision, _ in found[:2]] == ["continue", "continue"]  # their bracket has no cut
        assert [trial for trial, _ in state.to_stop] == [3] and [trial for trial, _ in state.to_promote] == [2]

    def test_the_median_rule_stops_a_trial_that_is_worse_in_each_objective(self):
        spec = median_stopping("training_iteration", 1, 2)
        _, found = run(spec, [(1, 1), (3, 3), (2.5, 1.5), (2.75, 4), (9, 0)])
        assert [decision for decision, _ in found] == ["continue"] * 3 + ["stop", "continue"]
        assert found[3][1].facts == {
            "time": 1, "loss": 2.75, "loss median": 2.5, "size": 4, "size median": 1.5, "competitors": 3,
        }  # fmt: skip


class Two(Trainable):
    """A loss that falls, and a size."""

    def setup(self, config):
        self.x, self.t = config["x"], 0

    def step(self):
        self.t += 1
        return {"loss": self.x + 1 / self.t, "size": abs(self.x - 0.3), "accuracy": 0.5}

    def save(self, folder):
        (folder / "t").write_text(str(self.t))

    def load(self, folder):
        self.t = int((folder / "t").read_text())


@pytest.mark.parametrize(
    "scheduler",
    [
        asha(max_t=9, reduction_factor=3),
        asha(max_t=9, reduction_factor=3, ranking=nondominated()),
        asha_promote(max_t=9, reduction_factor=3),
        pasha(max_t=9, reduction_factor=2),
        hyperband(max_t=9),
        median_stopping("training_iteration", 1, 2),
        median_stopping("time_total_s", 0, 2),
    ],
    ids=repr,
)
def test_whole_runs_with_two_objectives_end_and_replay(scheduler, tmp_path):
    e = space(x=uniform(0, 1)).trainable(Two).minimize("loss").minimize("size").scheduler(scheduler)
    e = e.stop(training_iteration=9).samples(16).parallel(3).seed(2).store(tmp_path)
    results = e.run("inline", quiet=True)
    assert {trial.status for trial in results.trials} <= {"completed", "stopped"} and results.pareto
    stopped = [trial for trial in results.trials if trial.iterations < 9]
    stories = [str(results.why(trial.number)) for trial in stopped]
    assert stories and all("ranked" in story or "median" in story for story in stories)
    replay(results.path)

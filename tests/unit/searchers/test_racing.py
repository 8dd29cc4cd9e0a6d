"""Races over repeats: the exact signed-rank test, and which configuration each trial runs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedsl import ArgumentError, CompileError, report, space, trial, uniform
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, random_search, repeat, searcher_of, tpe, wilcoxon
from tunedsl.searchers.racing import signed_rank_p
from tunedsl.spaces import Space
from tunedsl.spaces import uniform as between

GOAL = (Objective("loss", "min"),)
SPACE = Space.of({"x": between(0, 1)})


@given(st.lists(st.floats(-5, 5).filter(bool), min_size=1, max_size=12, unique_by=abs))
def test_the_test_is_that_of_scipy(differences):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
    assert signed_rank_p(differences) == pytest.approx(expected)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_ties_and_zeros_are_counted_by_their_signs(differences):
    kept = [each for each in differences if each]
    sizes = sorted(map(abs, kept))
    ranks = [sizes.index(abs(each)) + (sizes.count(abs(each)) + 1) / 2 for each in kept]
    observed = sum(rank for rank, each in zip(ranks, kept, strict=True) if each > 0)
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product((0, 1), repeat=len(kept))]
    expected = sum(each >= observed for each in sums) / len(sums)
    assert signed_rank_p(differences) == pytest.approx(expected)


def test_failures_are_the_largest_differences():
    assert signed_rank_p([math.inf, 1.0, math.nan]) == signed_rank_p([2.0, 1.0]) == 0.25
    assert signed_rank_p([]) == signed_rank_p([0.0]) == 1.0


@pytest.mark.parametrize("p", [0, 0.5, -1, math.nan])
def test_a_p_value_out_of_range_is_refused(p):
    with pytest.raises(ArgumentError, match=r"wilcoxon.p must be above 0 and below 0.5"):
        wilcoxon(p)


class Race:
    """A searcher's trials one after the other; the loss of a configuration is a function of its order and place."""

    def __init__(self, spec, loss):
        self.spec, self.searcher, self.loss = spec, searcher_of(spec), loss
        self.state = self.searcher.init(spec, SPACE, GOAL, 1)
        self.configs, self.reasons = [], {}

    def ask(self, number):
        self.state, answer = self.searcher.ask(self.spec, self.state, number, 1)
        if answer.config not in self.configs:
            self.configs.append(answer.config)
        if answer.reason is not None:
            self.reasons[number] = answer.reason
        return self.configs.index(answer.config)

    def tell(self, number, group, status="done"):
        loss = self.loss(group, number % self.spec.n)
        self.state = self.searcher.tell(self.spec, self.state, number, Observation(status, 1, (loss,)))

    def run(self, count):
        groups = []
        for number in range(count):
            groups.append(self.ask(number))
            self.tell(number, groups[-1])
        return groups


def test_a_configuration_that_is_always_worse_loses_after_four_repeats():
    race = Race(repeat(random_search(), 6, race=wilcoxon(0.1)), lambda group, place: group + place / 10)
    groups = race.run(6 + 3 * 4)
    assert groups == [0] * 6 + [1] * 4 + [2] * 4 + [3] * 4
    (first, *_) = race.reasons.values()
    assert list(race.reasons) == [10, 14] and first.trials == (6, 7, 8, 9)
    assert first.text == (
        "the configuration of trials 6, 7, 8, 9 lost the race against that of trials 0, 1, 2, 3, 4, 5: "
        "worse in 4 of 4 pairs, p = 0.0625 by the one-sided signed-rank test"
    )


def test_each_configuration_that_does_not_lose_runs_every_place_once():
    race = Race(repeat(random_search(), 5, race=wilcoxon(0.1)), lambda group, place: (-1) ** place * group)
    groups = race.run(40)
    placed = {(group, number % 5) for number, group in enumerate(groups)}
    assert len(placed) == 40 and [groups.count(group) for group in range(8)] == [5] * 8


def test_a_better_configuration_is_the_next_to_beat():
    order = [2.0, 1.0, 1.5, 1.5]
    race = Race(repeat(random_search(), 5, race=wilcoxon(0.1)), lambda group, place: order[group] + place / 10)
    assert race.run(18) == [0] * 5 + [1] * 5 + [2] * 4 + [3] * 4


def test_running_repeats_of_a_loser_end_normally_and_count():
    told = []
    race = Race(repeat(tpe(n_startup_trials=1), 5, race=wilcoxon(0.1)), lambda group, place: float(group))
    for number in range(5):
        race.tell(number, race.ask(number))
    groups = [race.ask(number) for number in range(5, 10)]
    assert groups == [1] * 5
    for number in (5, 6, 7, 8):
        race.tell(number, 1)
        told.append(np.count_nonzero(race.state.inner.to_arrays().usable))
    assert told == [1, 1, 1, 1] and race.ask(10) == 2
    race.tell(9, 1)
    facts = race.state.inner.to_arrays()
    assert facts.status.tolist()[:2] == [2, 3] and facts.losses[:2, 0].tolist() == [0.0, 1.0]


def test_failed_repeats_lose():
    race = Race(repeat(random_search(), 5, race=wilcoxon(0.1)), lambda group, place: 1.0)
    for number in range(5):
        race.tell(number, race.ask(number))
    groups = []
    for number in range(5, 12):
        groups.append(race.ask(number))
        race.tell(number, groups[-1], "failed")
    assert groups == [1] * 4 + [2] * 3


def test_a_forced_trial_leaves_its_place_to_another():
    race = Race(repeat(random_search(), 3, race=wilcoxon(0.1)), lambda group, place: float(group))
    assert [race.ask(number) for number in range(2)] == [0, 0]
    race.state = race.searcher.force(race.spec, race.state, 1, {"x": 0.5}, 1)
    race.tell(1, 0)
    assert [race.ask(number) for number in (2, 3, 4)] == [0, 1, 0]


def evaluate(config):
    fold = trial().number % 5
    report(loss=config["x"] + fold / 100)


def test_why_tells_the_statistics_for_both_configurations(tmp_path):
    searcher = repeat(random_search(), 5, race=wilcoxon(p=0.1))
    experiment = space(x=uniform(0, 1)).trainable(evaluate).minimize("loss").searcher(searcher).samples(60).seed(3)
    results = experiment.store(tmp_path).run(engine="inline", quiet=True)
    (told, *_) = [each.number for each in results.trials if "in 4 of 4 pairs" in results.why(each.number)]
    assert "lost the race against that of trials" in results.why(told)
    configs = {repr(each.config) for each in results.trials}
    assert len(configs) > 60 / 5


def test_a_race_has_one_objective():
    both = space(x=uniform(0, 1)).trainable(evaluate).minimize("loss").minimize("cost")
    with pytest.raises(CompileError, match="E083: A race compares results by one objective, but the experiment has 2"):
        both.searcher(repeat(random_search(), 2, race=wilcoxon())).compile()
    with pytest.raises(ArgumentError, match=r"repeat.race must be a rule such as wilcoxon\(p=0.1\), not 0.1"):
        repeat(tpe(), 2, race=0.1)

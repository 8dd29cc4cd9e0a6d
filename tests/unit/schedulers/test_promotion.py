"""ASHA by promotion and PASHA, compared with the loops of their papers: promotions, growth of rungs, and the end."""

import itertools
import math
import random

import numpy as np
import pytest

from tunedsl.base.errors import ArgumentError
from tunedsl.base.objective import Objective, constrained_value
from tunedsl.schedulers import asha_promote, pasha
from tunedsl.schedulers.contract import At, Every, Reason, Report, SchedulerContext, scheduler_of
from tunedsl.schedulers.promotion import rung_times
from tunedsl.schedulers.ranking import Ranking, at_rank, insert, rank, rank_entry, remove


class Told:
    """Drives a scheduler's state with events of trials, and collects the trials that it terminates."""

    def __init__(self, spec, trials=0):
        self.spec, self.scheduler, self.ended, self.notes, self.added = spec, scheduler_of(spec), [], {}, 0
        self.state = self.scheduler.init(spec, SchedulerContext(0, 99, Objective("loss", "max")))
        for _ in range(trials):
            self.add()

    def add(self):
        self.state = self.scheduler.on_add(self.spec, self.state, self.added, {})
        self.added += 1

    def report(self, trial, iteration, value, **metrics):
        report = Report(trial, iteration, value, 0.0, metrics)
        self.state, decision, self.notes[trial] = self.scheduler.on_report(self.spec, self.state, report)
        self._culled()
        return decision

    def call(self, hook, *arguments):
        self.state = getattr(self.scheduler, hook)(self.spec, self.state, *arguments)
        self._culled()

    def promoted(self):
        self.state, chosen = self.scheduler.promote(self.spec, self.state)
        return None if chosen is None else chosen[0]

    def _culled(self):
        self.state, culled = self.scheduler.cull(self.spec, self.state)
        self.ended += [trial for trial, _ in culled]
        self.notes.update(culled)


def test_a_trial_waits_until_it_is_among_the_best_of_its_rung():
    told = Told(asha_promote(max_t=9, reduction_factor=3), 4)
    assert [told.report(0, 1, 0.5), told.report(1, 1, 0.9), told.promoted()] == ["pause", "pause", None]
    assert told.report(2, 1, 0.1) == "pause"
    assert told.notes[2] == Reason("asha_promote", {"rung": 1, "value": 0.1, "place": 3, "places": 1, "competitors": 3})
    assert told.promoted() == 1
    assert told.promoted() is None
    assert told.report(3, 1, 0.95) == "continue"


def test_places_go_to_the_latest_rung_first():
    told = Told(asha_promote(max_t=8, reduction_factor=2), 6)
    for trial in range(4):
        assert told.report(trial, 1, -trial) == "pause"
    assert [told.promoted(), told.promoted(), told.promoted()] == [0, 1, None]
    for trial, time in ((0, 2), (4, 1), (5, 1), (1, 2)):
        assert told.report(trial, time, -trial) == "pause"
    assert [told.promoted(), told.promoted(), told.promoted()] == [0, 2, None]


def test_equal_values_rank_by_trial_and_nan_is_worst():
    told = Told(asha_promote(max_t=9, reduction_factor=2.5), 5)
    for trial, value in ((2, 0.5), (1, 0.5), (0, math.nan), (3, -1e9), (4, math.nan)):
        assert told.report(trial, 1, value) == "pause"
    assert [told.promoted(), told.promoted(), told.promoted()] == [1, 2, None]


def test_what_waits_in_vain_ends_and_the_best_of_a_small_rung_goes_on():
    told = Told(asha_promote(max_t=27, reduction_factor=3), 2)
    told.call("on_all_proposed")
    assert told.report(0, 1, 0.1) == "pause"
    assert told.ended == []
    assert told.report(1, 1, 0.2) == "continue"
    assert told.ended == [0]
    assert [told.report(1, 3, 0.2), told.report(1, 9, 0.2), told.report(1, 27, 0.2)] == ["continue", "continue", "stop"]


def test_one_who_leaves_is_not_promoted_and_its_value_stands():
    told = Told(asha_promote(max_t=9, reduction_factor=3), 4)
    for trial in range(3):
        told.report(trial, 1, -trial)
    told.call("on_remove", 0)
    assert told.promoted() is None
    told.call("on_all_proposed")
    assert told.ended == []
    told.call("on_end", Report(3, 1, -9.0, 0.0, {}))
    assert told.ended == [1, 2]
    assert told.notes[1] == Reason("asha_promote", {"rung": 1, "value": -1, "place": 2, "places": 1, "competitors": 4})


def test_decisions_fall_at_the_rungs():
    scheduler = scheduler_of(asha_promote())
    assert scheduler.decision_points(asha_promote()) == At((1, 4, 16, 64))
    assert scheduler.decision_points(asha_promote(max_t=10, grace_period=2.5, reduction_factor=2)) == At((3, 5))
    assert scheduler.decision_points(asha_promote(time_attr="epochs")) == Every(1)
    assert scheduler.last_iteration(asha_promote()) == 100
    assert scheduler.last_iteration(asha_promote(time_attr="epochs")) is None
    assert scheduler.metrics_used(asha_promote(time_attr="epochs")) == ("epochs",)


@pytest.mark.parametrize(
    ("spec", "codes"),
    [
        (asha_promote(max_t=1, grace_period=2), ["E040"]),
        (asha_promote(reduction_factor=1), ["E041"]),
        (pasha(max_t=-1, grace_period=0), ["E042", "E043"]),
        (pasha(epsilon=-1, percentile=101), ["E078", "E078"]),
        (pasha(epsilon=0), []),
    ],
)
def test_settings_without_a_meaning_are_faults(spec, codes):
    assert [fault.code for fault in scheduler_of(spec).validate(spec)] == codes


def test_a_wrong_call_raises_where_it_is_written():
    with pytest.raises(ArgumentError, match=r"E001: asha_promote\(\) has no argument 'brackets'"):
        asha_promote(brackets=2)
    with pytest.raises(ArgumentError, match=r"E003: pasha.epsilon must be a number.*, not 'small'"):
        pasha(epsilon="small")


def test_rankings_are_sorted_whatever_comes_and_goes():
    rng, ranking, plain = random.Random(0), Ranking(), []
    for step in range(6000):
        if plain and rng.random() < 0.3:
            item = rng.choice(plain)
            ranking, _ = remove(ranking, item), plain.remove(item)
        else:
            value = rng.choice([rng.random(), float(rng.randint(0, 3)), math.nan, -math.inf])
            item = rank_entry(Report(step, 1, value, 1.0, {}))
            ranking, _ = insert(ranking, item), plain.append(item)
    plain.sort()
    assert list(ranking) == plain and ranking.size == len(plain) and len(ranking.chunks) > 1
    for index in range(0, len(plain), 97):
        assert at_rank(ranking.chunks, index) == plain[index] and rank(ranking, plain[index]) == index


class Loop:
    """The loops of both papers, as they are written there: lists, sorted again each time."""

    def __init__(self, spec):
        self.eta, self.levels = spec.reduction_factor, rung_times(spec)
        self.rungs = [[] for _ in self.levels]
        self.promoted = [set() for _ in self.levels]
        self.progressive, self.epsilon = hasattr(spec, "percentile"), 0.0
        self.fixed, self.percentile = getattr(spec, "epsilon", None), getattr(spec, "percentile", None)
        self.epsilon = self.fixed or 0.0
        self.limit = 1 if self.progressive else len(self.levels)

    def job(self):
        """Whom to promote, and from which rung."""
        for k in reversed(range(self.limit)):
            best = sorted(self.rungs[k], key=lambda pair: (-pair[1], pair[0]))
            for trial, _ in best[: int(len(best) / self.eta)]:
                if trial not in self.promoted[k]:
                    return trial, k
        return None

    def done(self, trial, k, value):
        self.rungs[k].append((trial, value))
        if not self.progressive or k != self.limit or len(self.rungs[k]) < 2:
            return
        if self.fixed is None:
            self.measure(k)
        top = sorted(self.rungs[k], key=lambda pair: -pair[1])
        both = {trial for trial, _ in top}
        below = sorted((pair for pair in self.rungs[k - 1] if pair[0] in both), key=lambda pair: -pair[1])
        groups = [{t for t, v in below if abs(v - at) <= self.epsilon} for _, at in below]
        if any(trial not in group for (trial, _), group in zip(top, groups, strict=True)):
            self.limit = min(self.limit + 1, len(self.levels))

    def measure(self, k):
        curves = {t: [dict(rung)[t] for rung in self.rungs[: k + 1]] for t, _ in self.rungs[k]}
        noisy = []
        for a in curves:
            for b in curves:
                if a < b:
                    ahead = [x > y for x, y in zip(curves[a], curves[b], strict=True)][::-1]
                    turned = next((i for i, each in enumerate(ahead) if each != ahead[0]), None)
                    if turned is not None and ahead[0] in ahead[turned:]:
                        noisy.append(abs(curves[a][-1] - curves[b][-1]))
        if noisy:
            self.epsilon = np.percentile(noisy, self.percentile)


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True])
def test_promotes_as_the_loops_of_the_papers_on_five_hundred_histories(progressive):
    rng, promoted, grown = random.Random(progressive), 0, 0
    for case in range(500):
        options = {"max_t": rng.choice([9, 16, 27, 64]), "reduction_factor": rng.choice([2, 3, 4, 2.5])}
        spec = (
            pasha(**options, epsilon=rng.choice([None, None, 0.1]), final_trials=0)
            if progressive
            else asha_promote(**options)
        )
        told, loop, times = Told(spec), Loop(spec), rung_times(spec)
        ties = not progressive and rng.random() < 0.3
        quality, noise, running = {}, rng.choice([0.03, 0.3, 3.0]), {}
        for _ in range(rng.randint(20, 150)):
            while len(running) < 4:
                expected, chosen = loop.job(), told.promoted()
                assert chosen == (expected and expected[0]), (case, options)
                if expected is None:
                    quality[told.added] = rng.random()
                    running[told.added] = 0
                    told.add()
                else:
                    loop.promoted[expected[1]].add(chosen)
                    running[chosen] = expected[1] + 1
                    promoted += 1
            trial = rng.choice(sorted(running))
            k = running.pop(trial)
            if k == len(times):
                assert told.report(trial, spec.max_t, 0.0) == "stop"
                continue
            value = float(rng.randint(0, 3)) if ties else quality[trial] + rng.gauss(0, noise) / (k + 1)
            loop.done(trial, k, value)
            expected = loop.job()
            decision = told.report(trial, times[k], value)
            assert decision == ("continue" if expected == (trial, k) else "pause"), (case, options)
            if decision == "continue":
                loop.promoted[k].add(trial)
                running[trial] = k + 1
                promoted += 1
            if progressive:
                assert told.state.promotions.limit == loop.limit
                assert told.state.epsilons == (pytest.approx(loop.epsilon),)
        grown += loop.limit > 1
    assert promoted > 5_000 and grown > (200 if progressive else 499)


def test_pasha_ends_early_where_rankings_agree():
    for noise, most in ((0.0, 3), (1.0, 27)):
        rng, told, furthest = random.Random(1), Told(pasha(max_t=27, reduction_factor=3, final_trials=0), 27), 0
        told.call("on_all_proposed")
        running = list(range(27))
        where = dict.fromkeys(running, 0)
        while running:
            trial = running.pop(0)
            time = 3 ** where[trial]
            furthest = max(furthest, time)
            if time == 27:
                told.report(trial, 27, 0.0)
                continue
            where[trial] += 1
            if told.report(trial, time, trial + 27 * noise * rng.random()) == "continue":
                running.append(trial)
            while (chosen := told.promoted()) is not None:
                running.append(chosen)
        assert furthest == most
        assert noise or len(told.ended) >= 26


def published_epsilon(curves, top, bottom, percentile=90.0):
    """The estimate of the paper's authors: every pair, at the latest epoch above the rung below, back in time."""
    distances = []
    for a, b in itertools.combinations(curves, 2):
        epoch = min(top, len(curves[a]), len(curves[b]))
        if epoch <= bottom:
            continue
        final = curves[a][epoch - 1] > curves[b][epoch - 1]
        opposite = same_again = False
        for earlier in reversed(range(epoch - 1)):
            order = curves[a][earlier] > curves[b][earlier]
            opposite = opposite or order != final
            same_again = same_again or (opposite and order == final)
        if same_again:
            distances.append(abs(curves[a][epoch - 1] - curves[b][epoch - 1]))
    return np.percentile(distances, percentile) if distances else None


def test_epsilon_is_that_of_the_paper_on_whole_curves():
    estimated = 0
    for seed in range(30):
        rng, told = random.Random(seed), Told(pasha(max_t=27, reduction_factor=3), 12)
        curves = {}
        for trial in range(12):
            for rung in (1, 3, 9):
                known = curves.get(trial, [])
                curves[trial] = known + [trial / 12 + rng.gauss(0, 0.3) for _ in range(rung - len(known))]
                curve = tuple((value,) for value in curves[trial])
                report = Report(trial, rung, curves[trial][-1], 0.0, {}, (), curve)
                limit, before = told.state.promotions.limit, told.state.epsilons[0]
                told.state, decision, _ = told.scheduler.on_report(told.spec, told.state, report)
                if limit == (1, 3, 9).index(rung):
                    there = {each: curves[each] for each in told.state.values[limit]}
                    expected = published_epsilon(there, rung, (1, 3, 9)[limit - 1])
                    assert told.state.epsilons[0] == pytest.approx(before if expected is None else expected)
                    estimated += expected is not None
                if decision != "continue":
                    break
    assert estimated > 10


def test_distances_to_infeasible_values_are_no_noise():
    told = Told(pasha(max_t=27, reduction_factor=3), 6)
    for trial, value in enumerate((0.5, 0.1, 0.0, 0.0, 0.0, 0.0)):
        told.report(trial, 1, value)
    while told.promoted() is not None:
        pass
    for trial, curve in enumerate(((0.5, 0.5, 0.5), (0.1, 0.9, constrained_value(0.2, 1.0)))):
        report = Report(trial, 3, curve[-1], 0.0, {}, curve=tuple((value,) for value in curve))
        told.state, _, _ = told.scheduler.on_report(told.spec, told.state, report)
    assert told.state.promotions.rungs[1].arrived.size == 2
    assert told.state.epsilons == (0.0,)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_best_of_the_last_rung_continue_to_the_end(count):
    told = Told(pasha(max_t=8, reduction_factor=2, epsilon=1e9, final_trials=count), 8)
    told.call("on_all_proposed")
    running, reached = list(range(8)), dict.fromkeys(range(8), 0)
    while running:
        trial = running.pop(0)
        reached[trial] = 2 * reached[trial] or 1
        if told.report(trial, reached[trial], float(trial)) == "continue":
            running.append(trial)
        while (chosen := told.promoted()) is not None:
            running.append(chosen)
    assert [trial for trial, time in reached.items() if time == 8] == list(range(8))[8 - count :]


class TestSeveralObjectives:
    SPEC = asha_promote(max_t=9, reduction_factor=2)

    def told(self, spec, trials=0):
        told = Told(spec)
        goals = (Objective("loss", "min"), Objective("size", "min"))
        told.state = told.scheduler.init(spec, SchedulerContext(0, 99, goals[0], objectives=goals))
        for _ in range(trials):
            told.add()
        return told

    def report(self, told, trial, iteration, *losses):
        values = tuple(-loss for loss in losses)
        report = Report(trial, iteration, values[0], 0.0, {}, values)
        told.state, decision, told.notes[trial] = told.scheduler.on_report(told.spec, told.state, report)
        told._culled()
        return decision

    def test_the_front_is_promoted_before_what_it_dominates(self):
        told = self.told(self.SPEC, 4)
        losses = [(3.0, 3.0), (4.0, 4.0), (1.0, 5.0), (5.0, 1.0)]
        assert [self.report(told, trial, 1, *each) for trial, each in enumerate(losses)] == [
            "pause", "pause", "continue", "continue",
        ]  # fmt: skip
        assert told.promoted() is None

    def test_a_report_without_one_of_the_objectives_ranks_last(self):
        told = self.told(self.SPEC, 2)
        self.report(told, 0, 1, -9.0, math.nan)
        assert self.report(told, 1, 1, 5.0, 5.0) == "continue"

    def test_reasons_name_places(self):
        told = self.told(self.SPEC, 2)
        assert self.report(told, 0, 1, 1.0, 1.0) == "pause"
        assert told.notes[0] == Reason("asha_promote", {"rung": 1, "place": 1, "places": 0, "competitors": 1})

    def test_pasha_grows_while_any_objective_ranks_otherwise(self):
        for second, limit in ((0, 1), (1, 2)):
            told = self.told(pasha(max_t=27, reduction_factor=2, epsilon=0), 4)
            for trial in range(4):
                self.report(told, trial, 1, trial, trial)
            for trial in (0, 1):
                assert told.promoted() == trial
                self.report(told, trial, 2, trial, (trial + second) % 2)
            assert told.state.promotions.limit == limit

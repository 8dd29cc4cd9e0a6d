"""Median stopping: its decisions and pauses; the same as Ray Tune's rule, and right where that one is not."""

import math
import random
import warnings
from types import SimpleNamespace

import pytest

from tunedsl.base.errors import ArgumentError
from tunedsl.base.objective import Objective, constrained_value
from tunedsl.schedulers import median_stopping
from tunedsl.schedulers.contract import UNLIMITED, Every, Reason, Report, Requirements, SchedulerContext, scheduler_of
from tunedsl.schedulers.median_stopping import TrialCurve

QUICK = median_stopping(time_attr="training_iteration", grace_period=1, min_samples_required=1)
RULE = scheduler_of(QUICK)


class Told:
    """The rule's state, told what trials report."""

    def __init__(self, spec=QUICK, mode="max"):
        self.spec, self.sign, self.note = spec, Objective("loss", mode).sign, None
        self.state = RULE.init(spec, SchedulerContext(0, 99, Objective("loss", mode)))

    def report(self, trial, iteration, value, **metrics):
        found = Report(trial, iteration, self.sign * value, float(iteration), {"loss": value, **metrics})
        self.state, decision, self.note = RULE.on_report(self.spec, self.state, found)
        return decision

    def end(self, trial, iteration, value):
        found = Report(trial, iteration, self.sign * value, float(iteration), {"loss": value})
        self.state = RULE.on_end(self.spec, self.state, found)

    def full(self):
        self.state = RULE.on_all_proposed(self.spec, self.state)

    def promoted(self):
        self.state, chosen = RULE.promote(self.spec, self.state)
        return None if chosen is None else chosen[0]


def test_a_trial_stops_whose_best_is_below_the_median_of_the_averages():
    told = Told()
    for iteration, value in ((1, 1.0), (2, 3.0)):
        told.report(0, iteration, value)
    assert told.report(1, 1, 1.5) == "continue"
    assert told.report(1, 2, 0.0) == "stop"
    assert told.note == Reason("median_stopping", {"time": 2, "value": 1.5, "median": 2.0, "competitors": 1})


def test_equal_is_not_worse_and_too_few_say_nothing():
    told = Told(median_stopping("training_iteration", 1, 2))
    assert [told.report(0, 1, 1.0), told.report(1, 1, 0.0), told.report(2, 1, 0.5)] == ["continue"] * 3
    assert told.note.facts["median"] == 0.5
    assert told.report(3, 1, 0.4) == "stop"


def test_nothing_stops_before_the_grace_period_nor_counts_in_averages():
    told = Told(median_stopping("training_iteration", 3, 1))
    assert [told.report(0, time, 1e9) for time in (1, 2)] == ["continue"] * 2
    told.report(0, 3, 1.0)
    assert [told.report(1, time, 0.0) for time in (1, 2, 3)] == ["continue", "continue", "stop"]
    assert told.note.facts["median"] == 1.0


def test_trials_that_become_feasible_are_compared_by_their_feasible_values():
    told, infeasible = Told(), constrained_value(0.0, 0.5)
    for trial, value in ((0, 4.0), (1, 5.0)):
        assert [told.report(trial, 1, infeasible), told.report(trial, 2, value)] == ["continue"] * 2
        told.report(trial, 3, infeasible)
    assert told.report(2, 1, infeasible) == "continue"
    assert told.report(2, 2, 1.0) == "stop"
    assert told.note.facts["median"] == 4.5
    assert [told.report(3, 3, 4.0), told.note.facts["median"]] == ["stop", 4.5]


def test_infeasible_trials_are_compared_by_their_violations():
    told = Told()
    told.report(0, 1, constrained_value(9.0, 1.0))
    assert told.report(1, 1, constrained_value(0.0, 2.0)) == "stop"
    assert told.report(2, 1, constrained_value(0.0, 0.5)) == "continue"
    assert told.report(3, 1, -1e9) == "continue"


def test_ended_trials_still_count():
    told = Told()
    told.end(0, 1, 5.0)
    assert told.report(1, 1, 1.0) == "stop"


def test_trials_pause_for_others_after_a_slice():
    told = Told(median_stopping("training_iteration", 0, 3, min_time_slice=2))
    assert [told.report(0, 1, 0.0), told.report(1, 1, 0.0), told.promoted()] == ["pause", "pause", None]
    told.full()
    assert told.promoted() == 0
    assert [told.report(0, time, 0.0) for time in (2, 3, 4)] == ["continue", "continue", "pause"]
    assert [told.promoted(), told.promoted(), told.promoted()] == [1, 0, None]
    assert told.report(0, 9, 0.0) == "continue"


def test_judged_trials_pause_and_go_on_at_last_to_their_end():
    told = Told(median_stopping("training_iteration", 1, 1, hard_stop=False))
    told.report(0, 1, 1.0)
    assert told.report(1, 1, 0.0) == "pause"
    assert told.promoted() is None
    told.full()
    assert [told.promoted(), told.promoted()] == [1, None]
    assert told.report(1, 2, -9.0) == "continue"
    assert told.report(2, 1, -1.0) == "continue"  # no other trial remains, so it would resume at once


def test_what_it_needs_and_reads():
    assert RULE.requirements(median_stopping()) == Requirements(objective=True, objectives=UNLIMITED)
    assert RULE.requirements(median_stopping(hard_stop=False)).pause
    assert RULE.requirements(median_stopping(min_time_slice=1)).checkpoints
    assert RULE.metrics_used(median_stopping()) == ("time_total_s",)
    assert RULE.metrics_used(QUICK) == ()
    assert RULE.decision_points(QUICK) == Every(1)


@pytest.mark.parametrize(
    "spec",
    [median_stopping(grace_period=-1), median_stopping(min_samples_required=0), median_stopping(min_time_slice=-1)],
)
def test_settings_without_a_meaning_are_faults(spec):
    assert [fault.code for fault in RULE.validate(spec)] == ["E078"]


def test_a_wrong_call_raises_where_it_is_written():
    with pytest.raises(ArgumentError, match=r"E003: median_stopping.hard_stop must be True or False.*, not 'no'"):
        median_stopping(hard_stop="no")


class Original:
    """Ray Tune's rule, with a controller that knows of one more trial to come."""

    def __init__(self, mode="max", waiting=True, **options):
        schedulers = pytest.importorskip("ray.tune.schedulers")
        self.rule = schedulers.MedianStoppingRule(metric="loss", mode=mode, **options)
        self.trials = {}
        live = [SimpleNamespace(status="PENDING")] if waiting else []
        self.controller = SimpleNamespace(get_live_trials=lambda: live)

    def report(self, trial, time, value, time_attr="training_iteration"):
        trial = self.trials.setdefault(trial, FakeTrial(str(trial)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.rule.on_trial_result(self.controller, trial, {time_attr: time, "loss": value}).lower()

    def end(self, trial, time, value, time_attr="training_iteration"):
        trial = self.trials.setdefault(trial, FakeTrial(str(trial)))
        self.rule.on_trial_complete(self.controller, trial, {time_attr: time, "loss": value})


class FakeTrial:
    def __init__(self, trial_id):
        self.trial_id = trial_id


@pytest.mark.slow
def test_decides_as_the_rule_of_ray_tune_on_a_thousand_histories():
    rng, decided = random.Random(0), {"continue": 0, "stop": 0, "pause": 0}
    for case in range(1000):
        steps, mode = rng.random() < 0.5, rng.choice(["min", "max"])
        options = {
            "time_attr": "training_iteration" if steps else "epochs",
            "grace_period": rng.choice([0, 1, 3]),
            "min_samples_required": rng.choice([1, 2, 3]),
            "min_time_slice": rng.choice([0, 2]),
            "hard_stop": rng.random() < 0.7,
        }
        told = Told(median_stopping(**options), mode)
        original = Original(mode, waiting=options["min_time_slice"] > 0, **options)
        # Multiples of 1/8 make all sums exact: what differs otherwise is the original's rounding, shown below.
        draw = rng.choice(
            [lambda: rng.randint(-20, 20) / 8, lambda: rng.choice([math.inf, -math.inf, rng.randint(0, 9) / 8])]
        )
        clock, reports = {}, {}
        for _ in range(rng.randint(10, 60)):
            trial = rng.randint(0, 7)
            if reports.get(trial, 0) < 0:
                continue
            reports[trial] = reports.get(trial, 0) + 1
            clock[trial] = reports[trial] if steps else clock.get(trial, 0) + rng.choice([0.5, 1, 1.25])
            value = draw()
            if rng.random() < 0.05 and not told.state.curves.get(trial, TrialCurve()).is_exempt:
                reports[trial] = -1
                original.end(trial, clock[trial], value, options["time_attr"])
                report = Report(trial, 99, told.sign * value, 0.0, {options["time_attr"]: clock[trial], "loss": value})
                report = Report(trial, clock[trial] if steps else 99, report.value, 0.0, report.metrics)
                told.state = RULE.on_end(told.spec, told.state, report)
                continue
            expected = original.report(trial, clock[trial], value, options["time_attr"])
            decision = told.report(trial, reports[trial], value, epochs=clock[trial])
            assert decision == expected, (case, options, trial, clock[trial])
            decided[decision] += 1
            if decision == "stop":
                reports[trial] = -1
    assert min(decided.values()) > 500, decided


class TestWhatTheOriginalDoesWrong:
    def test_a_first_nan_is_its_best_for_good(self):
        told = Told(median_stopping("training_iteration", 2, 1))
        original = Original(time_attr="training_iteration", grace_period=2, min_samples_required=1)
        for who in (told, original):
            who.report(0, 1, 1.0)
            who.report(0, 2, 1.0)
            who.report(1, 1, math.nan)
        assert (told.report(1, 2, 9.0), original.report(1, 2, 9.0)) == ("continue", "stop")

    def test_rounding_of_its_averages_stops_an_equal_trial(self):
        told, original = Told(), Original(time_attr="training_iteration", grace_period=1, min_samples_required=1)
        for who in (told, original):
            assert [who.report(0, time, 0.1) for time in (1, 2, 3)][-1] != "stop"
            who.report(1, 1, 0.1)
            who.report(1, 2, 0.1)
        assert (told.report(1, 3, 0.1), original.report(1, 3, 0.1)) == ("continue", "stop")

    def test_by_default_it_pauses_trials_that_may_have_no_checkpoint(self):
        told = Told(median_stopping("training_iteration", 1))
        original = Original(time_attr="training_iteration", grace_period=1)
        assert (told.report(0, 1, 0.0), original.report(0, 1, 0.0)) == ("continue", "pause")

    def test_it_averages_a_judged_trial_over_its_beginning_and_its_last_report(self):
        told = Told(median_stopping("epochs", 1, 1, hard_stop=False))
        original = Original(time_attr="epochs", grace_period=1, min_samples_required=1, hard_stop=False)
        told.report(0, 1, 1.0, epochs=1)
        original.report(0, 1, 1.0, "epochs")
        for time, value in ((1, 0.0), (2, 50.0), (3, 60.0)):
            told.report(1, time, value, epochs=time)
            original.report(1, time, value, "epochs")
        told.state = RULE.on_end(told.spec, told.state, Report(1, 4, 70.0, 0.0, {"epochs": 4, "loss": 70.0}))
        original.end(1, 4, 70.0, "epochs")
        assert original.rule._running_mean(original.trials[1], 4) == 35.0
        assert [each.mean for each in told.state.curves[1].averages] == [0.0]

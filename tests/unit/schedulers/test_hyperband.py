"""HyperBand: brackets, cuts and reasons; the same as Ray Tune's scheduler, and right where that one is not."""

import collections
import math
import random
from types import SimpleNamespace

import pytest

from tunedsl.base.errors import ArgumentError
from tunedsl.base.objective import Objective
from tunedsl.schedulers import hyperband
from tunedsl.schedulers.contract import At, Every, Reason, Report, SchedulerContext
from tunedsl.schedulers.hyperband import (
    bracket_plans,
    cull,
    decision_points,
    describe,
    init,
    last_iteration,
    on_add,
    on_all_proposed,
    on_end,
    on_remove,
    on_report,
    promote,
)
from tunedsl.schedulers.hyperband import validate as faults_of

SMALL = hyperband(max_t=9)
"""Brackets of 3 trials to 9; of 5 to 3, then 2 to 9; of 9 to 1, then 3 to 3, then 1 to 9."""


class Told:
    """Drives a scheduler's state with events of trials, and collects its decisions."""

    def __init__(self, spec, trials=0, full=False):
        self.spec, self.state, self.ended, self.notes = (
            spec,
            init(spec, SchedulerContext(0, 99, Objective("loss", "max"))),
            [],
            {},
        )
        for trial in range(trials):
            self.state = on_add(spec, self.state, trial, {})
        if full:
            self.full()

    def report(self, trial, iteration, value, **metrics):
        self.state, decision, self.notes[trial] = on_report(
            self.spec, self.state, Report(trial, iteration, value, 0.0, metrics)
        )
        self._culled()
        return decision

    def leave(self, trial):
        self.state = on_remove(self.spec, self.state, trial)
        self._culled()

    def full(self):
        self.state = on_all_proposed(self.spec, self.state)
        self._culled()

    def promoted(self):
        found = []
        while True:
            self.state, chosen = promote(self.spec, self.state)
            if chosen is None:
                return found
            found.append(chosen[0])
            self.notes[chosen[0]] = chosen[1]

    def _culled(self):
        self.state, culled = cull(self.spec, self.state)
        self.ended += [trial for trial, _ in culled]
        self.notes.update(culled)


def test_the_brackets_of_the_defaults():
    sizes = {shape.rungs[0]: shape.sizes for shape in bracket_plans(hyperband())}
    assert sizes == {81: (5,), 27: (8, 3), 9: (15, 5, 2), 3: (34, 12, 4, 2), 1: (81, 27, 9, 3, 1)}
    assert [shape.rungs[0] for shape in bracket_plans(hyperband(bohb=True))] == [1, 3, 9, 27, 81]


def test_trials_wait_for_each_other_and_the_best_go_on():
    told = Told(SMALL, 9)
    assert [told.report(trial, 3, value) for trial, value in ((3, 0.1), (4, 0.5), (5, 0.4), (6, 0.2))] == ["pause"] * 4
    assert told.promoted() == told.ended == []
    assert told.notes[6] == Reason("hyperband", {"bracket": 1, "rung": 3, "value": 0.2, "waits_for": 1})
    assert told.report(7, 3, 0.3) == "stop"
    assert told.promoted() == [4, 5]
    assert told.ended == [6, 3]
    assert told.notes[7] == Reason(
        "hyperband",
        {"value": 0.3, "place": 3, "bracket": 1, "rung": 3, "cut": 0.4, "kept": 2, "competitors": 5},
    )
    assert told.report(4, 9, 0.5) == "stop"
    assert told.notes[4] == Reason("hyperband", {"reached": 9, "max_t": 9})


def test_the_last_to_come_goes_on_without_a_pause_if_it_is_good():
    told = Told(SMALL, 8)
    for trial in (3, 4, 5, 6):
        told.report(trial, 3, 0.1 * trial)
    assert told.report(7, 3, 9.9) == "continue"
    assert told.promoted() == [6]
    assert told.ended == [5, 4, 3]


def test_ties_go_to_the_later_trial_and_nan_is_worst():
    told = Told(SMALL, 8)
    for trial, value in ((3, math.nan), (4, 1.0), (5, -math.inf), (6, 1.0)):
        told.report(trial, 3, value)
    assert told.report(7, 3, 1.0) == "continue"
    assert told.promoted() == [6]
    assert told.ended == [4, 5, 3]


def test_a_trial_that_leaves_is_waited_for_no_longer():
    told = Told(SMALL, 9)
    for trial in (3, 4, 5, 6):
        told.report(trial, 3, 0.1 * trial)
    told.leave(7)
    assert told.promoted() == [6, 5]
    assert told.report(6, 9, 1.0) == "stop"
    told.leave(5)
    assert told.ended == [4, 3]


def test_a_bracket_waits_for_new_trials_until_no_more_come():
    told = Told(SMALL, 5)
    assert [told.report(trial, 3, 0.1 * trial) for trial in (3, 4)] == ["pause"] * 2
    assert told.notes[3].facts["waits_for"] == 4
    assert told.promoted() == []
    told.full()
    assert told.promoted() == [4, 3]


def test_trials_end_at_max_t_or_run_on():
    assert last_iteration(hyperband()) == 81
    assert decision_points(hyperband()) == At((1, 3, 9, 27))
    run_on = hyperband(max_t=9, stop_last_trials=False)
    assert decision_points(run_on) == At((1, 3))
    assert last_iteration(run_on) is last_iteration(hyperband(time_attr="epochs")) is None
    assert decision_points(hyperband(time_attr="epochs")) == Every(1)
    told = Told(run_on, 4, full=True)
    assert [told.report(0, 9, 0.1), told.report(0, 99, 0.1), told.report(3, 3, 0.0)] == ["continue"] * 3


def test_a_bracket_whose_last_rung_is_below_max_t_ends_there():
    assert [shape.rungs for shape in bracket_plans(hyperband(max_t=16))] == [(16,), (5, 15), (1, 3, 9)]
    told = Told(hyperband(max_t=16), 4 + 6 + 12, full=True)
    for trial in range(10, 22):
        told.report(trial, 1, trial)
    for trial in told.promoted():
        told.report(trial, 3, trial)
    assert told.report(21, 9, 0.0) == "stop"


def test_describes_who_waits_for_what():
    assert describe(hyperband(max_t=4, reduction_factor=2)) == (
        "brackets of trials by rung: 3 to 4; 3 to 2, 2 to 4; 4 to 1, 2 to 2, 1 to 4; "
        "trials wait at a rung until all of their bracket are there, at the first until it is full, and end at the last"
    )


@pytest.mark.parametrize(
    ("spec", "codes"),
    [
        (hyperband(max_t=0), ["E043"]),
        (hyperband(reduction_factor=1), ["E041"]),
        (hyperband(max_t=-1, reduction_factor=math.nan), ["E041", "E043"]),
        (hyperband(max_t=1), []),
    ],
)
def test_settings_without_a_meaning_are_faults(spec, codes):
    assert [fault.code for fault in faults_of(spec)] == codes


def test_a_wrong_call_raises_where_it_is_written():
    with pytest.raises(ArgumentError, match=r"E003: hyperband.max_t must be a whole number.*, not 2.5"):
        hyperband(max_t=2.5)
    with pytest.raises(ArgumentError, match=r"E003: hyperband.bohb must be True or False.*, not 1"):
        hyperband(bohb=1)


class Original:
    """Ray Tune's scheduler, with a controller that does no more than it must."""

    def __init__(self, max_t, reduction_factor=3, stop_last_trials=True, bohb=False, time_attr="training_iteration"):
        schedulers = pytest.importorskip("ray.tune.schedulers")
        make = schedulers.HyperBandForBOHB if bohb else schedulers.HyperBandScheduler
        self.scheduler = make(time_attr, "loss", "max", max_t, reduction_factor, stop_last_trials)
        self.trials, self.stopped = {}, []
        quiet = SimpleNamespace(on_pause=lambda trial: None, on_unpause=lambda trial: None)
        self.search_alg = SimpleNamespace(searcher=quiet)

    def get_trials(self):
        return list(self.trials.values())

    def stop_trial(self, trial):
        if trial.status == "PAUSED":
            self.scheduler.on_trial_remove(self, trial)
        trial.status = "TERMINATED"
        self.stopped.append(trial.number)

    def add(self, number):
        # Ray's trials hash by identity and are members of sets, and so are these.
        trial = self.trials[number] = FakeTrial(number)
        self.scheduler.on_trial_add(self, trial)

    def report(self, number, time, value, time_attr="training_iteration"):
        trial = self.trials[number]
        assert trial.status == "RUNNING"
        decision = self.scheduler.on_trial_result(self, trial, {time_attr: time, "loss": value})
        trial.status = {"CONTINUE": "RUNNING", "PAUSE": "PAUSED", "STOP": "TERMINATED"}[decision]
        return decision.lower()

    def leave(self, number):
        trial = self.trials[number]
        trial.status = "ERROR"
        self.scheduler.on_trial_error(self, trial)

    def ready(self):
        brackets = {id(bracket): bracket for bracket, _ in self.scheduler._trial_info.values()}.values()
        return {t.number for b in brackets for t in b.trials_to_unpause if t.status == "PAUSED"}


class FakeTrial:
    def __init__(self, number):
        self.number, self.trial_id, self.status, self.is_saving = number, str(number), "RUNNING", False


def held(told):
    """The trials that are ready to continue."""
    return {trial for trial, _ in told.state.to_promote}


def side_by_side(rng, bohb):
    """Drives both through one random history, compares each decision, and returns what it had.

    Left out is what the original does wrong, shown below: cuts of brackets that are not full, trials that leave after
    the first cut with no other in progress, new trials in brackets that were cut or are done, and values that are NaN.
    """
    options = {
        "max_t": rng.choice([4, 9, 16, 27, 30, 81] if rng.random() < 0.3 else [4, 9, 10, 16]),
        "reduction_factor": rng.choice([2, 3, 4, 2.5]),
        "stop_last_trials": rng.random() < 0.7,
    }
    spec, original = hyperband(**options, bohb=bohb), Original(**options, bohb=bohb)
    told = Told(spec)
    band = bracket_plans(spec)
    sizes = [shape.sizes[0] for shape in band]
    if bohb:  # whole brackets only: the original cuts the last one when nothing else runs
        total = sum((sizes * 2)[: rng.randint(1, len(sizes) + 1)])
    else:
        total = rng.randint(1, sum(sizes) + 10)
    draw = rng.choice(
        [lambda: rng.gauss(0, 1), lambda: float(rng.randint(0, 3)), lambda: rng.choice([-1e999, rng.random()])]
    )
    clock, running, at_last, counts = {}, [], set(), collections.Counter()
    leaving = 0.0 if bohb else rng.choice([0.0, 0.05])

    def check():
        both = set(told.ended) | {t for t, d in decided.items() if d == "stop"}
        there = {t.number for t in original.get_trials() if t.status == "TERMINATED"}
        assert both - at_last == there - at_last, (options, both ^ there)
        assert held(told) == original.ready()

    def add():
        trial = len(clock)
        clock[trial] = 0
        running.append(trial)
        told.state = on_add(spec, told.state, trial, {})
        original.add(trial)
        if trial == total - 1:
            told.full()

    decided = {}
    while len(clock) < total or running or held(told):
        ready = sorted(held(told))
        if ready and rng.random() < 0.5:
            chosen = told.state.to_promote[0][0]
            told.state, _ = promote(spec, told.state)
            original.trials[chosen].status = "RUNNING"
            running.append(chosen)
            continue
        if len(clock) < total and (rng.random() < 0.3 or not running):
            add()
            continue
        if not running:
            continue
        trial = rng.choice(running)
        home = told.state.bracket_of[trial]
        bracket = told.state.brackets[home]
        open_ = home == told.state.bracket_count - 1 and not told.state.all_proposed
        others = bracket.running_count - (bracket.trials[trial] is None)
        safe = others or bracket.cut_count == len(band[bracket.plan_index].rungs) - 1
        if rng.random() < leaving and safe and not (open_ and (bracket.cut_count or not others)):
            counts["left"] += 1
            running.remove(trial)
            told.leave(trial)
            original.leave(trial)
            check()
            continue
        rungs = band[bracket.plan_index].rungs
        next_rung = next((rung for rung in rungs if rung > clock[trial]), clock[trial] + 1)
        time = min(next_rung, clock[trial] + rng.randint(1, 9))
        if bracket.cut_count == len(rungs) - 1 and not options["stop_last_trials"] and clock[trial] > rungs[-1]:
            if open_:
                add()
                continue
            running.remove(trial)
            told.leave(trial)
            original.leave(trial)
            continue
        vacant = not bracket.cut_count and len(bracket.trials) + bracket.completed_count < sizes[bracket.plan_index]
        at_end = bracket.cut_count == len(rungs) - 1
        if open_ and not others and time >= rungs[bracket.cut_count] and (vacant or at_end):
            add()
            continue
        clock[trial], found = time, draw()
        last = at_end and time >= rungs[-1] and options["stop_last_trials"]
        expected, decision = original.report(trial, time, found), told.report(trial, time, found)
        decided[trial] = decision
        counts["reports"] += 1
        counts["cuts"] += decision in ("stop", "continue") and time == rungs[0]
        if last:  # the original lets those at the end wait for each other, and stops all of them then
            at_last.add(trial)
            assert decision == "stop" and expected in ("stop", "pause")
        else:
            assert decision == expected, (options, trial, time)
        if decision != "continue":
            running.remove(trial)
        check()
    counts["ended"] += len(told.ended)
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("bohb", [False, True])
def test_decides_as_the_scheduler_of_ray_tune_on_five_hundred_histories(bohb):
    rng, counts = random.Random(bohb), collections.Counter()
    for _ in range(500):
        counts += side_by_side(rng, bohb)
    print(counts)
    assert counts["reports"] > 20_000 and counts["ended"] > 3_000
    assert bohb or counts["left"] > 300


def both(trials, max_t=9, **options):
    """This scheduler and Ray Tune's, with trials added."""
    told, original = Told(hyperband(max_t=max_t, **options), trials), Original(max_t, **options)
    for trial in range(trials):
        original.add(trial)
    return told, original


def idle(original):
    """Whether no trial of it runs or may continue."""
    statuses = {trial.status for trial in original.get_trials()}
    return "RUNNING" not in statuses and original.scheduler.choose_trial_to_run(original) is None


class TestWhatTheOriginalDoesWrong:
    def test_it_waits_for_ever_when_the_last_one_at_a_later_rung_fails(self):
        told, original = both(17)
        for trial in range(8):  # the earlier brackets are over
            original.trials[trial].status = "TERMINATED"
        for time, came in ((1, range(8, 17)), (3, (14, 15))):
            for trial in came:
                told.report(trial, time, trial)
                original.report(trial, time, trial)
            for trial in told.promoted():
                original.trials[trial].status = "RUNNING"
        told.leave(16)
        original.leave(16)
        assert idle(original) and [original.trials[t].status for t in (14, 15)] == ["PAUSED"] * 2
        assert told.promoted() == [15] and 14 in told.ended

    def test_it_takes_each_trial_of_a_bracket_to_the_end_where_they_come_one_by_one(self):
        told, original = both(4)
        assert (told.report(3, 3, -9.0), original.report(3, 3, -9.0)) == ("pause", "continue")

    def test_it_never_leaves_the_first_bracket_where_trials_end_by_themselves(self):
        told, original = both(1)
        for trial in range(20):
            report = Report(trial, 9, 0.0, 0.0, {})
            told.state = on_add(told.spec, on_end(told.spec, told.state, report), trial + 1, {})
            original.scheduler.on_trial_complete(original, original.trials[trial], {"training_iteration": 9, "loss": 0})
            original.add(trial + 1)
        assert len({id(bracket) for bracket, _ in original.scheduler._trial_info.values()}) == 1
        assert told.state.bracket_count == 5 and sorted(told.state.brackets) == [4]

    def test_it_puts_new_trials_into_brackets_that_were_cut(self):
        told, original = both(8)
        for trial in (3, 4, 5, 6, 7):
            told.report(trial, 3, trial)
            original.report(trial, 3, trial)
        told.leave(7)
        original.leave(7)
        told.state = on_add(told.spec, told.state, 8, {})
        original.add(8)
        assert original.report(8, 3, -9.0) == "continue"
        assert told.state.bracket_of[8] == 2

    def test_it_forgets_trials_that_passed_two_rungs_at_once(self):
        told, original = both(17, time_attr="epochs")
        for trial in range(8):
            original.trials[trial].status = "TERMINATED"
        for trial in range(8, 17):
            told.report(trial, 1, trial, epochs=4)
            original.report(trial, 4, trial, "epochs")
        assert idle(original) and sum(trial.status == "PAUSED" for trial in original.get_trials()) == 3
        assert sorted(told.ended) == list(range(8, 16)) and told.state.bracket_of.get(16) == 2

    def test_a_nan_may_push_out_its_best(self):
        told, original = both(8)
        for trial, value in ((3, 9.0), (4, math.nan), (5, 1.0), (6, 2.0), (7, 3.0)):
            told.report(trial, 3, value)
            original.report(trial, 3, value)
        assert original.trials[3].status == "TERMINATED" and original.trials[6].status == "PAUSED"
        assert told.ended == [6, 5, 4] and told.promoted() == [3]

    def test_it_loses_a_bracket_to_rounding(self):
        original = Original(729)
        assert original.scheduler._get_r0(6) == 0
        assert bracket_plans(hyperband(max_t=729))[6].rungs == (1, 3, 9, 27, 81, 243, 729)

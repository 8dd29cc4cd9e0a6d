"""PASHA decides as plain passes over all trials at its last rung do, whatever arrives, and from whichever state."""

import math
import random
from importlib import import_module
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from tests.pasha_reference import grow_if_unsettled
from tunedsl.base.objective import Objective, constrained_value
from tunedsl.base.row_log import RowLog
from tunedsl.schedulers import pasha
from tunedsl.schedulers.contract import Report, SchedulerContext, scheduler_of
from tunedsl.schedulers.promotion import rung_times
from tunedsl.schedulers.rung_comparison import RungComparison

PASHA = import_module("tunedsl.schedulers.pasha")
UNUSUAL = (math.nan, math.inf, -math.inf, 0.0, -0.0, constrained_value(0.2, 1.0), constrained_value(0.9, 3.0))


class Pair:
    """The states of PASHA and of the reference after the same events, which are compared after each."""

    def __init__(self, spec, objectives, states=None):
        self.spec, self.objectives, self.scheduler = spec, objectives, scheduler_of(spec)
        goals = tuple(Objective(f"m{at}", "max") for at in range(objectives))
        context = SchedulerContext(0, 99, goals[0], objectives=goals if objectives > 1 else ())
        self.states = states or (self.scheduler.init(spec, context),) * 2

    def fork(self):
        return Pair(self.spec, self.objectives, self.states)

    def call(self, hook, *arguments):
        """The result of a hook, after the same of both; a hook returns a state, or a tuple that begins with it."""
        function = getattr(self.scheduler, hook)
        found = function(self.spec, self.states[0], *arguments)
        with patch.object(PASHA, "_grow_if_unsettled", grow_if_unsettled):
            expected = function(self.spec, self.states[1], *arguments)
        if not isinstance(found, tuple):
            found, expected = (found,), (expected,)
        self.states = found[0], expected[0]
        assert found[1:] == expected[1:]
        self.check()
        return found[1:]

    def check(self):
        own, reference = self.states
        assert own.epsilons == reference.epsilons
        assert own.promotions == reference.promotions
        assert list(map(all_of, own.noise)) == list(map(all_of, reference.noise))


def all_of(rung):
    return [value for chunk in rung.chunks for value in chunk]


class Arrivals:
    """Random trials: better ones tend to stay better, so that rankings agree for a while and then do not."""

    def __init__(self, rng, objectives, time_attr):
        self.rng, self.objectives, self.time_attr, self.curves = rng, objectives, time_attr, {}
        self.noise, self.levels = rng.choice([0.0, 0.01, 0.1, 1.0]), rng.choice([0, 0, 3])
        self.without_curves = rng.choice([0, 0, 80])
        self.unusual, self.gaps = rng.choice([0.0, 0.0, 0.05]), rng.choice([0.0, 0.0, 0.1])

    def value(self, trial):
        if self.rng.random() < self.unusual:
            return self.rng.choice(UNUSUAL)
        value = (trial * 37 % 101) / 101 + self.rng.gauss(0, self.noise)
        return round(value * self.levels) / self.levels if self.levels else value

    def report(self, trial, time):
        known = self.curves.get(trial, ())
        steps = max(math.ceil(time) - len(known), 0)
        curve = known + tuple(tuple(self.value(trial) for _ in range(self.objectives)) for _ in range(steps))
        self.curves[trial] = curve
        if self.rng.random() < self.gaps:
            curve = self.rng.choice([(), curve[:-1], curve * 2])
        values = curve[-1] if curve else tuple(self.value(trial) for _ in range(self.objectives))
        metrics = {} if self.time_attr == "training_iteration" else {self.time_attr: time}
        many = values if self.objectives > 1 else ()
        self.without_curves -= 1
        return Report(trial, math.ceil(time), values[0], 0.0, metrics, many, () if self.without_curves >= 0 else curve)


def random_spec(rng):
    return pasha(
        max_t=rng.choice([9, 16, 27, 64]),
        reduction_factor=rng.choice([2, 3, 2.5]),
        epsilon=rng.choice([None, None, None, 0.0, 0.2, 1e9]),
        percentile=rng.choice([90, 50, 100]),
        noise=rng.choice(["curves", "curves", "rungs"]),
        time_attr=rng.choice(["training_iteration", "training_iteration", "epochs"]),
        final_trials=rng.choice([0, 3]),
    )


def play(seed, counts):
    """Random events of one run, with returns to an earlier state of it."""
    rng = random.Random(seed)
    spec, objectives = random_spec(rng), rng.choice([1, 1, 1, 2, 3])
    pair, arrivals, times = Pair(spec, objectives), Arrivals(rng, objectives, spec.time_attr), rung_times(spec)
    earlier, added, trials_return = [], 0, rng.random() < 0.2
    skips = rng.choice([0.02, 0.02, 0.3])
    for _ in range(rng.randint(30, 300)):
        choice = rng.random()
        if choice < 0.3 or not added:
            left = sorted(set(range(added)) - set(pair.states[0].promotions.rung_of)) if trials_return else []
            pair.call("on_add", rng.choice(left) if left else added, {})
            added += not left
        elif choice < 0.9:
            running = [trial for trial, (_, item) in pair.states[0].promotions.rung_of.items() if item is None]
            trial = rng.choice(running) if running and rng.random() < 0.9 else rng.randrange(added)
            rung = pair.states[0].promotions.rung_of.get(trial, (0, None))[0]
            target = min(rung + (rng.random() < skips), len(times))
            hook = "on_end" if rng.random() < 0.03 else "on_report"
            pair.call(hook, arrivals.report(trial, (*times, spec.max_t)[target]))
        elif choice < 0.92:
            pair.call("on_remove", rng.randrange(added))
        elif choice < 0.922:
            pair.call("on_all_proposed")
        elif choice < 0.98:
            earlier.append(pair.states)
        elif earlier and rng.random() < 0.3:
            pair = Pair(spec, objectives, rng.choice(earlier))
            counts["returns"] += 1
        while pair.call("promote")[0] is not None and rng.random() < 0.9:
            pass
        own = pair.states[0]
        counts["compared"] += own.comparison is not None
        counts["large"] += own.comparison is not None and own.comparison.histories.size > 9
        counts["noise"] += sum(one.size for one in own.noise)
    counts["grown"] += pair.states[0].promotions.limit > 1
    counts["curves"] += bool(pair.states[0].curves)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:overflow")
def test_decides_as_the_plain_passes():
    counts = dict.fromkeys(("compared", "large", "noise", "grown", "curves", "returns"), 0)
    for seed in range(200):
        play(seed, counts)
    assert min(counts.values()) > 50


def arrivals(pair, last_rung, *found):
    """Lets trials arrive at rungs in any order: a trial that leaves and is added again may reach any rung."""
    for state in pair.states:
        assert state.promotions.limit == 1
    pair.states = tuple(replace(state, promotions=replace(state.promotions, limit=last_rung)) for state in pair.states)
    for trial, time, value, *curve in found:
        pair.call("on_add", trial, {})
        pair.call("on_report", Report(trial, time, value, 0.0, {}, (), tuple((each,) for each in curve)))
        pair.call("on_remove", trial)
    return pair.states[0].promotions.limit


def test_a_trial_that_reaches_the_rung_before_later_is_compared_from_then_on():
    pair = Pair(pasha(max_t=27, reduction_factor=3, epsilon=0), 1)
    assert arrivals(pair, 2, (0, 9, 0.5), (0, 3, 0.1), (1, 3, 0.2), (1, 9, 0.4)) == 3


def test_trials_without_curves_are_no_noise_once_others_have_curves():
    pair = Pair(pasha(max_t=27, reduction_factor=3), 1)
    start = ((0, time, value) for time, value in ((1, 0.9), (3, 0.1), (9, 0.9)))
    arrivals(pair, 2, *start, (1, 9, 0.5, 0.5, 0.5, 0.5))
    assert pair.states[0].epsilons == (0.0,) and pair.states[0].promotions.limit == 2


def test_an_older_comparison_keeps_its_trials():
    first = RungComparison.empty(1, True, 1).with_trial((1.0,), (2.0,), ((1.0,), (2.0,)))
    one = first.with_trial((2.0,), (3.0,), ((2.0,), (3.0,)))
    other = first.with_trial((0.0,), (9.0,), ((0.0,), (9.0,)))
    assert [each.ranks_agree((0.0,)) for each in (first, one, other)] == [True, True, False]
    assert one.histories.rows.tolist() == [[1, 2], [2, 3]]
    assert other.histories.rows.tolist() == [[1, 2], [0, 9]]
    assert one == first.with_trial((2.0,), (3.0,), ((2.0,), (3.0,))) != other


def test_trials_with_shorter_histories_are_no_noise():
    known = RungComparison.empty(2, True, 1)
    for history in ([2.0, 0.0, 2.0], [2.0, 0.0], [2.0, 0.0, 3.0, 9.0]):
        known = known.with_trial(None, (history[-1],), [(value,) for value in history])
    assert known.noise([(1.0,)] * 3, 0) == [1.0, 2.0]
    assert known.noise([(1.0,)] * 4, 0) == [8.0]
    assert known.noise([(1.0,)] * 5, 0) == []


@pytest.mark.parametrize("order", ["C", "F"])
def test_versions_of_a_log_see_their_own_rows(order):
    log = RowLog.empty(1, order)
    for number in range(40):
        log = log.append([number])
    wider = log.widened(2).append([1.0, 2.0])
    forks = [log.append([value]) for value in (-1.0, -2.0)]
    assert [fork.rows[-1, 0] for fork in forks] == [-1.0, -2.0]
    assert log.rows[:, 0].tolist() == list(range(40)) == wider.rows[:-1, 0].tolist()
    assert wider.rows[-1].tolist() == [1.0, 2.0] and wider.width == 2 and math.isnan(wider.rows[0, 1])
    with pytest.raises(ValueError, match="read-only"):
        log.rows[0, 0] = 1.0

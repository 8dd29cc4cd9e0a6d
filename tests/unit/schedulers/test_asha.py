"""ASHA: milestones, cuts and reasons; and the same decisions as Ray Tune's scheduler."""

import math
import random
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from tunedsl.base.errors import ArgumentError
from tunedsl.base.objective import Objective
from tunedsl.schedulers import asha
from tunedsl.schedulers.asha import bracket_of, decision_points, init, last_iteration, milestones, on_end, on_report
from tunedsl.schedulers.asha import validate as faults_of
from tunedsl.schedulers.contract import At, Every, Reason, Report, SchedulerContext

SETTING = SchedulerContext(0, 100, Objective("loss", "min"))


def told(spec, reports, setting=SETTING):
    state, answers = init(spec, setting), []
    for trial, iteration, value in reports:
        state, decision, note = on_report(spec, state, Report(trial, iteration, value, 0.0, {}))
        answers.append((decision, note))
    return answers


def test_a_trial_below_the_cut_stops_and_the_note_says_why():
    answers = told(asha(max_t=9, reduction_factor=3), [(0, 1, 0.9), (1, 1, 0.8), (2, 1, 0.95)])
    assert [decision for decision, _ in answers] == ["continue", "stop", "continue"]
    assert answers[1][1] == Reason("asha", {"bracket": 0, "milestone": 1, "value": 0.8, "cut": 0.9, "competitors": 1})
    assert answers[0][1].facts["cut"] == "nan"


def test_an_equal_value_goes_on_and_nan_is_never_below():
    decisions = [d for d, _ in told(asha(), [(0, 1, 1.0), (1, 1, 1.0), (2, 1, math.nan), (3, 1, 0.5)])]
    assert decisions == ["continue", "continue", "continue", "stop"]


def test_trials_end_at_max_t_or_run_on():
    assert told(asha(max_t=4), [(0, 4, 1.0)])[0][0] == "stop"
    assert told(asha(max_t=4, stop_last_trials=False), [(0, 4, 1.0), (0, 5, -9.0)])[1] == ("continue", None)


def test_decision_points_are_the_milestones_below_max_t():
    assert decision_points(asha(max_t=81, reduction_factor=3)) == At((1, 3, 9, 27))
    assert decision_points(asha(max_t=81, reduction_factor=3, stop_last_trials=False)) == At((1, 3, 9, 27, 81))
    assert decision_points(asha(max_t=10, reduction_factor=2.5)) == At((1, 3, 7))
    assert decision_points(asha(time_attr="epochs")) == Every(1)
    assert last_iteration(asha(max_t=81)) == 81
    assert last_iteration(asha(max_t=81, stop_last_trials=False)) is None
    assert last_iteration(asha(time_attr="epochs")) is None


def test_brackets_depend_on_key_and_number_alone_in_the_softmax_shares():
    spec = asha(max_t=27, reduction_factor=3, brackets=3)
    assert milestones(spec) == ((27, 9, 3, 1), (27, 9, 3), (27, 9))
    counts = np.bincount([bracket_of(spec, 5, trial) for trial in range(3000)]) / 3000
    expected = np.exp([4, 3, 2]) / np.exp([4, 3, 2]).sum()
    assert counts == pytest.approx(expected, abs=0.03)
    assert bracket_of(spec, 5, 7) == bracket_of(spec, 5, 7)


def test_progress_may_be_another_metric():
    spec = asha(max_t=100, time_attr="epochs")
    state = init(spec, SETTING)
    _, decision, note = on_report(spec, state, Report(0, 1, 1.0, 0.0, {"epochs": 100}))
    assert (decision, note.facts) == ("stop", {"reached": 100, "max_t": 100})
    assert on_report(spec, state, Report(0, 1, 1.0, 0.0, {})) == (state, "continue", None)


@pytest.mark.parametrize(
    ("spec", "codes"),
    [
        (asha(max_t=1, grace_period=2), ["E040"]),
        (asha(reduction_factor=1), ["E041"]),
        (asha(grace_period=0, reduction_factor=math.nan), ["E041", "E042"]),
        (asha(max_t=math.inf), ["E043"]),
        (asha(brackets=0), ["E044"]),
        (asha(max_t=4, brackets=3), ["E044"]),
        (asha(max_t=81, reduction_factor=3, brackets=5), []),
    ],
)
def test_settings_without_a_meaning_are_faults(spec, codes):
    assert [fault.code for fault in faults_of(spec)] == codes


def test_a_wrong_call_raises_where_it_is_written():
    with pytest.raises(ArgumentError, match=r"(?s)E001: asha\(\) has no argument 'max_time'.*did you mean 'max_t'\?"):
        asha(max_time=1)
    with pytest.raises(ArgumentError, match=r"E003: asha.max_t must be a number.*, not '9'"):
        asha(max_t="9")


def result_sequence(rng):
    """Interleaved (trial, iteration, raw value, ended) of some trials; each trial's iterations rise, with gaps."""
    trials, gaps = rng.randint(1, 12), rng.random() < 0.3
    pool = {
        "distinct": lambda: rng.gauss(0, 1),
        "ties": lambda: float(rng.randint(0, 3)),
        "nans": lambda: rng.choice([math.nan, rng.gauss(0, 1)]),
        "infinite": lambda: rng.choice([math.inf, -math.inf, rng.gauss(0, 1)]),
    }[rng.choice(["distinct", "ties", "nans", "infinite"])]
    clocks, sequence = dict.fromkeys(range(trials), 0), []
    while clocks:
        trial = rng.choice(list(clocks))
        clocks[trial] += rng.randint(1, 4) if gaps else 1
        ended = clocks[trial] > 40 or rng.random() < 0.03
        sequence.append((trial, clocks[trial], pool(), ended))
        if ended:
            del clocks[trial]
    return sequence


@pytest.mark.slow
def test_decides_as_the_scheduler_of_ray_tune_on_a_thousand_result_sequences():
    schedulers = pytest.importorskip("ray.tune.schedulers")
    rng, decided, stopped = random.Random(0), 0, 0
    for case in range(1000):
        mode, brackets, last = rng.choice(["min", "max"]), rng.choice([1, 1, 2, 3]), rng.random() < 0.5
        options = {
            "max_t": rng.choice([9, 27, 30, 81]),
            "grace_period": rng.choice([1, 1, 2, 3]),
            "reduction_factor": rng.choice([2, 3, 4, 2.5]),
            "brackets": brackets,
            "stop_last_trials": last,
        }
        spec = asha(**options)
        original = schedulers.AsyncHyperBandScheduler(metric="loss", mode=mode, **options)
        sign = Objective("loss", mode).sign
        state, running, known = init(spec, SchedulerContext(case, 12, Objective("loss", mode))), set(), {}
        for number, iteration, value, ended in result_sequence(rng):
            if number not in known:
                known[number] = SimpleNamespace(trial_id=str(number))
                original.on_trial_add(None, known[number])
                # The original draws the bracket from NumPy's global state; here both take ours.
                original._trial_info[str(number)] = original._brackets[bracket_of(spec, case, number)]
                running.add(number)
            if number not in running:
                continue
            result, report = {"training_iteration": iteration, "loss": value}, None
            report = Report(number, iteration, sign * value, 0.0, result)
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                expected = original.on_trial_result(None, known[number], result).lower()
                if expected == "stop" or ended:
                    original.on_trial_complete(None, known[number], result)
            state, decision, _ = on_report(spec, state, report)
            assert decision == expected, (case, number, iteration)
            decided, stopped = decided + 1, stopped + (decision == "stop")
            if decision == "stop" or ended:
                state = on_end(spec, state, report)
                running.discard(number)
    assert decided > 50_000 and stopped > 3_000

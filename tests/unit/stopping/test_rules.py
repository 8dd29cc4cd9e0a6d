"""Rules in the worker: memory of each trial's own, Kleene logic, the original's plateau."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedsl.base.errors import ReportError
from tunedsl.stopping import calls, compile_condition, diverged, iteration, metric, plateau


def ends(condition, rows):
    rule = compile_condition(condition).new_evaluator()
    return [rule("t", {"training_iteration": number, **row}) for number, row in enumerate(rows, 1)]


def values(*found):
    return [{} if value is None else {"loss": value} for value in found]


def test_the_first_report_that_meets_it_ends_the_trial():
    assert ends((metric("loss") < 0.1) | iteration(3), values(1, 0.05)) == [False, True]
    assert ends((metric("loss") < 0.1) | iteration(3), values(1, 1, 1)) == [False, False, True]


def test_what_is_missing_or_nan_meets_nothing():
    assert ends(metric("loss") < 1, values(None, math.nan)) == [False, False]
    assert ends(~(metric("loss") < 1), values(None)) == [False]
    assert ends((metric("loss") < 1) | iteration(1), values(None)) == [True]


def test_divergence():
    assert ends(diverged("loss"), values(1, None, math.nan, -math.inf)) == [False, False, True, True]


def test_a_function_is_asked_at_every_report_with_the_trials_name():
    asked = []

    def ask(trial_id, result):
        asked.append((trial_id, result["loss"]))
        return result["loss"] > 1

    assert ends(calls(ask) & iteration(2), values(2, 1, 2)) == [False, False, True]
    assert asked == [("t", 2), ("t", 1), ("t", 2)]


@pytest.mark.parametrize("value", ["yes", None, 1, 0.0, np.ones(1), [True]], ids=repr)
def test_a_function_that_does_not_return_a_bool_is_a_bad_report(value):
    def ask(trial_id, result):
        return value

    with pytest.raises(ReportError) as raised:
        ends(calls(ask) & iteration(2), values(1))
    message, place, help_text = str(raised.value).splitlines()
    assert message.startswith("The value of the stop function ask must be True or False, not ")
    assert place == f"  at {__file__}:{ask.__code__.co_firstlineno}"
    assert help_text.startswith("  help: return ")


def test_a_bool_of_numpy_is_a_bool():
    assert ends(calls(lambda trial_id, result: np.float64(result["loss"]) < 1), values(2, 0)) == [False, True]


def test_trials_do_not_share_memory():
    rule = compile_condition(plateau("loss", num_results=2, grace_period=1))
    first, second = rule.new_evaluator(), rule.new_evaluator()
    assert [first("a", {"loss": 1}), second("b", {"loss": 1}), first("a", {"loss": 1})] == [False, False, True]


def test_values_that_cannot_be_compared_are_a_bad_report():
    with pytest.raises(ReportError, match=r"metric\('loss'\) < 1 cannot be evaluated: '<' not supported"):
        ends(metric("loss") < 1, [{"loss": "low"}])


def test_plateaus_see_reports_that_the_rest_of_the_condition_does_not_hang_on():
    condition = (metric("loss") < 0) & plateau("loss", num_results=2, grace_period=1)
    assert ends(condition, values(1, 1, -1, -1)) == [False, False, False, True]


LOSSES = st.lists(st.one_of(st.none(), st.floats(-2, 2), st.just(math.nan)), max_size=12)
LEAVES = st.sampled_from(
    [
        metric("loss") < 0.5,
        metric("loss") >= -0.5,
        diverged("loss"),
        plateau("loss", std=1, num_results=2),
        iteration(4),
    ]
)


@given(LEAVES, LEAVES, LOSSES)
def test_de_morgan(a, b, losses):
    rows = values(*losses)
    assert ends(~(a & b), rows) == ends(~a | ~b, rows)
    assert ends(~(a | b), rows) == ends(~a & ~b, rows)
    assert ends(~~a, rows) == ends(a, rows)


@pytest.mark.slow
def test_plateaus_are_those_of_ray_tune():
    stopper = pytest.importorskip("ray.tune.stopper").TrialPlateauStopper
    rng = random.Random(0)
    met = 0
    for _ in range(500):
        options = {
            "std": rng.choice([0.01, 0.3]),
            "num_results": rng.randint(2, 5),
            "grace_period": rng.randint(0, 6),
            **rng.choice([{}, {"metric_threshold": 0.1, "mode": "min"}, {"metric_threshold": 0.1, "mode": "max"}]),
        }
        original, ours = stopper("loss", **options), compile_condition(plateau("loss", **options)).new_evaluator()
        level = rng.random()
        for _ in range(15):
            loss = rng.choice([level, level, level + rng.gauss(0, 0.1), math.nan])
            expected = bool(original("t", {"loss": loss}))
            assert ours("t", {"loss": loss}) == expected
            met += expected
    assert met > 100

"""Stop conditions: notations, text form, and static analysis."""

import math

import pytest

from tunedsl.base import codec
from tunedsl.base.errors import ArgumentError
from tunedsl.stopping import (
    budget,
    calls,
    condition_metrics,
    describe_condition,
    diverged,
    elapsed,
    is_always_met,
    iteration,
    metric,
    plateau,
)


def overfits(trial_id, result):
    return result["train"] < result["test"] / 2


CONDITIONS = [
    metric("loss") < 0.1,
    ~(metric("loss") * 2 > metric("test")) & iteration(3),
    plateau("loss", std=1e-3, metric_threshold=0.5, mode="min") | diverged("loss"),
    elapsed(60) | calls(overfits),
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=repr)
def test_conditions_are_values(condition):
    names = {"metric": metric, "plateau": plateau, "diverged": diverged, "calls": calls, "overfits": overfits}
    back = eval(repr(condition), names)
    assert back == condition and hash(back) == hash(condition)
    assert codec.from_json(codec.to_json(condition)) == condition
    assert condition != metric("other")


def test_texts_for_people():
    assert [describe_condition(condition) for condition in CONDITIONS] == [
        "loss < 0.1",
        "not ((loss * 2) > test) and training_iteration >= 3",
        "loss is on a plateau (the last 4 within a standard deviation of 0.001, and at most 0.5) "
        "or loss is NaN or infinite",
        "time_total_s >= 60 or overfits(trial_id, result)",
    ]


def test_the_metrics_that_a_condition_reads():
    assert [condition_metrics(condition) for condition in CONDITIONS] == [
        ("loss",),
        ("loss", "test", "training_iteration"),
        ("loss",),
        ("time_total_s",),
    ]


@pytest.mark.parametrize(
    ("condition", "name", "always"),
    [
        (metric("loss") <= math.inf, "loss", True),
        ((metric("loss") < 1) | (metric("loss") >= 1), "loss", True),
        ((metric("loss") < 1) | (metric("loss") > 1), "loss", False),
        (metric("loss") > 0, "loss", False),
        ((metric("loss") ** 2 >= 0) | iteration(9), "loss", True),
        ((metric("loss") > -math.inf) & iteration(9), "loss", False),
        (iteration(9), "loss", False),
        (metric("loss") < "text", "loss", False),
        (plateau("loss"), "loss", False),
    ],
    ids=repr,
)
def test_what_any_value_meets(condition, name, always):
    assert is_always_met(condition, name) is always


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: metric(3), "E003: metric.name must be .*, not 3"),
        (lambda: iteration(0), "E003: iteration.n must be a whole number of at least 1.*, not 0"),
        (lambda: elapsed(-1), "E003: elapsed.seconds must be a finite number above 0.*, not -1"),
        (lambda: plateau("loss", sd=1), r"(?s)E001: plateau\(\) has no argument 'sd'.*did you mean 'std'\?"),
        (lambda: plateau("loss", mode="up"), "E003: plateau.mode must be 'min' or 'max'.*, not 'up'"),
        (lambda: plateau("loss", std=-1), "E003: plateau.std must be a finite number above 0.*, not -1"),
        (lambda: plateau("loss", num_results=1), "(?s)E003: plateau.num_results must be .*, not 1"),
        (lambda: plateau("loss", metric_threshold=math.nan), "E003: plateau.metric_threshold must be .*, not nan"),
        (lambda: calls(3), "E003: calls.function must be a function.*, not 3"),
        (lambda: budget(trials=0), "E003: budget.trials must be .*, not 0"),
        (lambda: budget(), r"E002: budget\(\) has no limit"),
        (lambda: bool(metric("a") < 1), "use & | ~ instead of and, or, not"),
    ],
)
def test_wrong_calls_raise_where_they_are_written(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        wrong()

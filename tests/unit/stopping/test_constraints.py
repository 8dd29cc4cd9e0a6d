"""Outcome constraints: by how much they are violated, and how results are ordered by it."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedsl import ArgumentError, metric, plateau, ref, space, uniform
from tunedsl.base.objective import constrained_value, total_violation, violation_in
from tunedsl.cli.overrides import apply_overrides
from tunedsl.plan import Plan, diff
from tunedsl.spaces.evaluation import evaluate
from tunedsl.stopping import best
from tunedsl.stopping.constraints import compile_constraints, split_constraint

NUMBERS = st.floats(-1e6, 1e6)
A, B = metric("a"), metric("b")
COMPARISONS = st.builds(
    lambda op, bound, scale: {
        "<": A * scale < bound,
        "<=": A * scale <= bound,
        ">": bound < A + B,
        ">=": bound <= B - A,
        "==": bound == A,
    }[op],
    st.sampled_from(["<", "<=", ">", ">=", "=="]),
    st.sampled_from([0.0, 1.5, -3.0]),
    st.sampled_from([1.0, -2.0, 0.5]),
)


@given(COMPARISONS, st.sampled_from([0.0, 1.5, 0.75, -3.0, -1.5, 6.0]) | NUMBERS, NUMBERS)
def test_a_violation_is_positive_exactly_where_the_comparison_does_not_hold(comparison, a, b):
    compiled = compile_constraints((comparison,))
    values = {"a": a, "b": b}
    (found,) = compiled.violations(tuple(values[name] for name in compiled.metrics))
    assert (found <= 0) is evaluate(comparison, lambda leaf: values[leaf.name])


def test_the_newest_value_of_each_metric_counts_and_one_that_was_never_reported_is_not_known():
    compiled = compile_constraints((A <= 1, B <= 1, metric("training_iteration") <= 5, metric("time_total_s") < 9))
    first = compiled.newest((), ("a", "loss"), (3, "nan"), 1, 2.0)
    assert first[0] == 3 and math.isnan(first[1]) and first[2:] == (1, 2)
    second = compiled.newest(first, ("b",), ("inf",), 2, 4.5)
    assert second == (3, math.inf, 2, 4.5)
    assert compiled.violations(second) == (2, math.inf, -3, -4.5)
    assert all(map(math.isnan, compiled.violations(())))


def test_negations_and_conjunctions_become_comparisons():
    assert list(split_constraint(~((A > 1) | ~(B < 2)))) == [A <= 1, B < 2]
    assert list(split_constraint((A < 1) & (B > 2) & (A > 0))) == [A < 1, B > 2, A > 0]


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        ((A < 1) | (B < 2), "is one of several"),
        (~((A < 1) & (B < 2)), "is one of several"),
        (A, "comparison of numbers"),
        (A != 3, "comparison of numbers"),
        ((B < 1) == A, "comparison of numbers"),
        (ref("x") < 1, "where"),
        (best() < 1, "until"),
        (plateau("a"), "stop"),
        (metric("time_this_iter_s") < 1, "time_total_s"),
        ("a < 1", "comparison"),
        (lambda config: True, "report what the function computes"),
    ],
)
def test_what_is_no_constraint_is_refused_with_what_to_write(condition, what):
    with pytest.raises(ArgumentError, match=f"(?s){what}.*|help: .*{what}") as caught:
        space(x=uniform(0, 1)).subject_to(condition)
    assert "\n  help: " in str(caught.value)


def test_a_clause_without_conditions_is_refused():
    with pytest.raises(ArgumentError, match="no condition"):
        space(x=uniform(0, 1)).subject_to()


@given(NUMBERS, NUMBERS, st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_infeasible_values_are_below_all_feasible_ones_and_in_the_order_of_their_violation(first, second, less, more):
    assert constrained_value(first, 0.0) == first and violation_in(first) is None
    assert constrained_value(first, less) < second
    if less < more * (1 - 1e-9):
        assert constrained_value(first, less) >= constrained_value(second, more) > constrained_value(first, math.inf)
    assert violation_in(constrained_value(first, less)) == pytest.approx(less, rel=1e-6)


def test_unknown_constraints_are_infinitely_violated():
    assert total_violation([-1.0, math.nan]) == math.inf == violation_in(constrained_value(0.0, math.inf))
    assert math.isnan(constrained_value(math.nan, 1.0))


def train(config):
    return {"loss": config["x"], "a": config["x"]}


def test_the_clause_is_part_of_the_plan_its_text_its_digest_and_its_differences():
    plain = space(x=uniform(0, 1)).trainable(train).minimize("loss").seed(0)
    constrained = plain.subject_to((A <= 0.5) & (B < 1)).subject_to(A <= 0.5)
    plan = constrained.compile("inline")
    assert plan.constraints == (A <= 0.5, B < 1) and Plan.from_json(plan.to_json()) == plan
    assert ".subject_to(metric('a') <= 0.5, metric('b') < 1)" in plan.explain()
    assert "subject to  a <= 0.5\n              b < 1" in plan.explain()
    assert "constraints" not in json.loads(plain.compile("inline").to_json())["$value"][1]
    assert [change.path for change in diff(plain.compile("inline"), plan).changes] == ["constraints"]
    assert plain.subject_to(A <= 0.5) | plain.subject_to(B < 1) == constrained
    text = ["subject_to=(metric('a') <= 0.5) & (metric('b') < 1)"]
    assert apply_overrides(plain.subject_to(A > 7), text).clauses == constrained.clauses

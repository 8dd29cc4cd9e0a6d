"""Expressions: how they are built, compared, shown and evaluated."""

import math
import operator

import pytest

from tunedsl.base.errors import ArgumentError
from tunedsl.spaces import Space, choice, grid, ref, uniform
from tunedsl.spaces.evaluation import NULL, compile_expr, evaluate
from tunedsl.spaces.expressions import (
    And,
    Binary,
    Compare,
    Constant,
    Or,
    Ref,
    is_same_expr,
    leaves,
    map_leaves,
    operands,
)

a, b = ref("a"), ref("b")


def at(**values):
    return lambda leaf: values.get(leaf.path)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge"])
def test_operators_mean_what_they_mean_for_numbers(name):
    function = getattr(operator, name)
    assert evaluate(function(a, b), at(a=7, b=3)) == function(7, 3)
    assert evaluate(function(a, 3), at(a=7)) == function(7, 3)
    assert evaluate(function(7, b), at(b=3)) == function(7, 3)


def test_unary_operators():
    assert evaluate(-a, at(a=2)) == -2
    assert evaluate(abs(a), at(a=-2)) == 2
    assert evaluate(~(a > 1), at(a=2)) is False


@pytest.mark.parametrize(
    ("left", "right", "both", "either"),
    [
        (True, None, None, True),
        (False, None, False, None),
        (None, True, None, True),
        (None, False, False, None),
        (None, None, None, None),
        (True, False, False, True),
    ],
)
def test_kleene_tables(left, right, both, either):
    lookup = at(a=left, b=right)
    assert evaluate(a & b, lookup) is both
    assert evaluate(a | b, lookup) is either


def test_what_is_missing_stays_missing():
    for expr in (a + 1, 1 - a, -a, abs(a), a < 1, a == 1, a != 1, ~(a > 1)):
        assert evaluate(expr, at()) is None


def test_nan_compares_as_ieee_754_says():
    lookup = at(a=math.nan)
    assert [evaluate(expr, lookup) for expr in (a < 1, a >= 1, a == a, a != a)] == [False, False, False, True]


@pytest.mark.parametrize("expr", [a / 0, a % 0, (a * -1) ** 0.5, (a * 1e300) ** 9])
def test_undefined_arithmetic_is_nan(expr):
    assert math.isnan(evaluate(expr, at(a=8.0)))


def test_a_value_that_is_none_is_not_missing():
    assert evaluate(a == None, at(a=NULL)) is True  # noqa: E711
    assert evaluate(a == None, at(a=1)) is False  # noqa: E711
    assert evaluate(a == None, at()) is None  # noqa: E711
    assert not NULL


def test_operands_that_do_not_go_together_raise():
    with pytest.raises(TypeError):
        evaluate(a + "x", at(a=1))


def test_expressions_compare_and_hash_by_structure():
    assert is_same_expr(a + 1, ref("a") + 1)
    assert not is_same_expr(a + 1, a + 1.0)
    assert bool(a == ref("a"))
    assert bool(a != b)
    assert not bool(a != ref("a"))
    assert len({a + b, ref("a") + ref("b"), b + a}) == 2
    assert (a < b, 1) == (ref("a") < ref("b"), 1)
    assert (a < b) in [a > b, a < b]


@pytest.mark.parametrize(
    "ask", [lambda: bool(a), lambda: 0 < a < 1, lambda: (a < 1) and b, lambda: not a, lambda: min(a, b)]
)
def test_truth_values_are_refused_with_what_to_write_instead(ask):
    with pytest.raises(ArgumentError, match=r"use & \| ~ instead of and, or, not"):
        ask()


@pytest.mark.parametrize(
    ("expr", "shown"),
    [
        ((a + 1) * 2, "(ref('a') + 1) * 2"),
        (-(a**2), "-(ref('a') ** 2)"),
        ((-a) ** 2, "(-ref('a')) ** 2"),
        ((-1) ** a, "(-1) ** ref('a')"),
        (abs(a) + 1, "abs(ref('a')) + 1"),
        (~(a < 1) & (b == "x"), "(~(ref('a') < 1)) & (ref('b') == 'x')"),
        (a == float("inf"), "ref('a') == float('inf')"),
    ],
)
def test_repr_evaluates_back(expr, shown):
    assert repr(expr) == shown
    assert is_same_expr(eval(shown, {"ref": ref}), expr)


def test_nodes_have_clear_fields():
    assert isinstance(a < 1, Compare)
    assert (a < 1).op == "<"
    assert isinstance(a & b, And)
    assert isinstance(a | b, Or)
    assert isinstance(2 * a, Binary)
    assert isinstance((2 * a).left, Constant)


def test_walking():
    expr = (a + 1 < b) & ~(a == "x")
    assert [leaf.path for leaf in leaves(expr)] == ["a", "b", "a"]
    assert operands(a) == ()
    assert is_same_expr(map_leaves(lambda leaf: Ref(leaf.path.upper()), a + 2 * b), ref("A") + 2 * ref("B"))


def test_closures_give_what_evaluate_gives():
    test = compile_expr((a > 1) | (b > 1), lambda leaf: lambda row: row.get(leaf.path))
    assert [test({"a": 2}), test({"a": 0}), test({"a": 0, "b": 0})] == [True, None, False]


@pytest.mark.parametrize(
    "ask",
    [
        lambda a, b: a < 1 & b > 2,
        lambda a, b: a < 1 | b,
        lambda a, b: (a < 1) & 3,
        lambda a, b: 0.5 | (b > 2),
    ],
)
def test_a_number_next_to_and_or_or_needs_parentheses(ask):
    with pytest.raises(ArgumentError, match=r"put each comparison in parentheses: \(a < 1\)"):
        ask(ref("a"), ref("b"))


def test_when():
    node = uniform(0, 1).when(a > 1).when(b == "x")
    assert repr(node) == "uniform(0.0, 1.0).when(ref('a') > 1).when(ref('b') == 'x')"
    assert repr((a * 2).when(b == 1)) == "(ref('a') * 2).when(ref('b') == 1)"
    with pytest.raises(ArgumentError, match=r"when must be a condition, such as ref\("):
        uniform(0, 1).when(True)
    with pytest.raises(ArgumentError, match=r"E001: when\(\) has no argument 'cond'"):
        uniform(0, 1).when(cond=a > 1)


@pytest.mark.parametrize("inside", [uniform(0, 1), a, [a], {"k": (a,)}, Space.of({})])
def test_domains_and_expressions_are_no_constants(inside):
    with pytest.raises(ArgumentError, match="is a constant, but contains"):
        choice([1, inside])
    with pytest.raises(ArgumentError, match=r"E003: grid\.values\[0\] is a constant, but contains"):
        grid([inside])


def test_live_objects_are_no_constants():
    with pytest.raises(ArgumentError, match=r"(?s)is not a constant.*write a number, text, list or dict"):
        _ = a == object()
    with pytest.raises(
        ArgumentError, match=r"(?s)E003: choice\.options\[0\] is not a constant: .*help: .*can be imported"
    ):
        choice([lambda: 1])
    assert repr(choice([math.sqrt, int])) == "choice([sqrt, int])"


def test_a_ref_is_named_by_text():
    for wrong in (1, "", None):
        with pytest.raises(ArgumentError, match=r"E003: ref\.path"):
            ref(wrong)

"""Domains: their constructors, their distributions and their arithmetic on the unit interval."""

import functools
import math
from collections import Counter, deque

import numpy as np
import pytest

from tunedsl.base.errors import ArgumentError, SpaceError
from tunedsl.spaces import (
    Space,
    choice,
    grid,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)
from tunedsl.spaces.unit_interval import contains, from_unit, support, to_unit

EVEN = (np.arange(10_000) + 0.5) / 10_000


def shares(domain):
    """The share of each value, over evenly spread positions."""
    return {item: count / len(EVEN) for item, count in sorted(Counter(from_unit(domain, EVEN)).items())}


def test_arguments_are_checked_where_they_are_written():
    with pytest.raises(ArgumentError, match=r"(?s)E001: uniform\(\) has no argument 'hihg'.* did you mean 'high'\?"):
        uniform(0, hihg=1)
    with pytest.raises(ArgumentError, match=r"E002: uniform.* is missing a required argument: 'high'"):
        uniform(0)
    with pytest.raises(ArgumentError, match=r"E003: loguniform\.low must be a number.*, not '1e-4'"):
        loguniform("1e-4", 1)
    with pytest.raises(ArgumentError, match=r"E003: randint\.high must be a whole number.*, not 1.5"):
        randint(0, 1.5)
    with pytest.raises(ArgumentError, match=r"E003: uniform\.high is beyond the range of floats"):
        uniform(0, 10**400)
    with pytest.raises(ArgumentError, match=r"E003: sample_from\.f must be a function.*, not 3"):
        sample_from(3)
    with pytest.raises(
        ArgumentError, match=r"(?s)E003: sample_from\.f has no name.*help: write the function by def or lambda"
    ):
        sample_from(functools.partial(min, 1))


@pytest.mark.parametrize("wrong", ["abc", 3, {1, 2}, None, iter(int, 1), (n for n in [1]), np.array(1)])
def test_options_are_lists_of_constants(wrong):
    with pytest.raises(ArgumentError, match=r"(?s)E003: choice\.options must be a list of constants.*, not .*"):
        choice(wrong)
    with pytest.raises(ArgumentError, match=r"(?s)E003: grid\.values must be a list of constants.*, not .*"):
        grid(wrong)


def test_what_has_a_length_and_an_order_lists_constants():
    assert grid(range(3)) == grid(np.arange(3)) == grid((0, 1, 2)) == grid([0, 1, 2])
    assert choice(deque("ab")) == choice(["a", "b"])


def test_a_branch_is_made_of_spaces():
    with pytest.raises(ArgumentError, match=r"E003: choice\.options\['a'\] must be a space.*, not 1"):
        choice({"a": 1})
    assert choice({"a": {"x": 1}}) == choice({"a": Space.of({"x": 1})})


def test_bounds_are_normalised_so_that_equal_domains_are_the_same_data():
    assert repr(uniform(0, 1)) == "uniform(0.0, 1.0)"
    assert uniform(np.float32(0), 1) == uniform(0.0, 1.0)
    assert repr(randint(0.0, np.int64(5))) == "randint(0, 5)"


def test_equal_mass_for_each_point():
    assert shares(quniform(0, 1, 0.25)) == {0.0: 0.2, 0.25: 0.2, 0.5: 0.2, 0.75: 0.2, 1.0: 0.2}
    assert shares(qrandint(3, 16, 4)) == {4: 0.25, 8: 0.25, 12: 0.25, 16: 0.25}
    assert shares(randint(-1, 1)) == {-1: 0.5, 0: 0.5}
    assert shares(choice(["x", "y"])) == {"x": 0.5, "y": 0.5}
    assert shares(choice({"x": {}, "y": {}})) == {"x": 0.5, "y": 0.5}


def test_log_domains_give_equal_mass_to_equal_ratios():
    values = np.array(from_unit(loguniform(1e-4, 1), EVEN))
    assert [np.mean(values < bound) for bound in (1e-3, 1e-2, 1e-1)] == pytest.approx([0.25, 0.5, 0.75], abs=1e-3)
    found = shares(lograndint(1, 8))
    assert list(found) == [1, 2, 3, 4, 5, 6, 7]
    assert [found[1], found[2] + found[3]] == pytest.approx([1 / 3, 1 / 3], abs=1e-3)
    assert set(shares(qlograndint(1, 8, 2))) == {2, 4, 6, 8}
    assert set(shares(qloguniform(0.1, 0.5, 0.1))) == {0.1, 0.2, 0.3, 0.4, 0.5}


def test_normal_domains():
    values = np.array(from_unit(randn(10, 2), EVEN))
    assert values.mean() == pytest.approx(10, abs=1e-3)
    assert values.std() == pytest.approx(2, rel=1e-2)
    found = shares(qrandn(0, 1, 0.5))
    assert found[0.0] == pytest.approx(math.erf(0.25 / math.sqrt(2)), abs=1e-3)
    assert set(found) >= {-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5}


def test_quantised_values_are_the_floats_that_people_write():
    assert from_unit(quniform(0, 1, 0.1), EVEN)[3500] == 0.3
    assert {repr(item) for item in shares(quniform(-0.3, 0.3, 0.1))} == {
        "-0.3", "-0.2", "-0.1", "0.0", "0.1", "0.2", "0.3",
    }  # fmt: skip
    assert set(shares(quniform(0.05, 0.32, 0.1))) == {0.1, 0.2, 0.3}
    huge = quniform(0, 1e9, 1e-9 * 3)
    assert all(contains(huge, item) for item in from_unit(huge, EVEN[:20]))


def test_the_ends_of_the_unit_interval_are_values():
    for domain in (uniform(0, 1), quniform(0, 1, 0.1), randint(0, 3), lograndint(1, 9), choice([1]), loguniform(1, 2)):
        low, high = from_unit(domain, np.array([0.0, 1.0]))
        assert contains(domain, low)
        assert contains(domain, high)
    assert all(map(math.isfinite, from_unit(randn(), np.array([0.0, 1.0]))))


def test_positions_of_discrete_values_are_in_the_middle():
    assert to_unit(randint(0, 4), [0, 3]).tolist() == [0.125, 0.875]
    assert to_unit(choice(["a", "b"]), ["b"]).tolist() == [0.75]
    assert to_unit(choice([[1], [2]]), [[2]]).tolist() == [0.75]
    assert to_unit(uniform(1, 1), [1.0]).tolist() == [0.5]


def test_a_value_of_another_domain_has_no_position():
    with pytest.raises(SpaceError, match=r"0.35 is not a value of quniform\(0.0, 1.0, 0.1\)"):
        to_unit(quniform(0, 1, 0.1), [0.35])


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (uniform(0, 1), [0, 0.5, 1.0], [True, -0.1, math.nan, math.inf, "0", None]),
        (randint(0, 3), [0, 2], [3, 1.0, True, 0.5]),
        (qrandint(0, 10, 5), [0, 5, 10], [4, 11]),
        (choice([1, "a", None]), [1, "a", None], [1.0, "b", True, object()]),
        (choice({"a": {}}), ["a"], ["b"]),
        (randn(), [0, -5.0], [math.inf]),
    ],
)
def test_contains(domain, inside, outside):
    assert [item for item in inside if not contains(domain, item)] == []
    assert [item for item in outside if contains(domain, item)] == []


def test_support():
    assert support(randint(0, 5)) == (0, 4)
    assert support(quniform(0.05, 0.32, 0.1)) == (0.1, 0.3)
    assert support(randn()) == (-math.inf, math.inf)


def test_mutable_options_are_new_for_each_configuration():
    first, second = from_unit(choice([[1, 2]]), np.array([0.1, 0.2]))
    assert first == second
    assert first is not second

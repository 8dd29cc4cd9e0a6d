"""Spaces in the form of each library, without losses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import domains
from tunedsl.searchers.adapters.conditions import condition_forms
from tunedsl.searchers.adapters.dimensions import dimension, dimensions, fill_missing
from tunedsl.spaces import Space, choice, loguniform, qlograndint, quniform, randint, randn, ref, uniform
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.unit_interval import from_unit


@given(domains, st.floats(0, 1), st.booleans(), st.booleans(), st.booleans())
def test_every_value_has_a_raw_value_that_reads_back(domain, u, log, integer, unit):
    (leaf,) = resolve_space(Space.of({"x": domain})).cube_params
    dim = dimension(leaf, log, integer, unit)
    value = from_unit(domain, np.array([u]))[0]
    raw = dim.to_raw(value)
    assert dim.low <= raw <= dim.high
    read, settled = dim.read(raw)
    if isinstance(value, float) and dim.unit and not domain.quantised:
        assert read == pytest.approx(value, rel=1e-6, abs=1e-6 * (1 + abs(value)))
    else:
        assert read == value
        assert dim.read(settled)[0] == value


@given(domains, st.floats(0, 1))
def test_a_raw_value_of_any_type_within_the_bounds_is_a_value(domain, u):
    (leaf,) = resolve_space(Space.of({"x": domain})).cube_params
    dim = dimension(leaf)
    value, settled = dim.read(np.float64(dim.low + u * (dim.high - dim.low)))
    assert dim.read(settled)[0] == value
    assert type(settled) in (int, float)


def test_ranges_go_to_the_library_as_written():
    space = {"x": uniform(-1, 1), "lr": loguniform(1e-4, 0.1), "n": randint(1, 10), "q": quniform(0, 1, 0.1)}
    space |= {"l": qlograndint(8, 512, 8), "z": randn(0, 1), "c": choice(["a", "b", "c"]), "one": choice([7])}
    found = {d.name: (d.kind, d.low, d.high, d.log, d.unit) for d in dimensions(resolve_space(Space.of(space)))}
    assert found == {
        "x": ("float", -1.0, 1.0, False, False),
        "lr": ("float", 1e-4, 0.1, True, False),
        "n": ("int", 1, 9, False, False),
        "q": ("int", 0, 10, False, False),
        "l": ("int", 1, 64, True, False),
        "z": ("float", 0.0, 1.0, False, True),
        "c": ("choice", 0, 2, False, False),
    }


def test_what_does_not_exist_stands_at_its_middle():
    dims = dimensions(resolve_space(Space.of({"x": uniform(0, 4), "n": randint(0, 9)})))
    assert fill_missing(dims, [None, 3]) == [2.0, 3]


def test_conditions_have_forms_where_libraries_can_have_them():
    pick = ref("pick")
    space = {
        "pick": choice(["a", "b", None]),
        "x": uniform(0, 1),
        "of_few": uniform(0, 1).when((pick == "a") | (pick == "b")),
        "negated": uniform(0, 1).when(~(pick == "a")),
        "below": uniform(0, 1).when((ref("x") < 0.5) & (pick == "a")),
        "beyond": uniform(0, 1).when(ref("x") * 2 < ref("below")),
    }
    dims = dimensions(resolve_space(Space.of(space)))
    found = dict(zip([dim.name for dim in dims], condition_forms(dims), strict=True))
    assert found == {
        "pick": None,
        "x": None,
        "of_few": ["or", ["in", 0, [0]], ["in", 0, [1]]],
        "negated": ["in", 0, [1, 2]],
        "below": ["and", ["less", 1, 0.5], ["in", 0, [0]]],
        "beyond": None,
    }

"""Laws of spaces: what holds for any of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import strategies
from tunedsl.base import codec, keys
from tunedsl.spaces import Space, from_cube, randint, resolve_space, sample, to_cube, uniform
from tunedsl.spaces.check import diagnose_space
from tunedsl.spaces.domains import Branch, Choice, Domain
from tunedsl.spaces.evaluation import evaluate
from tunedsl.spaces.expressions import Expr
from tunedsl.spaces.interval_analysis import is_satisfiable
from tunedsl.spaces.unit_interval import contains, from_unit, is_discrete, to_unit

pytestmark = pytest.mark.slow

positions = st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=5)


def evaluated_back(item: Any) -> Any:
    return eval(repr(item), strategies.NAMES)


def present(config: Any, path: tuple[str, ...]) -> Iterator[Any]:
    for name in path:
        if name not in config:
            return
        config = config[name]
    yield config


def close(left: Any, right: Any) -> bool:
    """Equal, but floats to nine digits."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(close(left[name], right[name]) for name in left)
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    return bool(type(left) is type(right) and left == right)


@given(strategies.numeric, positions)
def test_values_are_inside_the_bounds_and_of_the_right_type(domain, at):
    for item in from_unit(domain, np.array(at)):
        assert type(item) is (int if domain.integer else float)
        assert contains(domain, item)
        if hasattr(domain, "low"):
            assert domain.low <= item <= domain.high


@given(strategies.numeric.filter(lambda domain: domain.quantised), positions)
def test_quantised_values_are_the_floats_nearest_to_multiples(domain, at):
    q = Decimal(str(domain.q))
    for item in from_unit(domain, np.array(at)):
        assert float(q * round(Decimal(item) / q)) == item


@given(strategies.domains, positions)
def test_a_value_leads_to_a_position_that_leads_back(domain, at):
    found = from_unit(domain, np.array(at))
    again = from_unit(domain, to_unit(domain, found))
    exact = isinstance(domain, Choice) or is_discrete(domain)
    assert again == found if exact else all(map(close, found, again))


@given(strategies.numeric, positions)
def test_larger_positions_give_no_smaller_values(domain, at):
    found = from_unit(domain, np.sort(np.array(at)))
    assert found == sorted(found)


@given(strategies.spaces(), strategies.seeds)
def test_each_parameter_of_a_configuration_is_its_domains(space, seed):
    layout = resolve_space(space)
    for config in sample(layout, seed, range(4)):
        for leaf in layout.params:
            for item in present(config, leaf.path):
                if isinstance(leaf.node, Branch):
                    (item,) = item
                assert not isinstance(leaf.node, Domain) or contains(leaf.node, item)


@given(strategies.spaces(), strategies.seeds, st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_a_trials_configuration_does_not_depend_on_who_else_is_drawn(space, seed, trials):
    layout = resolve_space(space)
    assert sample(layout, seed, trials) == [sample(layout, seed, [trial])[0] for trial in trials]


@given(strategies.spaces(constraints=False), strategies.seeds)
def test_another_parameter_changes_no_other(space, seed):
    more = Space((("unrelated", uniform(0, 1)), *space.params, ("after", randint(0, 9))))
    for config in sample(resolve_space(more), seed, range(3)):
        del config["unrelated"], config["after"]
        assert config in sample(resolve_space(space), seed, range(3))


@given(strategies.spaces(constraints=False), strategies.seeds)
def test_configurations_go_to_the_cube_and_back(space, seed):
    layout = resolve_space(space)
    for trial, config in enumerate(sample(layout, seed, range(3))):
        point = to_cube(layout, config)
        assert point.shape == (layout.dims,)
        assert close(from_cube(layout, point, trial, seed), config)


@given(strategies.spaces())
def test_spaces_of_the_strategies_have_no_faults(space):
    assert diagnose_space(space) == []


@given(strategies.spaces())
def test_spaces_are_values(space):
    back = evaluated_back(space)
    assert back == space
    assert hash(back) == hash(space)
    assert codec.digest(back) == codec.digest(space)


@given(strategies.spaces(), strategies.seeds)
def test_spaces_are_data(space, seed):
    back = codec.from_json(codec.to_json(space))
    assert back == space
    assert sample(resolve_space(back), seed, [3]) == sample(resolve_space(space), seed, [3])


@given(strategies.spaces(), strategies.spaces())
def test_spaces_are_equal_exactly_when_their_data_are(left, right):
    assert (left == right) is (codec.to_json(left) == codec.to_json(right))
    assert (left != right) is not (left == right)


assignments = st.dictionaries(strategies.leaf_names, st.integers(-1, 3) | st.just(math.nan))


def value_of(expr: Expr, case: dict[str, Any]) -> Any:
    return evaluate(expr, lambda leaf: case.get(leaf.path))


@given(strategies.conditions(), strategies.conditions(), assignments)
def test_de_morgan(a, b, case):
    assert value_of(~(a & b), case) is value_of(~a | ~b, case)
    assert value_of(~(a | b), case) is value_of(~a & ~b, case)
    assert value_of(~~a, case) is value_of(a, case)


@given(strategies.conditions(), assignments, assignments)
def test_what_is_settled_with_something_missing_stays_settled(condition, known, more):
    before = value_of(condition, known)
    assert before is None or value_of(condition, {**more, **known}) is before


@given(strategies.conditions())
def test_conditions_are_values(condition):
    back = evaluated_back(condition)
    assert bool(back == condition)
    assert not bool(back != condition)
    assert hash(back) == hash(condition)
    assert bool(codec.from_json(codec.to_json(condition)) == condition)


@given(strategies.conditions(), st.tuples(*[strategies.bounded() | strategies.whole()] * 3), strategies.seeds)
def test_a_condition_that_holds_somewhere_is_never_called_impossible(condition, three, seed):
    nodes = dict(zip("pqr", three, strict=True))
    columns = [from_unit(node, keys.uniforms(keys.key(seed, name), range(20))) for name, node in nodes.items()]
    holds = any(value_of(condition, dict(zip("pqr", row, strict=True))) for row in zip(*columns, strict=True))
    assert is_satisfiable(condition, nodes) or not holds

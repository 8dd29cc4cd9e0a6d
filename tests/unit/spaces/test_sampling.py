"""Sampling: conditions, user functions, constraints, and independence between parameters."""

import random

import numpy as np
import pytest

from tunedsl.base.errors import SpaceError
from tunedsl.spaces import (
    Space,
    choice,
    configs_at,
    randint,
    ref,
    rejection_sample,
    resolve_space,
    sample,
    sample_from,
    uniform,
)


def drawn(params, *constraints, trials=range(40)):
    space = Space.of(params)
    for condition in constraints:
        space = space.where(condition)
    return sample(resolve_space(space), 5, trials)


def test_conditional_parameters_are_there_exactly_where_their_condition_holds():
    found = drawn({"opt": choice(["sgd", "adam"]), "momentum": uniform(0, 1).when(ref("opt") == "sgd")})
    assert {config["opt"] for config in found} == {"sgd", "adam"}
    assert all(("momentum" in config) == (config["opt"] == "sgd") for config in found)


def test_what_hangs_on_a_missing_parameter_is_missing():
    params = {"a": choice([0, 1]), "b": uniform(0, 1).when(ref("a") == 1), "c": ref("b") * 2}
    found = drawn({**params, "d": choice([1]).when(~(ref("b") > 5)), "e": choice([1]).when(ref("a") | ref("b"))})
    assert {tuple(config) for config in found} == {("a",), ("a", "b", "c", "d", "e")}


def test_a_bare_reference_is_a_condition():
    found = drawn({"flag": choice([True, False, None]), "x": choice([1]).when(ref("flag"))})
    assert all(("x" in config) is bool(config["flag"]) for config in found)


def test_none_is_a_value():
    found = drawn({"depth": choice([None, 3]), "same": ref("depth"), "free": choice([1]).when(ref("depth") == None)})  # noqa: E711
    assert all(config["same"] == config["depth"] for config in found)
    assert all(("free" in config) == (config["depth"] is None) for config in found)


def test_constraints_are_met_and_say_nothing_of_what_is_missing():
    params = {"a": uniform(0, 1), "b": uniform(0, 1), "c": uniform(0, 1).when(ref("a") > 0.5)}
    found = drawn(params, ref("a") < ref("b"), ref("c") > 0.5)
    assert all(config["a"] < config["b"] and config.get("c", 1) > 0.5 for config in found)
    assert any("c" not in config for config in found)


def test_a_nested_constraint_is_read_in_its_own_scope():
    inner = Space.of({"a": uniform(0, 1), "b": uniform(0, 1)}).where(ref("a") < ref("b"))
    found = drawn({"a": 2.0, "inner": inner, "branch": choice({"on": inner, "off": {}})})
    assert all(config["inner"]["a"] < config["inner"]["b"] for config in found)
    assert {next(iter(config["branch"])) for config in found} == {"on", "off"}


def test_constraints_that_are_never_met_end_with_the_rate():
    with pytest.raises(SpaceError, match=r"Trial 7 has no configuration .* after 1,000 draws; 0.00% of 1,000 draws"):
        drawn({"a": uniform(0, 1)}, ref("a") > 2, trials=[7])


def from_globals(config):
    return random.random() + np.random.rand()


def from_generator(config, rng):
    return rng.integers(0, 1_000_000)


def seen(config):
    return sorted(config)


def grow(config):
    config["list"].append(1)
    return len(config["list"])


def test_functions_draw_by_trial_and_leave_the_global_generators_alone():
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()
    params = {"a": sample_from(from_globals), "b": sample_from(from_generator)}
    found = drawn(params)
    assert drawn(params, trials=[7]) == [found[7]]
    assert len({config["a"] for config in found}) == len({config["b"] for config in found}) == len(found)
    assert type(found[0]["b"]) is int
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_functions_see_the_configuration_so_far():
    found = drawn({"f": sample_from(seen), "a": 1, "n": {"b": uniform(0, 1)}, "g": sample_from(seen)}, trials=[0])
    assert (found[0]["f"], found[0]["g"]) == (["a", "n"], ["a", "f", "n"])


def test_functions_are_not_called_where_their_parameter_does_not_exist():
    params = {"a": choice([0, 1]), "b": choice([1]).when(ref("a") == 1), "f": sample_from(use_b).when(ref("a") == 1)}
    assert {config.get("f") for config in drawn(params)} == {None, 2}


def use_b(config):
    return config["b"] + 1


def test_lists_are_new_for_each_trial():
    found = drawn({"list": [0], "n": sample_from(grow)})
    assert all(config == {"list": [0, 1], "n": 2} for config in found)


def test_what_fails_is_named():
    with pytest.raises(SpaceError, match=r"space\.b cannot be evaluated: ref\('a'\) \+ 'x' raised TypeError") as caught:
        drawn({"a": uniform(0, 1), "b": ref("a") + "x"})
    assert caught.value.subject == "space.b"


def test_configs_takes_points_as_they_are():
    layout = resolve_space(Space.of({"a": uniform(0, 10), "n": randint(0, 4)}).where(ref("a") > 100))
    assert configs_at(layout, np.array([[0.5, 0.0], [1.0, 0.99]]), [0, 1], 0) == [
        {"a": 5.0, "n": 0},
        {"a": 10.0, "n": 3},
    ]


def test_draw_asks_again_only_for_the_trials_that_failed():
    asked = []

    def cube_at(attempt, trials):
        asked.append((attempt, trials.tolist()))
        return ((trials + attempt) % 4 / 4.0)[:, None]

    layout = resolve_space(Space.of({"a": uniform(0, 1)}).where(ref("a") >= 0.5))
    assert rejection_sample(layout, cube_at, [3, 0, 1], 0) == [({"a": 0.75}, 0), ({"a": 0.5}, 2), ({"a": 0.5}, 1)]
    assert asked == [(0, [3, 0, 1]), (1, [0, 1]), (2, [0])]


def test_nothing_asked_nothing_drawn():
    assert drawn({"a": uniform(0, 1)}, ref("a") > 0.5, trials=[]) == []

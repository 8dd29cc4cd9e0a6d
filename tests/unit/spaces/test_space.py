"""The space value: its notations and its text form."""

import pytest

from tunedsl.base import codec
from tunedsl.base.errors import ArgumentError
from tunedsl.base.references import Literal
from tunedsl.spaces import Space, choice, ref, resolve_space, sample, uniform


class Holder:
    """Something with a space, as an experiment is."""

    def __space__(self):
        return Space.of({"x": uniform(0, 1)})


def test_nested_dicts_and_holders_are_spaces():
    space = Space.of({"a": {"b": {"c": uniform(0, 1)}}, "held": Holder(), "empty": {}})
    assert repr(space) == "space(a=space(b=space(c=uniform(0.0, 1.0))), held=space(x=uniform(0.0, 1.0)), empty=space())"
    (config,) = sample(resolve_space(space), 0, [0])
    assert set(config) == {"a", "held", "empty"}
    assert config["empty"] == {}


def test_a_dict_whose_keys_are_no_names_is_a_constant():
    space = Space.of({"a": {1: "x"}, "b": {"x-y": [1]}})
    assert [type(item) for _, item in space.params] == [Literal, Literal]
    assert sample(resolve_space(space), 0, [0]) == [{"a": {1: "x"}, "b": {"x-y": [1]}}]


def test_constants_are_data_or_importable():
    assert repr(Space.of({"f": min, "n": None, "t": (1, 2)})) == "space(f=min, n=None, t=(1, 2))"
    with pytest.raises(ArgumentError, match=r"E003: space\.x is not a constant: .*<lambda>"):
        Space.of({"x": lambda: 1})
    with pytest.raises(ArgumentError, match=r"E003: space\.a\.x is not a constant: .*\(object\) is not data"):
        Space.of({"a": {"x": object()}})
    with pytest.raises(
        ArgumentError, match=r"E003: space\.x is a constant, but contains uniform(?s:.*)help: nest .* in a dict"
    ):
        Space.of({"x": [uniform(0, 1)]})
    with pytest.raises(ArgumentError, match="a name in space must be a nonempty string, not 1"):
        Space.of({1: uniform(0, 1)})


def test_constraints_accumulate():
    space = Space.of({"a": 1}).where(ref("a") > 0).where(ref("a") < 2)
    assert repr(space) == "space(a=1).where(ref('a') > 0).where(ref('a') < 2)"
    with pytest.raises(ArgumentError, match=r"E003: where must be a condition.*, not True"):
        space.where(True)


def test_names_that_are_no_identifiers_still_read_back():
    assert repr(Space.of({"a": 1, "b-c": 2})) == "space(a=1, **{'b-c': 2})"


def test_equality_is_by_value_and_sees_types():
    assert Space.of({"a": 1}) != Space.of({"a": 1.0})
    assert Space.of({"a": ref("b") + 1}) != Space.of({"a": ref("b") + 2})
    assert Space.of({"a": choice([1]).when(ref("b") == 1)}) == Space.of({"a": choice([1]).when(ref("b") == 1)})
    assert Space.of({"a": 1, "b": 2}) != Space.of({"b": 2, "a": 1})


def test_importable_constants_read_back_as_names():
    back = codec.from_json(codec.to_json(Space.of({"f": min})))
    assert repr(back) == "space(f=min)"
    assert back == Space.of({"f": min})

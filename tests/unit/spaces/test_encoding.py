"""The positions of configurations in the unit cube."""

import numpy as np
import pytest

from tunedsl.base.errors import SpaceError
from tunedsl.spaces import Space, choice, from_cube, grid, randint, ref, resolve_space, to_cube, uniform

SPACE = Space.of(
    {
        "x": uniform(0, 10),
        "g": grid(["a", "b"]),
        "model": choice({"svm": {"c": uniform(0, 1)}, "forest": {"n": randint(0, 4)}}),
        "y": ref("x") * 2,
    }
)


def test_what_a_configuration_does_not_have_is_nan():
    config = {"x": 5.0, "g": "b", "model": {"forest": {"n": 3}}, "y": 10.0}
    point = to_cube(resolve_space(SPACE), config)
    np.testing.assert_array_equal(point, [0.5, 0.75, np.nan, 0.875])
    assert from_cube(resolve_space(SPACE), point, 1, 0) == config


def test_nan_for_what_exists_is_its_middle():
    assert from_cube(resolve_space(SPACE), [np.nan] * 4, 0, 0)["model"] == {"forest": {"n": 2}}


def test_values_outside_their_domain_are_refused():
    with pytest.raises(SpaceError, match=r"space\.x must be a value of uniform\(0.0, 10.0\), not 11.0"):
        to_cube(resolve_space(SPACE), {"x": 11.0})
    with pytest.raises(SpaceError, match=r"space\.model must be a value of .*, not 'tree'"):
        to_cube(resolve_space(SPACE), {"model": {"tree": {}}})
    with pytest.raises(SpaceError, match=r"space\.model must be one named space, .*, not 'svm'"):
        to_cube(resolve_space(SPACE), {"model": "svm"})

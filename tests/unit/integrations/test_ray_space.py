"""Ray Tune's spaces convert domain by domain; unsupported domains are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from tunedsl import (
    ArgumentError,
    choice,
    grid,
    lograndint,
    loguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    space,
    uniform,
)
from tunedsl.integrations import space_from_ray
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.sampling import sample

tune = pytest.importorskip("ray.tune")


def double(config: dict[str, Any]) -> float:
    return 2.0 * config["a"]


def test_each_domain_has_its_equal() -> None:
    param_space = {
        "a": tune.uniform(0.0, 1.0),
        "b": tune.quniform(0.0, 1.0, 0.25),
        "c": tune.loguniform(1e-4, 1e-1),
        "d": tune.randn(1.0, 2.0),
        "e": tune.qrandn(0.0, 2.0, 0.5),
        "f": tune.randint(0, 4),
        "g": tune.qrandint(0, 8, 2),
        "h": tune.lograndint(1, 100),
        "i": tune.qrandint(1, 5),
        "j": tune.choice(["x", "y", None, (1, 2)]),
        "k": tune.grid_search([1, 2]),
        "m": tune.sample_from(double),
        "n": {"inner": tune.uniform(0.0, 1.0), "constant": 3},
        "o": [1, 2],
    }
    assert space_from_ray(param_space) == space(
        a=uniform(0.0, 1.0),
        b=quniform(0.0, 1.0, 0.25),
        c=loguniform(1e-4, 1e-1),
        d=randn(1.0, 2.0),
        e=qrandn(0.0, 2.0, 0.5),
        f=randint(0, 4),
        g=qrandint(0, 8, 2),
        h=lograndint(1, 100),
        i=randint(1, 5),
        j=choice(["x", "y", None, (1, 2)]),
        k=grid([1, 2]),
        m=sample_from(double),
        n={"inner": uniform(0.0, 1.0), "constant": 3},
        o=[1, 2],
    )


@pytest.mark.parametrize(("ours", "theirs"), [
    (qrandint(0, 8, 2), lambda: tune.qrandint(0, 8, 2)),
    (randint(3, 6), lambda: tune.randint(3, 6)),
    (quniform(0.0, 1.0, 0.5), lambda: tune.quniform(0.0, 1.0, 0.5)),
])  # fmt: skip
def test_the_same_values_can_be_drawn(ours: Any, theirs: Any) -> None:
    drawn = {config["x"] for config in sample(resolve_space(space(x=ours).clauses.space), 0, range(300))}
    assert drawn == {theirs().sample() for _ in range(300)}


@pytest.mark.parametrize("param_space", [
    {"a": [tune.uniform(0, 1)]},
    {"a": tune.choice([{"b": tune.uniform(0, 1)}])},
    {"a": {"b": tune.choice([1, {"c": tune.grid_search([1, 2])}])}},
    {"a": tune.sample_from(lambda: 1)},
])  # fmt: skip
def test_what_has_no_equal_is_refused_with_its_place(param_space: Any) -> None:
    with pytest.raises(ArgumentError, match=r"param_space\.a"):
        space_from_ray(param_space)


def test_a_domain_of_ray_tune_in_a_space_is_refused_with_the_way_over() -> None:
    with pytest.raises(ArgumentError, match="space_from_ray"):
        space(x=tune.uniform(0, 1))

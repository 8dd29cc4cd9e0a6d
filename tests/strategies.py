"""Hypothesis strategies that several tests share: constants, domains, expressions and spaces without faults."""

from __future__ import annotations

import importlib
from typing import Any

from hypothesis import strategies as st

from tunedsl.spaces import (
    Expr,
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
    ref,
    uniform,
)

NAMES = {
    **vars(importlib.import_module("tunedsl.spaces")),  # the attribute of that name is the function `space`
    "space": lambda **params: Space.of(params),
}
"""The names with which `repr` of spaces and expressions evaluates back."""

constants = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
seeds = st.integers(0, 2**31)


def _floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


steps = st.sampled_from([0.1, 0.25, 1e-3, 0.7, 1.0, 3.0])


@st.composite
def bounded(draw: st.DrawFn) -> Any:
    """A float domain with bounds."""
    low = draw(_floats(-1e3, 1e3))
    width = draw(_floats(1e-3, 1e3))
    above = draw(_floats(1e-5, 10))
    q = draw(steps)
    return draw(
        st.sampled_from(
            [
                uniform(low, low + width),
                quniform(low, low + width + 2 * q, q),
                loguniform(above, above * (1 + width)),
                qloguniform(above, above * (1 + width) + 2 * q, q),
            ]
        )
    )


@st.composite
def whole(draw: st.DrawFn) -> Any:
    """An int domain."""
    low, width, q = draw(st.integers(-1_000, 1_000)), draw(st.integers(1, 1_000)), draw(st.integers(1, 9))
    above = abs(low) + 1
    return draw(
        st.sampled_from(
            [
                randint(low, low + width),
                qrandint(low, low + width + q, q),
                lograndint(above, above + width),
                qlograndint(above, above + width + q, q),
            ]
        )
    )


@st.composite
def normal(draw: st.DrawFn) -> Any:
    """A normal domain."""
    mean, sd, q = draw(_floats(-100, 100)), draw(_floats(0.1, 10)), draw(steps)
    return draw(st.sampled_from([randn(mean, sd), qrandn(mean, sd, q)]))


numeric = bounded() | whole() | normal()
choices = st.lists(constants, min_size=1, max_size=4).map(choice)
domains = numeric | choices


@st.composite
def spaces(draw: st.DrawFn, grids: bool = True, constraints: bool = True) -> Space:
    """A space without faults: nested, conditional, branching, crossed, with references and constraints."""
    count = draw(st.integers(0, 3))
    params: dict[str, Any] = {f"x{index}": draw(numeric) for index in range(count)}
    numbers = [ref(name) for name in params]
    params["pick"] = choice(["a", "b", None])
    met = st.sampled_from([ref("pick") == "a", ref("pick") == None, ~(ref("pick") == "b")])  # noqa: E711
    for index in range(draw(st.integers(0, 2))):
        params[f"when{index}"] = draw(domains).when(draw(met))
    if draw(st.booleans()):
        params["fixed"] = draw(constants)
    if draw(st.booleans()):
        params["nested"] = {"pick": draw(domains), "deep": {"y": draw(domains), "same": ref("pick")}, "empty": {}}
    if draw(st.booleans()):
        options = {"svm": Space.of({"c": draw(domains), "z": ref("c")}), "forest": {}}
        branch = choice(options)
        params["branch"] = branch.when(draw(met)) if draw(st.booleans()) else branch
    if numbers:
        params["sum"] = numbers[0] * 2 + numbers[-1]
    if grids and draw(st.booleans()):
        params["grid"] = grid(draw(st.lists(constants, min_size=1, max_size=3)))
        params["other"] = grid([1, 2])
    space = Space.of(dict(draw(st.permutations(list(params.items())))))
    if constraints and numbers and draw(st.booleans()):
        space = space.where(numbers[0] <= numbers[0] + 1)
    if constraints and draw(st.booleans()):
        space = space.where((ref("pick") == "a") | (ref("pick") == "b"))
    return space


leaf_names = st.sampled_from(["p", "q", "r"])


def conditions() -> st.SearchStrategy[Expr]:
    """Boolean expressions over `p`, `q` and `r`."""
    atoms = st.builds(
        lambda name, op, number: {"<": ref(name) < number, "==": ref(name) == number, ">": ref(name) > number}[op],
        leaf_names,
        st.sampled_from(["<", "==", ">"]),
        st.integers(-1, 3),
    )
    return st.recursive(
        atoms,
        lambda inner: (
            st.builds(lambda a, b, both: a & b if both else a | b, inner, inner, st.booleans())
            | inner.map(lambda a: ~a)
        ),
        max_leaves=5,
    )

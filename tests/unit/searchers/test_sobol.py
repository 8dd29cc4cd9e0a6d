"""Sobol search: evenness, grids, constraints, and the package it needs."""

import importlib.util

import numpy as np
import pytest

from tunedsl.base.errors import ArgumentError
from tunedsl.searchers import searcher_of, sobol
from tunedsl.spaces import Space, grid, randint, randn, ref, uniform

SEARCHER = searcher_of(sobol())


def proposed(space, trials, key=3, spec=None):
    spec = spec or sobol()
    _, proposals = SEARCHER.batch(spec, SEARCHER.init(spec, space, (), key), trials, key)
    return [proposal.config for proposal in proposals]


def test_each_interval_gets_its_share():
    found = proposed(Space.of({"x": uniform(0, 1), "y": uniform(0, 1)}), range(64))
    for name in "xy":
        counts = np.histogram([config[name] for config in found], bins=64, range=(0, 1))[0]
        assert counts.tolist() == [1] * 64


def test_without_scrambling_the_sequence_is_the_textbooks():
    found = proposed(Space.of({"x": uniform(0, 1), "z": randn()}), range(4), spec=sobol(scramble=False))
    assert [config["x"] for config in found] == [0.0, 0.5, 0.75, 0.25]
    assert all(np.isfinite(config["z"]) for config in found)


def test_seeds_scramble_differently():
    space = Space.of({"x": uniform(0, 1)})
    assert proposed(space, range(4), key=1) != proposed(space, range(4), key=2)


def test_all_cells_of_a_grid_share_one_sequence():
    found = proposed(Space.of({"g": grid(["a", "b"]), "x": uniform(0, 1)}), range(128))
    for cell in "ab":
        xs = [config["x"] for config in found if config["g"] == cell]
        assert np.histogram(xs, bins=64, range=(0, 1))[0].tolist() == [1] * 64
    assert [config["x"] for config in found[::2]] == [config["x"] for config in found[1::2]]


def test_points_that_break_a_constraint_are_replaced_and_the_others_stay():
    free = Space.of({"x": uniform(0, 1), "n": randint(0, 9)})
    before, after = proposed(free, range(32)), proposed(free.where(ref("x") < 0.5), range(32))
    assert all(config["x"] < 0.5 for config in after)
    assert [b == a for b, a in zip(before, after, strict=True)] == [config["x"] < 0.5 for config in before]


def test_a_space_of_constants_needs_no_points():
    assert proposed(Space.of({"a": 1}), [0, 5]) == [{"a": 1}, {"a": 1}]
    assert proposed(Space.of({"a": uniform(0, 1)}), []) == []


def test_many_trials_are_computed_in_blocks_that_double():
    space, key = Space.of({"x": uniform(0, 1)}), 3
    state = SEARCHER.init(sobol(), space, (), key)
    found = []
    for trial in range(200):
        state, proposal = SEARCHER.ask(sobol(), state, trial, key)
        found.append(proposal.config)
    assert found == proposed(space, range(200))


def test_scramble_is_a_bool():
    with pytest.raises(ArgumentError, match=r"E003: sobol\.scramble must be True or False.*, not 1"):
        sobol(scramble=1)


def test_a_missing_scipy_is_told_with_the_extra_to_install(monkeypatch):
    assert list(SEARCHER.validate(sobol())) == []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (fault,) = SEARCHER.validate(sobol())
    assert str(fault) == ("E049: sobol() needs SciPy, which is not installed.\n  help: pip install 'tunedsl[sobol]'")

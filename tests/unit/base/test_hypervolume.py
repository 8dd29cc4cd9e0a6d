"""Hypervolumes against a count of random points, and the subsets that dominate the most."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tunedsl.base.hypervolume import best_subset, hypervolume, hypervolume_order
from tunedsl.base.pareto import pareto_front

POINTS = st.integers(2, 4).flatmap(
    lambda dims: arrays(float, st.tuples(st.integers(1, 8), st.just(dims)), elements=st.sampled_from(
        [0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5]
    ))
)  # fmt: skip


@settings(max_examples=50)
@given(POINTS)
def test_the_volume_is_the_share_of_a_grid_that_is_dominated(points):
    # All coordinates are multiples of an eighth, so the middles of the cells of this grid decide.
    axis = (np.arange(8) + 0.5) / 8
    grid = np.stack(np.meshgrid(*[axis] * points.shape[1], indexing="ij"), axis=-1).reshape(-1, points.shape[1])
    dominated = (points[:, None, :] <= grid[None, :, :]).all(axis=2).any(axis=0)
    assert hypervolume(points, np.ones(points.shape[1])) == pytest.approx(dominated.mean())


@given(POINTS)
def test_a_dominated_point_adds_nothing_and_no_point_takes_away(points):
    reference = np.full(points.shape[1], 2.0)
    whole = hypervolume(points, reference)
    assert hypervolume(points[pareto_front(points)], reference) == pytest.approx(whole)
    assert hypervolume(points[1:], reference) <= whole + 1e-12


def test_a_subset_spans_a_front_that_is_crowded_in_the_middle():
    x = np.array([0.0, 0.48, 0.49, 0.5, 0.51, 0.52, 1.0])
    front = np.stack([x, 1 - x], axis=1)
    chosen = best_subset(front, np.array([1.1, 1.1]), 3)
    assert {0, 6} <= set(chosen.tolist())
    assert sorted(best_subset(front, np.array([1.1, 1.1]), 99).tolist()) == list(range(7))


def test_fronts_come_in_order_and_nothing_twice():
    draw = np.random.default_rng(0).random((60, 2))
    order = hypervolume_order(draw, 60)
    assert sorted(order.tolist()) == list(range(60))
    first = np.flatnonzero(pareto_front(draw))
    assert set(order[: len(first)].tolist()) == set(first.tolist())
    assert hypervolume_order(draw[:, :1], 5).tolist() == np.argsort(draw[:, 0]).tolist()


@pytest.mark.parametrize("dims", [2, 3])
def test_a_subset_dominates_nearly_as_much_as_the_best_one(dims):
    points = np.random.default_rng(dims).random((40, dims))
    front = points[pareto_front(points)]
    reference = np.full(dims, 1.1)
    subsets = itertools.combinations(range(len(front)), 3)
    volumes = [hypervolume(front[list(each)], reference) for each in subsets]
    found = hypervolume(front[best_subset(front, reference, 3)], reference)
    assert found >= 0.9 * max(volumes)  # greedy choices are within 1 - 1/e
    assert len(set(best_subset(front, reference, 3).tolist())) == 3

"""The Gaussian process beside scikit-learn's, and its gradients, warping and features."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedsl.searchers.acquisition import log_expected_improvement
from tunedsl.searchers.gaussian_process import (
    Features,
    Hyperparameters,
    Posterior,
    cholesky,
    fit,
    log_posterior,
    maximize,
    warp,
    yeo_johnson,
)
from tunedsl.spaces import Space, choice, ref, resolve_space, uniform

GROUPS = np.array([0, 1, 1, 2])
DRAW = np.random.default_rng(3)
X, UNSEEN = DRAW.random((30, 4)), DRAW.random((9, 4))
Y = np.sin(5 * X[:, 0]) + X[:, 1] - X[:, 3]
Y = (Y - Y.mean()) / Y.std()
KNOWN = Hyperparameters(np.log([0.4, 0.7, 1.5, 1e-2, 1.3]))


def test_the_posterior_is_that_of_scikit_learn():
    gaussian_process = pytest.importorskip("sklearn.gaussian_process")
    kernels = gaussian_process.kernels
    kernel = KNOWN.signal * kernels.Matern(KNOWN.lengths[GROUPS], nu=2.5)
    other = gaussian_process.GaussianProcessRegressor(kernel, alpha=KNOWN.noise, optimizer=None).fit(X, Y)
    mean, deviation = other.predict(UNSEEN, return_std=True)
    found = Posterior.of(KNOWN, GROUPS, X, Y)
    np.testing.assert_allclose(found.predict(UNSEEN), (mean, deviation), rtol=1e-7)
    np.testing.assert_allclose(found.mean(UNSEEN), mean, rtol=1e-7)


def test_the_likelihood_differs_between_hyperparameters_as_that_of_scikit_learn():
    gaussian_process = pytest.importorskip("sklearn.gaussian_process")
    kernels = gaussian_process.kernels
    sklearns = []
    for noise in (0.01, 0.5):
        kernel = kernels.Matern([1.0] * 4, nu=2.5) + kernels.WhiteKernel(noise + 1e-6)
        regressor = gaussian_process.GaussianProcessRegressor(kernel, alpha=1e-300, optimizer=None).fit(X, Y)
        sklearns.append(regressor.log_marginal_likelihood_value_)
    values = [np.array([0.0, 0.0, 0.0, math.log(noise), 0.0]) for noise in (0.01, 0.5)]
    ours = [log_posterior(each, X, Y, GROUPS)[0] for each in values]
    # The prior of the noise is log-normal, of location -8 and scale 2.
    prior = [-0.5 * ((math.log(noise) + 8) / 2) ** 2 - math.log(noise) for noise in (0.01, 0.5)]
    assert ours[1] - ours[0] == pytest.approx(sklearns[1] - sklearns[0] + prior[1] - prior[0], rel=1e-6)


@given(st.lists(st.floats(-2.5, 1.5), min_size=5, max_size=5))
def test_the_gradient_is_that_of_finite_differences(values):
    at, step = np.array(values), 1e-5
    _, gradient = log_posterior(at, X, Y, GROUPS)
    differences = [
        (log_posterior(at + step * unit, X, Y, GROUPS)[0] - log_posterior(at - step * unit, X, Y, GROUPS)[0])
        / (2 * step)
        for unit in np.eye(5)
    ]
    np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=1e-4)


def test_a_fit_is_a_maximum_and_finds_what_does_not_matter():
    found = fit(X, Y, GROUPS, None, 50)
    _, gradient = log_posterior(found.values, X, Y, GROUPS)
    assert np.abs(gradient).max() < 0.5
    sine = np.sin(6 * X[:, 0])
    lengths = fit(X, sine / sine.std(), GROUPS, None, 50).lengths
    assert lengths[0] < 0.5 * lengths[1]
    assert lengths[0] < 0.5 * lengths[2]


def test_a_fit_from_an_earlier_one_is_no_worse():
    first = fit(X, Y, GROUPS, None, 3)
    again = fit(X, Y, GROUPS, first, 3)
    assert log_posterior(again.values, X, Y, GROUPS)[0] >= log_posterior(first.values, X, Y, GROUPS)[0]


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_the_maximum_of_a_concave_function_is_found(start):
    scales, optimum = np.array([1.0, 5.0, 20.0]), np.array([0.5, -1.0, 2.0])

    def function(at):
        return float(-(scales * (at - optimum) ** 2).sum()), -2 * scales * (at - optimum)

    np.testing.assert_allclose(maximize(function, np.array(start), 100, 1e-12), optimum, atol=1e-3)


@given(st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=30, unique=True))
def test_warping_keeps_the_order(values):
    losses = np.array(values)
    found = warp(losses)
    order = np.argsort(losses)
    assert np.isfinite(found).all()
    assert (np.diff(found[order]) >= -1e-9).all()
    assert abs(found.mean()) < 1e-6


def test_warping_makes_skewed_values_nearly_normal():
    losses = np.exp(2 * np.random.default_rng(0).standard_normal(300))
    found = warp(losses)
    assert abs(float((found**3).mean())) < 0.5
    assert float(((losses - losses.mean()) ** 3).mean()) / losses.std() ** 3 > 5


def test_equal_values_are_warped_to_zero():
    np.testing.assert_array_equal(warp(np.full(4, 7.0)), np.zeros(4))


def test_the_power_transform_is_that_of_scikit_learn():
    transform = pytest.importorskip("sklearn.preprocessing").PowerTransformer(standardize=False)
    values = np.random.default_rng(1).normal(size=50) ** 3
    transform.fit(values[:, None])
    for power in (0.0, 0.5, 2.0, float(transform.lambdas_[0])):
        transform.lambdas_ = np.array([power])
        np.testing.assert_allclose(yeo_johnson(values, power), transform.transform(values[:, None])[:, 0], rtol=1e-9)


@pytest.mark.parametrize("z", [-40.0, -26.0, -24.0, -8.0, -1.0, 0.0, 3.0, 30.0])
def test_the_log_of_the_expected_improvement_is_its_integral(z):
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 60
    exact = mpmath.log(mpmath.npdf(z) + mpmath.mpf(z) * mpmath.ncdf(z))
    found = log_expected_improvement(np.array([1.0]), np.array([0.5]), 1.0 + 0.5 * z)[0]
    assert found == pytest.approx(float(exact) + math.log(0.5), rel=3e-5, abs=5e-3)


def test_features_of_choices_and_of_absent_parameters():
    layout = resolve_space(
        Space.of({"kind": choice(["a", "b", "c"]), "x": uniform(0, 1).when(ref("kind") == "a"), "y": uniform(0, 2)})
    )
    features = Features.of(layout)
    rows = features.rows(
        np.array([[0.1, 0.2, 0.5], [0.5, np.nan, 0.5], [0.9, np.nan, 0.25]]), np.array([0.0, 0.5, 1.0])
    )
    assert features.groups.tolist() == [0, 0, 0, 1, 2, 3]
    assert rows[:, 3].tolist() == [0.2, 0.5, 0.5]
    assert rows[:, 5].tolist() == [0.0, 0.5, 1.0]
    apart = ((rows[:, None, :3] - rows[None, :, :3]) ** 2).sum(axis=2)
    np.testing.assert_allclose(apart, 1 - np.eye(3))


TINY = Hyperparameters(np.array([-12.0, -12.0, -12.0, -12.0, 0.0]))
"""Lengths at which rounding makes the covariance of equal points larger than their variance."""


def test_points_that_are_almost_equal_do_not_end_a_run():
    x = np.repeat(X[:3], 40, axis=0) + 1e-9 * DRAW.standard_normal((120, 4))
    y = np.sin(5 * x[:, 0])
    with pytest.raises(np.linalg.LinAlgError):
        log_posterior(TINY.values, x, y, GROUPS)
    mean, deviation = Posterior.of(TINY, GROUPS, x, y).predict(np.concatenate([x[::40], UNSEEN]))
    assert np.isfinite(mean).all() and np.isfinite(deviation).all()
    np.testing.assert_allclose(mean[:3], y[::40], atol=1e-3)
    assert np.isfinite(fit(x, y, GROUPS, TINY, 5).values).all()


def test_more_noise_is_added_only_where_it_is_needed():
    regular = np.array([[2.0, 1.0], [1.0, 2.0]])
    np.testing.assert_array_equal(cholesky(regular), np.linalg.cholesky(regular))
    singular = np.array([[1.0, 1.0 + 1e-5], [1.0 + 1e-5, 1.0]])
    np.testing.assert_allclose(cholesky(singular) @ cholesky(singular).T, singular, atol=2e-4)
    with pytest.raises(np.linalg.LinAlgError):
        cholesky(np.array([[1.0, 50.0], [50.0, 1.0]]))

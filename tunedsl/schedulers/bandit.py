"""The bandit of PB2: a Gaussian process that discounts old data, and the point of its highest upper bound.

It imports scikit-learn, so `pb2` imports it only when it chooses a point.

Source: Parker-Holder et al., Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits
(NeurIPS 2020), arXiv:2002.02518; kernel of Bogunovic et al., Time-Varying Gaussian Process Bandit Optimization
(AISTATS 2016); acquisition of Desautels et al. (JMLR 2014), all with the constants of Ray Tune's PB2.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

Floats = NDArray[np.float64]


class TimeVaryingKernel(Kernel):  # type: ignore[misc]  # scikit-learn has no types
    """Squared exponential kernel over the chosen parameters, times a decay over time, the first column."""

    def __init__(self, variance: float = 1.0, lengthscale: float = 1.0, epsilon: float = 0.1) -> None:
        self.variance, self.lengthscale, self.epsilon = variance, lengthscale, epsilon

    hyperparameter_variance = Hyperparameter("variance", "numeric", (1e-5, 1e5))
    hyperparameter_lengthscale = Hyperparameter("lengthscale", "numeric", (1e-5, 1e5))
    hyperparameter_epsilon = Hyperparameter("epsilon", "numeric", (1e-5, 0.5))

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Any:
        x = np.atleast_2d(X)
        y = x if Y is None else np.atleast_2d(Y)
        epsilon = float(np.clip(self.epsilon, 1e-5, 0.5))
        apart = np.abs(x[:, :1] - y[:, :1].T)
        square = ((x[:, None, 1:] - y[None, :, 1:]) ** 2).sum(-1)
        k = self.variance * np.exp(-square / self.lengthscale) * (1 - epsilon) ** (apart / 2)
        if not eval_gradient:
            return k
        # Derivatives by the logarithms of the parameters in alphabetical order, as scikit-learn optimises them.
        return k, np.dstack([-k * apart / 2 * epsilon / (1 - epsilon), k * square / self.lengthscale, k])

    def diag(self, X: Floats) -> Floats:
        """The kernel of each point with itself."""
        return np.full(len(X), float(self.variance))

    def is_stationary(self) -> bool:
        """Not in time."""
        return False


def maximize_ucb(fixed: Floats, points: Floats, gains: Floats, pending: Floats, now: Floats, starts: Floats) -> Floats:
    """The point with the highest upper confidence bound.

    Args:
        fixed: shape (n, 2): time and score before each gain.
        points: shape (n, d), in [0, 1]: the parameters of each gain.
        gains: shape (n,): score gained per unit of time.
        pending: shape (m, d): points just chosen for other trials, without a gain yet.
        now: shape (2,): current time and score.
        starts: shape (s, d), in [0, 1]: start points of the optimisation.

    Returns:
        Shape (d,), in [0, 1].
    """
    low, span = fixed.min(axis=0), np.ptp(fixed, axis=0) + 1e-8
    x = np.hstack([(fixed - low) / span, points])
    y = np.clip((gains - gains.mean()) / (gains.std() + 1e-8), -2, 2)
    here = (now - low) / span
    mean = _fit_gp(x, y)
    spread = mean
    if len(pending):
        seen = np.hstack([np.tile(here, (len(pending), 1)), pending])
        spread = _fit_gp(np.vstack([x, seen]), np.concatenate([y, np.zeros(len(pending))]))
    kappa = np.sqrt(0.2 + max(0.0, np.log(0.4 * len(x))))

    def regret(point: Floats) -> float:
        at = np.concatenate([here, point])[None, :]
        _, deviation = spread.predict(at, return_std=True)
        return -float(mean.predict(at)[0] + kappa * deviation[0] ** 2)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"maxiter": 200, "maxfun": 200}
        found = [
            minimize(regret, start, bounds=[(0, 1)] * len(start), method="L-BFGS-B", options=options)
            for start in starts
        ]
    best = min(found, key=lambda each: float(each.fun))
    point: Floats = np.clip(best.x, 0, 1)
    return point


def _fit_gp(x: Floats, y: Floats) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for noise in (1e-10, 1e-6, 1e-3):  # equal points make the matrix singular
            try:
                return GaussianProcessRegressor(kernel=TimeVaryingKernel(), alpha=noise).fit(x, y)
            except np.linalg.LinAlgError:
                continue
    return GaussianProcessRegressor(kernel=TimeVaryingKernel(), alpha=1e-1, optimizer=None).fit(x, y)

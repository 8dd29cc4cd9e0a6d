"""The probability that a configuration meets the outcome constraints and does not fail.

Each constraint has a Gaussian process over its violations, in robust units and on a signed log scale. One more learns
where trials fail, by the kinds of failures that a configuration can cause.
Sources: the product of the probabilities: Schonlau, Welch and Jones, Global versus Local Search in Constrained
Optimization of Computer Models, 1998, and Gardner et al., Bayesian Optimization with Inequality Constraints, ICML 2014;
signed logs: Eriksson and Poloczek, Scalable Constrained Bayesian Optimization, AISTATS 2021.
"""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.searchers.acquisition import log_normal_cdf
from tunedsl.searchers.gaussian_process import Features, Hyperparameters, Posterior, fit
from tunedsl.searchers.history import DONE, DROPPED, STOPPED, HistoryArrays
from tunedsl.searchers.training_data import best_and_spread
from tunedsl.spaces.unit_interval import Floats

_MAX_ROWS: Final = 400
"""Of more data, the part nearest to the limit and a spread over the rest are taken."""

_MAX_FIT_ROWS: Final = 200
"""Hyperparameters are fitted to at most this much of the data."""

Fits = tuple[Hyperparameters | None, ...]
"""Of failures and of each constraint; None for one that has no model."""


@attrs.frozen(eq=False)
class Feasibility:
    """What is known of the feasibility of configurations.

    Attributes:
        models: processes, each with the value up to which its condition is met.
        total: the total violation of each proposal in units of the constraints' own scales, 0 for a feasible one; of
            running trials as expected.
        fits: the hyperparameters.
    """

    models: tuple[tuple[Posterior, float], ...]
    total: Floats
    fits: Fits

    def log_probability(self, x: Floats) -> Floats:
        """The log of the probability that all conditions are met, at features x."""
        found = np.zeros(len(x))
        for model, limit in self.models:
            mean, deviation = model.predict(x)
            found += log_normal_cdf((limit - mean) / deviation)
        return found

    @staticmethod
    def of(facts: HistoryArrays, features: Features, running: NDArray[np.int64], earlier: Fits) -> Feasibility:
        """Of a history.

        Args:
            facts: the history.
            features: of its space.
            running: rows of the trials without a final value.
            earlier: hyperparameters that are used again; those that are missing are fitted.
        """
        columns = _conditions(facts).T
        earlier = earlier if len(earlier) == len(columns) else (None,) * len(columns)
        x = features.rows(facts.points, 1.0)
        models, fits, total = list[tuple[Posterior, float]](), list[Hyperparameters | None](), facts.total_violation
        expected = np.where(np.isinf(total[running]), 0.0, total[running])
        for values, found in zip(columns, earlier, strict=True):
            known = np.flatnonzero(~np.isnan(values))
            if not len(known) or (values[known].max() <= 0 and np.ptp(values[known]) < 1e-12):
                fits.append(None)
                continue
            scaled, limit = _scaled(values[known])
            kept = best_and_spread(np.abs(scaled - limit), _MAX_ROWS)
            known, y = known[kept], scaled[kept]
            if found is None:
                rows = best_and_spread(np.abs(y - limit), _MAX_FIT_ROWS)
                found = fit(x[known[rows]], y[rows], features.groups, None, 20)
            fits.append(found)
            model = Posterior.of(found, features.groups, x[known], y)
            unknown = np.isnan(values[running])
            if unknown.any():
                at = x[running[unknown]]
                believed = model.mean(at)
                expected[unknown] += np.maximum(believed - limit, 0.0)
                model = Posterior.of(found, features.groups, np.concatenate([x[known], at]), np.append(y, believed))
            models.append((model, limit))
        total[running] = expected
        return Feasibility(tuple(models), total, tuple(fits))


def _conditions(facts: HistoryArrays) -> Floats:
    """For each proposal, whether it failed (1 or -1) and the violations, at most 0 where met; NaN if not known.

    A trial that ended without a constraint's metric counts as failed if others reported it.
    """
    ended = (facts.status == DONE) | (facts.status == STOPPED)
    failed = np.full(len(facts.status), np.nan)
    failed[ended] = -1.0
    is_reported = ~np.isnan(facts.violations)
    failed[ended & (~is_reported & is_reported[ended].any(axis=0)).any(axis=1)] = 1.0
    failed[facts.failed_by_configuration] = 1.0
    conditions = np.column_stack([failed, facts.violations])
    conditions[facts.status == DROPPED] = np.nan
    return conditions


def _scaled(values: Floats) -> tuple[Floats, float]:
    """Violations on a signed log scale with mean 0 and variance 1, and where 0 is on it.

    Infinite ones count as twice the largest finite one.
    """
    most = 2 * float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0
    values = values.clip(-most, most)
    unit = float(np.median(np.abs(values))) or float(np.abs(values).max()) or 1.0
    logs = np.sign(values) * np.log1p(np.abs(values) / unit)
    spread = float(logs.std())
    spread, mean = (spread, float(logs.mean())) if spread > 1e-12 else (1.0, 0.0)
    return (logs - mean) / spread, -mean / spread

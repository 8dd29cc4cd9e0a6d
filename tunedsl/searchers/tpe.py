"""TPE: propose configurations where good ones are dense and bad ones are rare.

Sources: Bergstra, Bardenet, Bengio and Kegl, Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; kernels over
all parameters together: Falkner, Klein and Hutter, BOHB, ICML 2018; weights and widths: Watanabe, Tree-Structured
Parzen Estimator: Understanding Its Algorithm Components, 2023, arXiv:2304.11127; several objectives: Ozaki et al.,
Multiobjective Tree-Structured Parzen Estimator, JAIR 73, 2022; constraints: Watanabe and Hutter, c-TPE:
Tree-structured Parzen Estimator with Inequality Constraints, IJCAI 2023.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.base.arguments import as_bool, as_int, as_number, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.hypervolume import hypervolume_order
from tunedsl.base.references import call_repr
from tunedsl.searchers.beliefs import EarlierRun, log_belief, startup_trials, weigh_beliefs
from tunedsl.searchers.contract import UNLIMITED, Answer, Searcher, Supports, out_of_range, register_searcher
from tunedsl.searchers.density import ParzenMixture, bounded_columns, option_counts, snap_to_bins
from tunedsl.searchers.history import (
    DONE,
    DROPPED,
    FAILED,
    PENDING,
    REPORTED,
    STOPPED,
    History,
    HistoryArrays,
    force_history,
    init_history,
    learn_run_history,
    tell_history,
)
from tunedsl.searchers.sampling import draw_candidates, propose_at, propose_initial
from tunedsl.spaces.unit_interval import Floats

_MAX_GOOD: Final = 25
_MIN_BANDWIDTH: Final = 0.003
"""Narrower kernels, as a share of a parameter's range, would only repeat earlier configurations."""

_BANDWIDTH_EXPONENT: Final = 0.35
"""How fast kernels narrow with the number of trials, in addition to the spread of the good ones."""

_NARROWING: Final = 0.25
"""The factor of the widths of kernels while a belief about good points has its full weight."""

_UNIFORM_VARIANCE: Final = 1 / 12
_MAX_BAD: Final = 500
"""The most configurations of an earlier run that count as bad."""


@value(repr=False)
class Tpe:
    """The spec of `tpe`."""

    n_startup_trials: int = 10
    n_ei_candidates: int = 24
    gamma: float = 0.12
    prior_weight: float = 1.0
    constant_liar: bool = True

    def __repr__(self) -> str:
        return call_repr("tpe", self)


@check_arguments
def tpe(
    n_startup_trials: int = 10,
    n_ei_candidates: int = 24,
    gamma: float = 0.12,
    prior_weight: float = 1.0,
    constant_liar: bool = True,
) -> Tpe:
    """The tree-structured Parzen estimator, over all parameters together.

    Stopped trials rank after all completed ones, the later they stopped the better. Failed trials and trials without a
    finite objective count as bad. With several objectives, trials rank by Pareto fronts, and on a front by crowding
    distance, with three or more by what they add to the hypervolume.

    Outcome constraints, and failures by their kind, have densities of their own. A proposal is likely to be good, to
    meet each constraint and not to fail. Failures such as `lost` and `storage` say nothing about a configuration.

    Args:
        n_startup_trials: number of usable results before the model is used, at least 1; the first configurations are
            spread evenly.
        n_ei_candidates: number of points drawn from the good density, of which the best is proposed, at least 1.
        gamma: share of the trials that count as good, in (0, 1).
        prior_weight: weight of the uniform density among the good ones, above 0; a trial has 1 on average.
        constant_liar: whether running trials count as bad, so that concurrent trials differ.

    Raises:
        ArgumentError: for an argument of the wrong type.

    Example:
        >>> tpe(n_startup_trials=20)
        tpe(n_startup_trials=20)
    """
    return Tpe(
        as_int("tpe.n_startup_trials", n_startup_trials),
        as_int("tpe.n_ei_candidates", n_ei_candidates),
        float(as_number("tpe.gamma", gamma)),
        float(as_number("tpe.prior_weight", prior_weight)),
        as_bool("tpe.constant_liar", constant_liar),
    )


def _validate(spec: Tpe) -> list[Diagnostic]:
    return out_of_range(
        spec,
        n_startup_trials=(spec.n_startup_trials >= 1, "at least 1"),
        n_ei_candidates=(spec.n_ei_candidates >= 1, "at least 1"),
        gamma=(0 < spec.gamma < 1, "above 0 and below 1"),
        prior_weight=(0 < spec.prior_weight < math.inf, "finite and above 0"),
    )


def _ask(spec: Tpe, state: History, trial: int, key: int) -> tuple[History, Answer]:
    facts = state.to_arrays()
    usable = np.flatnonzero(facts.usable)
    beliefs = weigh_beliefs(state, facts, lambda run: earlier_run(spec, run))
    if len(usable) < startup_trials(spec.n_startup_trials, beliefs) or not state.layout.dims:
        return propose_initial(state, trial, key, spec.n_startup_trials)
    good = _good_rows(spec, facts, usable)
    counts = (facts.status == DONE) | (facts.status == STOPPED) | (facts.status == FAILED)
    if spec.constant_liar:
        counts |= (facts.status == PENDING) | (facts.status == REPORTED)
    counts[good] = False
    bad = np.flatnonzero(counts)
    narrowing = _NARROWING ** max((each.weight for each in beliefs), default=0.0)
    pairs = [_densities(spec, state, facts, good, bad, narrowing=narrowing)]
    pairs += [_densities(spec, state, facts, met, unmet, ranked=False) for met, unmet in _feasible_rows(facts)]
    count = spec.n_ei_candidates

    def draw_points(generator: keys.Generator) -> Floats:
        drawn = [pairs[0][0].sample(count * len(pairs), generator)]
        for each in beliefs:
            drawn.append(each.belief.draw(math.ceil(count * min(1.0, each.weight)), generator))
        return np.concatenate(drawn)

    found, rejected = draw_candidates(state.layout, draw_points, trial, key, "tpe")
    score = _acquisition(found, pairs) + log_belief(beliefs, found)
    best = int(np.argmax(score))
    return propose_at(state, found[best], trial, key, rejected)


@functools.lru_cache(maxsize=64)
def earlier_run(spec: Tpe, run: History) -> EarlierRun:
    """The belief from the results of an earlier run."""
    facts = run.to_arrays()
    usable = np.flatnonzero(facts.usable)
    good = _good_rows(spec, facts, usable) if len(usable) else usable
    others = np.ones(len(facts.status), bool)
    others[good] = False
    return EarlierRun(*_densities(spec, run, facts, good, np.flatnonzero(others)[:_MAX_BAD]))


def _feasible_rows(facts: HistoryArrays) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each outcome constraint and each kind of failure, the rows that met it and those that did not.

    A constraint that all rows met is left out: its ratio would be 1 everywhere.
    """
    ended = (facts.status == DONE) | (facts.status == STOPPED)
    failed = facts.failed_by_configuration
    for kind in np.unique(facts.failures[failed]):
        yield np.flatnonzero(ended), np.flatnonzero(failed & (facts.failures == kind))
    for violation in facts.violations.T:
        known = ended & ~np.isnan(violation)
        met = known & (violation <= 0)
        if not met.any() and known.any():
            met[np.nanargmin(np.where(known, violation, np.nan))] = True
        if (known & ~met).any():
            yield np.flatnonzero(met), np.flatnonzero(known & ~met)


def _acquisition(points: Floats, pairs: Sequence[tuple[ParzenMixture, ParzenMixture]]) -> Floats:
    """The log of the product of the relative density ratios; without constraints only the order of the ratio counts."""
    ratios = [better.log_density(points) - worse.log_density(points) for better, worse in pairs]
    if len(pairs) == 1:
        return ratios[0]
    total = np.zeros(len(points))
    for (better, worse), ratio in zip(pairs, ratios, strict=True):
        count = len(better.points) + len(worse.points)
        good, bad = len(better.points) / count, max(len(worse.points), 1) / count
        total -= np.logaddexp(math.log(good), math.log(bad) - ratio)
    return total


def _good_rows(spec: Tpe, facts: HistoryArrays, usable: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows that count as good, best first.

    Under outcome constraints, the infeasible ones that are better than the last of the good feasible ones are good too:
    the densities of the constraints tell them apart.
    """
    observed = int(np.count_nonzero((facts.status != PENDING) & (facts.status != DROPPED)))
    count = max(1, min(math.ceil(spec.gamma * observed), _MAX_GOOD, len(usable) - 1))
    feasible = facts.total_violation[usable] == 0
    if feasible.all() or not feasible.any() or facts.losses.shape[1] > 1:
        return facts.best_rows(usable, count, hypervolume_order)[:count]
    ranked = facts.without_constraints.best_rows(usable, len(usable))
    reached = np.cumsum(facts.total_violation[ranked] == 0)
    last = int(np.searchsorted(reached, min(count, reached[-1])))
    return ranked[: min(last + 1, len(usable) - 1)]


def _densities(
    spec: Tpe,
    state: History,
    facts: HistoryArrays,
    good: NDArray[np.int64],
    bad: NDArray[np.int64],
    ranked: bool = True,
    narrowing: float = 1.0,
) -> tuple[ParzenMixture, ParzenMixture]:
    """The densities of good and of bad configurations, with kernels of the same widths.

    Args:
        ranked: whether the good ones are in order, so that the first ones weigh more.
        narrowing: the factor of the kernels' widths.
    """
    kinds = option_counts(state.layout)
    points = facts.points[good]
    _, half = snap_to_bins(state.layout, points)
    observed = int(np.count_nonzero(facts.status != DROPPED))
    widths = np.maximum(narrowing * _bandwidths(points, observed), _MIN_BANDWIDTH)
    own = math.log(len(good) + 0.5) - np.log(np.arange(1, len(good) + 1)) if ranked else np.ones(len(good))
    weights = np.append(own / own.mean(), spec.prior_weight)
    # More kernels are sharper about choices, so an option that was often bad is rarely proposed again.
    spread, worse_spread = (kinds / np.maximum(kinds + len(rows), 1) for rows in (good, bad))
    better = ParzenMixture(
        points, np.maximum(widths, half), spread, weights / weights.sum(), kinds, bounded_columns(state.layout)
    )
    even = np.append(np.ones(len(bad)), 1.0)
    # The bad kernels need at most the widest bin of the good ones.
    steps = half.max(axis=0, initial=0.0)
    worse = ParzenMixture(
        facts.points[bad], np.maximum(widths, np.nan_to_num(steps)), worse_spread, even / even.sum(), kinds
    )
    return better, worse


def _bandwidths(points: Floats, count: int) -> Floats:
    """The standard deviation of kernels, by parameter: that of the good points, shrunk towards a uniform spread.

    Args:
        points: the good ones, shape (n, dims); NaN for parameters that they do not have.
        count: number of all trials. Counting only the trials that have a parameter was better on random functions,
            but worse on models of scikit-learn.
    """
    known = ~np.isnan(points)
    number = known.sum(axis=0)
    x = np.where(known, points, 0.0)
    mean = x.sum(axis=0) / np.maximum(number, 1)
    squares = np.where(known, (points - mean) ** 2, 0.0).sum(axis=0)
    deviation = np.sqrt((squares + 0.5 * _UNIFORM_VARIANCE) / (number + 0.5))
    narrowed: Floats = deviation * (10 / max(count, 10)) ** _BANDWIDTH_EXPONENT
    return narrowed


register_searcher(
    Tpe,
    Searcher(
        name="tpe",
        supports=Supports.whole_space(UNLIMITED, priors=True, outcome_constraints=True),
        init=init_history,
        ask=_ask,
        tell=tell_history,
        force=force_history,
        learn_run=learn_run_history,
        validate=_validate,
    ),
)

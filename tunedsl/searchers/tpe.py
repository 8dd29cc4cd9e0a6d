"""TPE: propose where good configurations are dense and bad ones are not.

Sources: Bergstra, Bardenet, Bengio and Kegl, Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; kernels over
all parameters together: Falkner, Klein and Hutter, BOHB, ICML 2018; weights and widths: Watanabe, Tree-Structured
Parzen Estimator: Understanding Its Algorithm Components, 2023, arXiv:2304.11127; several objectives: Ozaki et al.,
Multiobjective Tree-Structured Parzen Estimator, JAIR 73, 2022.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.base.arguments import as_int, as_number, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError
from tunedsl.base.objective import Objective
from tunedsl.base.references import call_repr
from tunedsl.searchers.contract import UNLIMITED, Answer, Searcher, Supports, out_of_range, register_searcher
from tunedsl.searchers.density import ParzenMixture, option_counts, snap_to_bins
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
    tell_history,
)
from tunedsl.searchers.sampling import draw_candidates, propose_at, propose_initial
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import Floats

_MAX_GOOD: Final = 25
_MIN_BANDWIDTH: Final = 0.003
"""Widths below this share of a parameter's range would only repeat what was tried."""

_BANDWIDTH_EXPONENT: Final = 0.35
"""How fast kernels narrow with the number of trials, beside what the spread of the good ones does."""

_UNIFORM_VARIANCE: Final = 1 / 12


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

    Trials that were stopped rank behind all that were not, the farther they came the better; failed ones and those
    whose objective is no finite number count as bad. With several objectives, trials rank by fronts.

    Args:
        n_startup_trials: trials that have to end well before the model is used; those before are spread evenly.
        n_ei_candidates: points that are drawn from the good density, of which the best is proposed.
        gamma: share of the trials that count as good, in (0, 1).
        prior_weight: weight of the even density among the good ones, where a trial has 1 on average.
        constant_liar: whether trials in flight count as bad, so that no two are sent to the same place.

    Raises:
        ArgumentError: for what is no number.

    Example:
        >>> tpe(n_startup_trials=20)
        tpe(n_startup_trials=20)
    """
    if not isinstance(constant_liar, bool):
        raise ArgumentError("E003", "tpe.constant_liar", repr(constant_liar), "True or False")
    return Tpe(
        as_int("tpe.n_startup_trials", n_startup_trials),
        as_int("tpe.n_ei_candidates", n_ei_candidates),
        float(as_number("tpe.gamma", gamma)),
        float(as_number("tpe.prior_weight", prior_weight)),
        constant_liar,
    )


def _validate(spec: Tpe) -> list[Diagnostic]:
    return out_of_range(
        spec,
        n_startup_trials=(spec.n_startup_trials >= 1, "at least 1"),
        n_ei_candidates=(spec.n_ei_candidates >= 1, "at least 1"),
        gamma=(0 < spec.gamma < 1, "above 0 and below 1"),
        prior_weight=(0 < spec.prior_weight < math.inf, "finite and above 0"),
    )


def _init(spec: Tpe, space: Space, objectives: tuple[Objective, ...], key: int) -> History:
    return History.empty(resolve_space(space), objectives)


def _ask(spec: Tpe, state: History, trial: int, key: int) -> tuple[History, Answer]:
    facts = state.to_arrays()
    usable = np.flatnonzero(facts.usable)
    if len(usable) < spec.n_startup_trials or not state.layout.dims:
        return propose_initial(state, trial, key, spec.n_startup_trials)
    good = _good_rows(spec, facts, usable)
    counts = (facts.status == DONE) | (facts.status == STOPPED) | (facts.status == FAILED)
    if spec.constant_liar:
        counts |= (facts.status == PENDING) | (facts.status == REPORTED)
    counts[good] = False
    bad = np.flatnonzero(counts)
    better, worse = _densities(spec, state, facts, good, bad)
    count = spec.n_ei_candidates
    found, rejected = draw_candidates(state.layout, lambda draw: better.sample(count, draw), trial, key, "tpe")
    best = int(np.argmax(better.log_density(found) - worse.log_density(found)))
    return propose_at(state, found[best], trial, key, rejected)


def _good_rows(spec: Tpe, facts: HistoryArrays, usable: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows that count as good, best first."""
    told = int(np.count_nonzero((facts.status != PENDING) & (facts.status != DROPPED)))
    count = max(1, min(math.ceil(spec.gamma * told), _MAX_GOOD, len(usable) - 1))
    return facts.best_rows(usable, count)[:count]


def _densities(
    spec: Tpe, state: History, facts: HistoryArrays, good: NDArray[np.int64], bad: NDArray[np.int64]
) -> tuple[ParzenMixture, ParzenMixture]:
    """The densities of good and of bad configurations, with kernels of the same widths."""
    kinds = option_counts(state.layout)
    points = facts.points[good]
    _, half = snap_to_bins(state.layout, points)
    told = int(np.count_nonzero(facts.status != DROPPED))
    widths = _bandwidths(points, told)
    rank_weights = math.log(len(good) + 0.5) - np.log(np.arange(1, len(good) + 1))
    weights = np.append(rank_weights / rank_weights.mean(), spec.prior_weight)
    # The more kernels, the sharper they are about choices: what was tried often and is bad is hardly tried again.
    spread, worse_spread = (kinds / np.maximum(kinds + len(rows), 1) for rows in (good, bad))
    better = ParzenMixture(points, np.maximum(widths, half), spread, weights / weights.sum(), kinds)
    even = np.append(np.ones(len(bad)), 1.0)
    # Of a slot's width the bad kernels need no more than the good ones have at most.
    steps = half.max(axis=0, initial=0.0)
    worse = ParzenMixture(
        facts.points[bad], np.maximum(widths, np.nan_to_num(steps)), worse_spread, even / even.sum(), kinds
    )
    return better, worse


def _bandwidths(points: Floats, count: int) -> Floats:
    """The standard deviation of kernels, by parameter: of the good points, drawn to that of an even spread.

    Args:
        points: the good ones, shape (n, dims); NaN for parameters that they do not have.
        count: how many trials there are, good or not, whether or not they have a parameter. To count for each
            parameter only those that have it was better on random functions, but worse on models of scikit-learn.
    """
    known = ~np.isnan(points)
    number = known.sum(axis=0)
    x = np.where(known, points, 0.0)
    mean = x.sum(axis=0) / np.maximum(number, 1)
    squares = np.where(known, (points - mean) ** 2, 0.0).sum(axis=0)
    deviation = np.sqrt((squares + 0.5 * _UNIFORM_VARIANCE) / (number + 0.5))
    narrowed: Floats = deviation * (10 / max(count, 10)) ** _BANDWIDTH_EXPONENT
    return np.maximum(narrowed, _MIN_BANDWIDTH)


register_searcher(
    Tpe,
    Searcher(
        name="tpe",
        supports=Supports(
            conditions=True,
            log=True,
            quantised=True,
            integer=True,
            categorical=True,
            constraints=True,
            objectives=UNLIMITED,
            intermediate=False,
            pending=True,
        ),
        init=_init,
        ask=_ask,
        tell=tell_history,
        force=force_history,
        validate=_validate,
    ),
)

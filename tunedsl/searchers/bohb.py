"""BOHB's model: densities of good and bad configurations at the highest fidelity that enough trials have reached.

With a scheduler that decides at rungs, such as HyperBand, each rung is a fidelity of its own.
Source: Falkner, Klein and Hutter, BOHB: Robust and Efficient Hyperparameter Optimization at Scale, ICML 2018.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import as_int, as_number, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.references import call_repr
from tunedsl.searchers.contract import Answer, Searcher, Supports, out_of_range, register_searcher
from tunedsl.searchers.density import ParzenMixture, option_counts, snap_to_bins
from tunedsl.searchers.history import (
    DONE,
    REPORTED,
    STOPPED,
    History,
    force_history,
    init_history,
    last_of_each,
    tell_history,
)
from tunedsl.searchers.sampling import draw_candidates, propose_at, propose_initial
from tunedsl.spaces.unit_interval import Floats

_PRIOR_WEIGHT: Final = 1e-3
"""The uniform density's weight. The paper has 0, but then candidates far from all points cannot be compared."""


@value(repr=False)
class Bohb:
    """The spec of `bohb`."""

    min_points_in_model: int | None = None
    top_n_percent: float = 15.0
    num_samples: int = 64
    random_fraction: float = 1 / 3
    bandwidth_factor: float = 3.0
    min_bandwidth: float = 1e-3

    def __repr__(self) -> str:
        return call_repr("bohb", self)


@check_arguments
def bohb(
    min_points_in_model: int | None = None,
    top_n_percent: float = 15.0,
    num_samples: int = 64,
    random_fraction: float = 1 / 3,
    bandwidth_factor: float = 3.0,
    min_bandwidth: float = 1e-3,
) -> Bohb:
    """The model of BOHB; use it with a scheduler that stops trials at rungs.

    Args:
        min_points_in_model: number of trials that each of the two densities needs, at least 1; by default the number
            of parameters plus 1.
        top_n_percent: share of a fidelity's trials that count as good, in percent, in (0, 100).
        num_samples: number of points drawn near the good ones, of which the best is proposed, at least 1.
        random_fraction: share of proposals that are drawn uniformly, in [0, 1].
        bandwidth_factor: width of the density that points are drawn from, relative to the good density, above 0.
        min_bandwidth: smallest width of a kernel, as a share of a parameter's range, in (0, 1).

    Raises:
        ArgumentError: for an argument of the wrong type.

    Example:
        >>> bohb(random_fraction=0.2)
        bohb(random_fraction=0.2)
    """
    return Bohb(
        None if min_points_in_model is None else as_int("bohb.min_points_in_model", min_points_in_model),
        float(as_number("bohb.top_n_percent", top_n_percent)),
        as_int("bohb.num_samples", num_samples),
        float(as_number("bohb.random_fraction", random_fraction)),
        float(as_number("bohb.bandwidth_factor", bandwidth_factor)),
        float(as_number("bohb.min_bandwidth", min_bandwidth)),
    )


def _validate(spec: Bohb) -> list[Diagnostic]:
    least = spec.min_points_in_model
    return out_of_range(
        spec,
        min_points_in_model=(least is None or least >= 1, "at least 1"),
        top_n_percent=(0 < spec.top_n_percent < 100, "above 0 and below 100"),
        num_samples=(spec.num_samples >= 1, "at least 1"),
        random_fraction=(0 <= spec.random_fraction <= 1, "from 0 to 1"),
        bandwidth_factor=(0 < spec.bandwidth_factor < math.inf, "finite and above 0"),
        min_bandwidth=(0 < spec.min_bandwidth < 1, "above 0 and below 1"),
    )


def _ask(spec: Bohb, state: History, trial: int, key: int) -> tuple[History, Answer]:
    layout = state.layout
    least = spec.min_points_in_model if spec.min_points_in_model is not None else layout.dims + 1
    points = ranked_points(state, least + 2)
    if not layout.dims or len(points) == 0 or keys.uniform(keys.key(key, "even"), trial) < spec.random_fraction:
        return propose_initial(state, trial, key, 0)
    good = points[: max(least, math.floor(spec.top_n_percent / 100 * len(points)))]
    bad = points[-max(least, math.floor((1 - spec.top_n_percent / 100) * len(points))) :]
    better, worse = (_density(spec, state, part, 1.0) for part in (good, bad))
    wider = _density(spec, state, good, spec.bandwidth_factor)
    found, rejected = draw_candidates(layout, lambda draw: wider.sample(spec.num_samples, draw), trial, key, "bohb")
    best = int(np.argmax(better.log_density(found) - worse.log_density(found)))
    return propose_at(state, found[best], trial, key, rejected)


def ranked_points(state: History, min_count: int) -> Floats:
    """The points observed at the highest iteration that has `min_count` of them, best first; may be empty."""
    observed = state.observations.rows
    loss = observed[:, 3]
    fit = np.isin(observed[:, 1], (DONE, STOPPED, REPORTED)) & np.isfinite(loss)
    rows, iterations, losses = observed[fit, 0].astype(np.int64), observed[fit, 2], loss[fit]
    # A trial that ended at a rung was reported there too; the last observation is valid.
    kept = last_of_each(rows, iterations)
    reached, counts = np.unique(iterations[kept], return_counts=True)
    enough = reached[counts >= min_count]
    if not len(enough):
        return state.points.rows[:0]
    kept = np.sort(kept[iterations[kept] == enough[-1]])
    found: Floats = state.points.rows[rows[kept[np.argsort(losses[kept], kind="stable")]]]
    return found


def _density(spec: Bohb, state: History, points: Floats, factor: float) -> ParzenMixture:
    """The kernels of some points, with widths by the normal reference rule."""
    kinds = option_counts(state.layout)
    _, half = snap_to_bins(state.layout, points)
    known = ~np.isnan(points)
    count = np.maximum(known.sum(axis=0), 1)
    x = np.where(known, points, 0.0)
    squares = np.where(known, (points - x.sum(axis=0) / count) ** 2, 0.0).sum(axis=0)
    shrunk = count ** (-1 / (4 + len(kinds)))
    widths = np.maximum(1.06 * np.sqrt(squares / count) * shrunk * factor, spec.min_bandwidth)
    spread = np.minimum(1.0, factor * np.where(kinds > 1, shrunk, 1.0) / np.maximum(kinds, 1))
    weights = np.append(np.ones(len(points)), _PRIOR_WEIGHT)
    return ParzenMixture(points, np.maximum(widths, np.nan_to_num(half)), spread, weights / weights.sum(), kinds)


register_searcher(
    Bohb,
    Searcher(
        name="bohb",
        supports=Supports.whole_space(intermediate=True, priors=True),
        init=init_history,
        ask=_ask,
        tell=tell_history,
        force=force_history,
        validate=_validate,
    ),
)

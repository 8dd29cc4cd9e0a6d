"""Bayesian optimisation with a Gaussian process that knows how long each trial was trained.

It proposes the configuration with the largest expected improvement at the longest training known. Running trials
count as if they had ended with the value that the process expects.
Sources: `gaussian_process.py` and `acquisition.py`; running trials: Ginsbourger, Le Riche and Carraro, Kriging Is
Well-Suited to Parallelize Optimization, 2010; several objectives: Knowles, ParEGO, IEEE Transactions on Evolutionary
Computation 10, 2006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import SpaceError
from tunedsl.base.objective import Objective
from tunedsl.base.references import call_repr
from tunedsl.base.types import Json
from tunedsl.searchers.acquisition import Box, Score, log_expected_improvement, maximize_score, trust_region
from tunedsl.searchers.beliefs import log_belief, startup_trials, weigh_beliefs
from tunedsl.searchers.contract import (
    UNLIMITED,
    Answer,
    Observation,
    Searcher,
    Supports,
    out_of_range,
    register_searcher,
)
from tunedsl.searchers.density import option_counts
from tunedsl.searchers.gaussian_process import Features, Hyperparameters, Posterior, fit, warp
from tunedsl.searchers.history import (
    DONE,
    DROPPED,
    FAILED,
    PENDING,
    REPORTED,
    STOPPED,
    History,
    init_history,
    learn_run_history,
)
from tunedsl.searchers.sampling import MAX_ROUNDS, feasible_points, propose_at, propose_initial
from tunedsl.searchers.tpe import Tpe, earlier_run
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import Floats

_MAX_ROWS: Final = 400
"""With more data, the process sees the best of it and a spread over the rest."""

_MAX_FIT_ROWS: Final = 200
_MAX_PENDING: Final = 100
_MAX_GLOBAL_DIMS: Final = 15
"""In more dimensions, candidates are drawn in a trust region."""


@value(repr=False)
class Gp:
    """The spec of `gp`."""

    n_startup_trials: int = 8
    n_candidates: int = 512

    def __repr__(self) -> str:
        return call_repr("gp", self)


@check_arguments
def gp(n_startup_trials: int = 8, n_candidates: int = 512) -> Gp:
    """Bayesian optimisation with a Gaussian process, for trials that cost more than some milliseconds.

    It learns from each decision point of a scheduler and from stopped trials, at the iteration that they reached.
    Failed trials count as the worst value seen. With several objectives, each proposal weighs them at random.

    Args:
        n_startup_trials: number of trials with results before the model is used, at least 2; the first configurations
            are spread evenly.
        n_candidates: number of points at which the expected improvement is first computed, at least 16.

    Raises:
        ArgumentError: for a value that is not a whole number.

    Example:
        >>> gp(n_startup_trials=5)
        gp(n_startup_trials=5)
    """
    return Gp(as_int("gp.n_startup_trials", n_startup_trials), as_int("gp.n_candidates", n_candidates))


def _validate(spec: Gp) -> list[Diagnostic]:
    return out_of_range(
        spec,
        n_startup_trials=(spec.n_startup_trials >= 2, "at least 2"),
        n_candidates=(spec.n_candidates >= 16, "at least 16"),
    )


@attrs.frozen(eq=False)
class GpState:
    """Proposals and observations, the last hyperparameters, and the number of observations that they were fitted to."""

    history: History
    hyperparameters: Hyperparameters | None = None
    fitted: int = 0


@attrs.frozen(eq=False)
class _Data:
    """What the process learns from.

    Attributes:
        points: shape (n, dims).
        fidelity: log of the iteration, in [0, 1]; 1 for trials that ended by themselves.
        losses: warped, shape (n,).
        pending: points whose final value is not known, shape (m, dims).
        trials: number of trials with values.
        side: of the trust region.
    """

    points: Floats
    fidelity: Floats
    losses: Floats
    pending: Floats
    trials: int
    side: float


def _init(spec: Gp, space: Space, objectives: tuple[Objective, ...], key: int) -> GpState:
    return GpState(init_history(spec, space, objectives, key))


def _tell(spec: Gp, state: GpState, trial: int, observation: Observation) -> GpState:
    return attrs.evolve(state, history=state.history.with_observation(trial, observation))


def _learn_run(spec: Gp, state: GpState, run: Sequence[tuple[Json, Observation]], key: int) -> GpState:
    return attrs.evolve(state, history=learn_run_history(spec, state.history, run, key))


def _force(spec: Gp, state: GpState, trial: int, config: Json, key: int) -> GpState:
    return attrs.evolve(state, history=state.history.with_forced(trial, config))


def _ask(spec: Gp, state: GpState, trial: int, key: int) -> tuple[GpState, Answer]:
    history = state.history
    data = training_data(history, keys.key(key, "weights", trial))
    beliefs = weigh_beliefs(history, history.to_arrays(), lambda run: earlier_run(Tpe(), run))
    if data.trials < startup_trials(spec.n_startup_trials, beliefs) or not history.layout.dims:
        history, proposal = propose_initial(history, trial, key, spec.n_startup_trials)
        return attrs.evolve(state, history=history), proposal
    features = Features.of(history.layout)
    x = features.rows(data.points, data.fidelity)
    state = _refitted(state, features, x, data.losses)
    assert state.hyperparameters is not None
    model = Posterior.of(state.hyperparameters, features.groups, x, data.losses)
    if len(data.pending):
        running = features.rows(data.pending, 1.0)
        x, losses = np.concatenate([x, running]), np.append(data.losses, model.mean(running))
        model = Posterior.of(state.hyperparameters, features.groups, x, losses)
    known = np.concatenate([data.points, data.pending])
    expected = model.mean(features.rows(known, 1.0))
    order = np.argsort(expected, kind="stable")[:8]
    best = float(expected[order[0]])

    def score(points: Floats) -> Floats:
        improvement = log_expected_improvement(*model.predict(features.rows(points, 1.0)), best)
        return improvement + log_belief(beliefs, points)

    box = Box.cube(history.layout.dims)
    if history.layout.dims > _MAX_GLOBAL_DIMS:
        box = trust_region(known[order[0]], state.hyperparameters.lengths[:-1], data.side)
    point, rejected = _maximized(spec, history, score, known[order], box, trial, key)
    history, proposal = propose_at(history, point, trial, key, rejected)
    return attrs.evolve(state, history=history), proposal


def _maximized(
    spec: Gp, history: History, score: Score, good: Floats, box: Box, trial: int, key: int
) -> tuple[Floats, int]:
    layout, generator = history.layout, keys.generator(keys.key(key, "gp", trial))
    counts, rejected = option_counts(layout), 0
    for _ in range(MAX_ROUNDS):
        point, some = maximize_score(
            score,
            lambda cube: feasible_points(layout, cube, trial, key),
            good,
            counts,
            box,
            generator,
            spec.n_candidates,
        )
        rejected += some
        if point is not None:
            return point, rejected
    raise SpaceError(
        f"Trial {trial} has no configuration: none of {rejected:,} candidates meets the constraints.\n"
        "  help: relax the constraints, or narrow the domains"
    )


def _refitted(state: GpState, features: Features, x: Floats, losses: Floats) -> GpState:
    """The state with hyperparameters for its data, which are fitted again after each tenth more observations."""
    due = state.hyperparameters is None or len(losses) >= state.fitted + max(1, len(losses) // 12)
    if not due and len(state.history.objectives) == 1:
        return state
    rows = np.arange(len(x))
    if len(x) > _MAX_FIT_ROWS:
        best = np.argsort(losses, kind="stable")
        half = _MAX_FIT_ROWS // 2
        rows = np.sort(np.concatenate([best[:half], best[half:][:: math.ceil((len(x) - half) / half)]]))
    found = fit(x[rows], losses[rows], features.groups, state.hyperparameters, 20)
    return attrs.evolve(state, hyperparameters=found, fitted=len(losses))


def training_data(history: History, weights_key: int) -> _Data:
    observed = history.observations.rows
    status = history.to_arrays().status
    rows = observed[:, 0].astype(np.int64)
    values = observed[:, 3:]
    fit = np.isin(observed[:, 1], (DONE, STOPPED, REPORTED)) & np.isfinite(values).all(axis=1)
    fit &= status[rows] != DROPPED
    iterations = np.maximum(observed[:, 2], 1)
    fit = _last_of_each_level(rows, iterations, fit)
    rows, iterations, done = rows[fit], iterations[fit], observed[fit, 1] == DONE
    full = float(iterations.max(initial=1))
    fidelity = np.where(done, 1.0, np.log(iterations) / math.log(full)) if full > 1 else np.ones(len(rows))
    # The final value of a stopped trial will not be known either: without it, the same would be proposed again.
    unknown = np.isin(status, (PENDING, REPORTED)) | ((status == STOPPED) & (full > 1))
    pending = np.flatnonzero(unknown)[-_MAX_PENDING:]
    points = history.points.rows
    trials = len(np.unique(rows))
    if not trials:
        return _Data(points[rows], fidelity, values[fit][:, 0], points[pending], 0, 0.8)
    losses = _scalarised(values[fit], weights_key)
    ended = done | (fidelity == 1)
    side = trust_region_side(losses[ended], points.shape[1])
    failed = np.flatnonzero(_failed(status, observed))
    worst = float(losses.max())
    rows = np.concatenate([rows, failed])
    fidelity = np.concatenate([fidelity, np.ones(len(failed))])
    losses = np.concatenate([losses, np.full(len(failed), worst)])
    if len(rows) > _MAX_ROWS:
        order = np.argsort(losses, kind="stable")
        half = _MAX_ROWS // 2
        kept = np.concatenate([order[:half], order[half:][:: math.ceil((len(rows) - half) / half)]])
        kept = np.sort(kept)
        rows, fidelity, losses = rows[kept], fidelity[kept], losses[kept]
    return _Data(points[rows], fidelity, _without_trend(rows, fidelity, warp(losses)), points[pending], trials, side)


def _without_trend(rows: NDArray[np.int64], fidelity: Floats, losses: Floats) -> Floats:
    """The losses less what they typically fall with the fidelity, so that those of different fidelity compare.

    Only differences within trials count, as later fidelities belong to better trials.
    """
    order = np.lexsort((fidelity, rows))
    same = (np.diff(rows[order]) == 0) & (np.diff(fidelity[order]) > 0)
    if not same.any():
        return losses
    slope = float(np.median((np.diff(losses[order]) / np.where(same, np.diff(fidelity[order]), 1.0))[same]))
    found = losses + slope * (1 - fidelity)
    return (found - found.mean()) / max(float(found.std()), 1e-12)


def _failed(status: NDArray[np.int64], observed: Floats) -> NDArray[np.bool_]:
    """Mask of the trials that failed, or ended without finite values."""
    failed: NDArray[np.bool_] = status == FAILED
    finite = np.isfinite(observed[:, 3:]).all(axis=1)
    ended = np.isin(observed[:, 1], (DONE, STOPPED)) & ~finite
    rows = observed[ended, 0].astype(np.int64)
    failed[rows[status[rows] != DROPPED]] = True
    return failed


def _last_of_each_level(rows: NDArray[np.int64], iterations: Floats, fit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask of the last fitting observation of each trial within each doubling of the iteration."""
    where = np.flatnonzero(fit)
    level = np.floor(np.log2(iterations[where]) + 1e-9)
    _, first = np.unique(np.stack([rows[where], level])[:, ::-1], axis=1, return_index=True)
    kept = np.zeros(len(fit), bool)
    kept[where[len(where) - 1 - first]] = True
    return kept


def _scalarised(values: Floats, key: int) -> Floats:
    """One loss of each observation: the augmented Chebyshev norm with random weights."""
    if values.shape[1] == 1:
        return values[:, 0]
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    drawn = -np.log(keys.uniforms(key, range(values.shape[1])))
    weighted = scaled * (drawn / drawn.sum())
    found: Floats = weighted.max(axis=1) + 0.05 * weighted.sum(axis=1)
    return found


def trust_region_side(losses: Floats, dims: int) -> float:
    """The side after the results so far: doubled after three improvements in a row, halved after many failures."""
    side, wins, fails, best = 0.8, 0, 0, math.inf
    for loss in losses.tolist():
        improved = loss < best - 1e-3 * abs(best) if math.isfinite(best) else True
        best = min(best, loss)
        wins, fails = (wins + 1, 0) if improved else (0, fails + 1)
        if wins == 3:
            side, wins = min(2 * side, 1.6), 0
        elif fails == max(4, dims):
            side, fails = side / 2, 0
        if side < 0.5**7:
            side = 0.8
    return side


register_searcher(
    Gp,
    Searcher(
        name="gp",
        supports=Supports.whole_space(UNLIMITED, intermediate=True, priors=True),
        init=_init,
        ask=_ask,
        tell=_tell,
        force=_force,
        learn_run=_learn_run,
        validate=_validate,
    ),
)

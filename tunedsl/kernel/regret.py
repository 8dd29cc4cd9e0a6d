"""An upper bound on the regret of a study, for the condition `regret_below`, from a Gaussian process.

The bound is the difference of two quantiles of the process: the lowest upper one of the configurations that were tried,
and the lowest lower one of any configuration of the space. Values worse than the median by more than the best is better
than it count as that much worse, so that failures of training do not stretch the scale.

Source: Makarova et al., Automatic Termination for Hyperparameter Optimization, AutoML 2022, arXiv:2104.08166.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tunedsl.base import codec, keys
from tunedsl.kernel.state import RunState
from tunedsl.plan import Plan
from tunedsl.searchers.gaussian_process import Features, Posterior, fit
from tunedsl.spaces.encoding import to_cube
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.sampling import uniform_points
from tunedsl.spaces.unit_interval import Floats
from tunedsl.stopping.tally import EndedTrial

MAX_TRIALS: Final = 200
"""Limit of the trials in the model: half are the best ones, half the newest."""
CANDIDATES: Final = 1000
"""Number of points of the space whose lower quantiles are compared, and of those near the best trials."""
_FIT_STEPS: Final = 30
_DELTA: Final = 0.1


def regret_bound(plan: Plan, state: RunState, ended: tuple[EndedTrial, ...]) -> float:
    """An upper bound on how much better the objective can get, in its units.

    Args:
        plan: with the space and the seed.
        state: with the trials' configurations.
        ended: the trials that ended and their losses, in that order.
    """
    layout = resolve_space(plan.space)
    if not layout.dims:
        return 0.0
    known = _selected([each for each in ended if each.trial in state.trials])
    points = np.array([to_cube(layout, codec.decode(state.trials[each.trial].config)) for each in known])
    losses = np.array([each.loss for each in known])
    middle, best = float(np.median(losses)), float(losses.min())
    losses = np.minimum(losses, 2 * middle - best)
    unit = float(losses.std())
    if unit <= 0:
        return math.inf
    reached = np.log([1.0 + each.iteration for each in known])
    features = Features.of(layout)
    x, y = features.rows(points, reached / reached.max()), (losses - losses.mean()) / unit
    posterior = Posterior.of(fit(x, y, features.groups, None, _FIT_STEPS), features.groups, x, y)
    width = math.sqrt(2 / 5 * math.log(layout.dims * len(ended) ** 2 * math.pi**2 / (6 * _DELTA)))
    mean, spread = posterior.predict(features.rows(points, 1.0))
    candidates = _candidates(layout, points[np.argsort(mean)[:10]], keys.key(plan.seed, "regret", len(ended)))
    other_mean, other_spread = posterior.predict(features.rows(candidates, 1.0))
    lowest = min(float((other_mean - width * other_spread).min()), float((mean - width * spread).min()))
    return unit * (float((mean + width * spread).min()) - lowest)


def _selected(ended: list[EndedTrial]) -> list[EndedTrial]:
    """The trials in the model, the earliest first."""
    if len(ended) <= MAX_TRIALS:
        return ended
    half = MAX_TRIALS // 2
    older = sorted(range(len(ended) - half), key=lambda place: ended[place].loss)[:half]
    return [*(ended[place] for place in sorted(older)), *ended[-half:]]


def _candidates(layout: Layout, best: Floats, key: int) -> Floats:
    """Points of the whole space, and points near the best ones."""
    spread = uniform_points(layout, key, 0, np.arange(CANDIDATES))
    draws = keys.generator(keys.key(key, "near"))
    near = best[draws.integers(len(best), size=CANDIDATES)] + draws.normal(0, 0.05, (CANDIDATES, layout.dims))
    return np.concatenate([spread, np.clip(near, 0, 1)])

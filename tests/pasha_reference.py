"""PASHA's comparison of rankings as plain passes over all trials at the last rung, to compare the incremental one with.

`grow_if_unsettled` has the signature and the meaning of the private function of `tunedsl.schedulers.pasha`.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from tunedsl.base.objective import INFEASIBLE
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.schedulers.ranking import ranked_values
from tunedsl.schedulers.rung import Rung, quantile, record


def grow_if_unsettled(spec, state, report, index):
    level = state.values[index].set(report.trial, ranked_values(report))
    state = replace(state, values=(*state.values[:index], level, *state.values[index + 1 :]))
    if spec.noise == "curves" and spec.time_attr == TRAINING_ITERATION and report.curve:
        state = replace(state, curves=state.curves.set(report.trial, report.curve))
    if index != state.promotions.limit or state.promotions.is_finishing:
        return state
    if spec.epsilon is None:
        state = _estimate_epsilon(spec, state, report, index)
    before, after = _common_values(state.values[index - 1], level)
    if all(map(rankings_agree, before.T, after.T, state.epsilons)):
        return state
    grown = replace(state.promotions, limit=index + 1)
    return replace(state, promotions=grown, noise=(Rung(),) * len(state.noise))


def _common_values(before, after):
    """The values at two rungs of the trials that reached both."""
    both = [trial for trial in after if trial in before]
    return np.array([before[trial] for trial in both]), np.array([after[trial] for trial in both])


def rankings_agree(before, after, epsilon):
    """Whether the values of the same trials at two rungs rank them the same, within `epsilon` in either order."""
    pairs = np.stack([after, before], axis=-1)
    pairs = np.where(np.isnan(pairs), -np.inf, pairs)
    ranked = pairs[np.lexsort((-pairs[:, 1], -pairs[:, 0])), 1]
    ideal = -np.sort(-pairs[:, 1])
    with np.errstate(invalid="ignore"):
        return bool(np.all((ranked == ideal) | (np.abs(ranked - ideal) <= epsilon)))


def _estimate_epsilon(spec, state, report, index):
    known = _histories(state, report.trial, index)
    if known is None:
        return state
    own, others = known
    ahead = own > others
    same = ahead == ahead[:, -1:]
    turned = np.logical_or.accumulate(~same[:, ::-1], axis=1)
    twice = np.any(turned & same[:, ::-1], axis=1)
    noise, epsilons = list(state.noise), list(state.epsilons)
    with np.errstate(invalid="ignore"):
        distances = np.abs(own[-1] - others[:, -1])
    distances[np.minimum(own[-1], others[:, -1]) <= INFEASIBLE] = np.nan
    for at in range(len(noise)):
        for distance in distances[twice[:, at] & np.isfinite(distances[:, at]), at].tolist():
            noise[at] = record(noise[at], distance)
        if noise[at].size:
            epsilons[at] = quantile(noise[at], spec.percentile / 100)
    return replace(state, noise=tuple(noise), epsilons=tuple(epsilons))


def _histories(state, trial, index):
    """The values over time of a trial, and of the others at its rung; None without others or with gaps."""
    levels = state.values[: index + 1]
    if state.curves:
        length = len(state.curves.get(trial, ()))
        curves = {each: state.curves[each][:length] for each in levels[-1] if each in state.curves}
        found = {each: curve for each, curve in curves.items() if len(curve) == length > 0}
    else:
        found = {
            each: tuple(level[each] for level in levels)
            for each in levels[-1]
            if all(each in level for level in levels)
        }
    own = found.pop(trial, None)
    return None if own is None or not found else (np.array(own), np.array(list(found.values())))

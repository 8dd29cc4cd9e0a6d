"""PASHA: the promotion variant of ASHA, which adds a rung only while the ranking of the best trials changes.

Source: Bohdal et al., PASHA: Efficient HPO and NAS with Progressive Resource Allocation (ICLR 2023), arXiv:2207.06940.
The paper estimates the noise of rankings from the trials' whole curves; this package uses the values at rungs, so that
a trial waits for decisions at its rungs only.
"""

from __future__ import annotations

from typing import Any

import attrs
import immutables
import msgspec
import numpy as np
from msgspec.structs import replace

from tunedsl.base.arguments import as_number, as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.references import call_repr
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.schedulers import paused_trials, promotion
from tunedsl.schedulers.contract import DecisionResult, Reason, Report, SchedulerContext, register_scheduler
from tunedsl.schedulers.rung import Rung, quantile, record
from tunedsl.schedulers.time_attr import canonical_number, spec_diagnostic


@value
class Pasha:
    """The settings of PASHA; see `pasha`."""

    max_t: float = 100
    grace_period: float = 1
    reduction_factor: float = 3
    epsilon: float | None = None
    percentile: float = 90
    time_attr: str = TRAINING_ITERATION

    def __repr__(self) -> str:
        return call_repr("pasha", self)


@check_arguments
def pasha(
    max_t: float = 100,
    grace_period: float = 1,
    reduction_factor: float = 3,
    epsilon: float | None = None,
    percentile: float = 90,
    time_attr: str = TRAINING_ITERATION,
) -> Pasha:
    """ASHA by promotion up to its second rung, and to a later rung when the last two rank trials differently.

    Two values within `epsilon` of each other count as equal. Trials that wait at the last rung end when no other work
    is left, so an experiment may end long before a trial reaches `max_t`.

    Args:
        max_t: the largest time of a trial, in units of `time_attr`; at least `grace_period`.
        grace_period: the time of the first rung, above 0.
        reduction_factor: the best one in `reduction_factor` trials continues at each rung; above 1.
        epsilon: largest distance of values that count as equal, in units of the objective, at least 0. By default it
            is estimated from pairs of trials that changed their order twice.
        percentile: percentile of the distances of such pairs that is used, from 0 to 100.
        time_attr: the metric that measures a trial's progress, rising with its reports. With the default, trials wait
            for decisions at rungs only; with any other, at every report.

    Returns:
        A scheduler spec. It needs an objective, and a trainable that saves and loads.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> pasha(max_t=81)
    pasha(max_t=81)
    """
    return Pasha(
        canonical_number(as_number("pasha.max_t", max_t)),
        canonical_number(as_number("pasha.grace_period", grace_period)),
        canonical_number(as_number("pasha.reduction_factor", reduction_factor)),
        None if epsilon is None else canonical_number(as_number("pasha.epsilon", epsilon)),
        canonical_number(as_number("pasha.percentile", percentile)),
        as_text("pasha.time_attr", time_attr),
    )


class PashaState(msgspec.Struct, frozen=True):
    """ASHA's state, and the data that compares the rankings of the two last rungs.

    Attributes:
        promotions: the rungs; its `limit` is the current last rung.
        values: for each rung, the value of each trial there.
        noise: distances at the last rung of pairs that changed their order twice before it.
        epsilon: largest distance of values that count as equal.
    """

    promotions: promotion.PromotionState
    values: tuple[immutables.Map[int, float], ...]
    noise: Rung = Rung()
    epsilon: float = 0.0


def init(spec: Pasha, context: SchedulerContext) -> PashaState:
    """Empty rungs, of which only the first promotes."""
    promotions = promotion.empty_state(spec, 1, len(context.objectives))
    return PashaState(promotions, tuple(immutables.Map() for _ in promotions.rungs), epsilon=spec.epsilon or 0.0)


def on_report(spec: Pasha, state: PashaState, report: Report) -> DecisionResult:
    """Records a trial at its rung, adds a rung if needed, and decides as ASHA does."""
    promotions, index = promotion.record_arrival(spec, state.promotions, report)
    if index is not None:
        state = _grow_if_unsettled(spec, replace(state, promotions=promotions), report, index)
    promotions, decision, why = promotion.decide(spec, state.promotions, report, index)
    return replace(state, promotions=promotions), decision, why


def on_add(spec: Pasha, state: PashaState, trial: int, config: Any) -> PashaState:
    """The trial runs towards the first rung."""
    return replace(state, promotions=promotion.on_add(spec, state.promotions, trial, config))


def on_end(spec: Pasha, state: PashaState, report: Report) -> PashaState:
    """A trial that ended by itself counts at the rung that it passed."""
    promotions, index = promotion.record_arrival(spec, state.promotions, report)
    state = replace(state, promotions=promotions)
    if index is not None:
        state = _grow_if_unsettled(spec, state, report, index)
    return on_remove(spec, state, report.trial)


def on_remove(spec: Pasha, state: PashaState, trial: int) -> PashaState:
    """No rung waits for the trial any longer."""
    return replace(state, promotions=promotion.on_remove(spec, state.promotions, trial))


def on_all_proposed(spec: Pasha, state: PashaState) -> PashaState:
    """Rungs that no trial runs towards are complete now."""
    return replace(state, promotions=promotion.on_all_proposed(spec, state.promotions))


def cull(spec: Pasha, state: PashaState) -> tuple[PashaState, tuple[tuple[int, Reason], ...]]:
    """The trials that can no longer be promoted."""
    promotions, lost = paused_trials.cull(spec, state.promotions)
    return replace(state, promotions=promotions), lost


def promote(spec: Pasha, state: PashaState) -> tuple[PashaState, tuple[int, Reason] | None]:
    """The best trial at the latest rung where one may continue."""
    promotions, chosen = promotion.promote(spec, state.promotions)
    return replace(state, promotions=promotions), chosen


def _grow_if_unsettled(spec: Pasha, state: PashaState, report: Report, index: int) -> PashaState:
    """The state with the trial's value, and with one more rung if the value changes the ranking."""
    level = state.values[index].set(report.trial, report.value)
    state = replace(state, values=(*state.values[:index], level, *state.values[index + 1 :]))
    if index != state.promotions.limit:
        return state
    if spec.epsilon is None:
        state = _estimate_epsilon(spec, state, report, index)
    if rankings_agree(state.values[index - 1], level, state.epsilon):
        return state
    return replace(state, promotions=replace(state.promotions, limit=index + 1), noise=Rung())


def rankings_agree(before: immutables.Map[int, float], after: immutables.Map[int, float], epsilon: float) -> bool:
    """Whether two rungs rank their common trials the same, with values within `epsilon` in either order.

    >>> before, after = immutables.Map({0: 0.9, 1: 0.8}), immutables.Map({0: 0.85, 1: 0.95})
    >>> rankings_agree(before, after, 0.0), rankings_agree(before, after, 0.2)
    (False, True)
    """
    pairs = np.array([(after[trial], before[trial]) for trial in after if trial in before]).reshape(-1, 2)
    pairs = np.where(np.isnan(pairs), -np.inf, pairs)
    ranked = pairs[np.lexsort((-pairs[:, 1], -pairs[:, 0])), 1]
    ideal = -np.sort(-pairs[:, 1])
    with np.errstate(invalid="ignore"):
        return bool(np.all((ranked == ideal) | (np.abs(ranked - ideal) <= epsilon)))


def _estimate_epsilon(spec: Pasha, state: PashaState, report: Report, index: int) -> PashaState:
    """The state with the noise of the trial's order relative to the others at its rung."""
    levels = state.values[: index + 1]
    others = [trial for trial in levels[-1] if trial != report.trial and all(trial in level for level in levels)]
    if not others or not all(report.trial in level for level in levels):
        return state
    values = np.array([[level[trial] for level in levels] for trial in others])
    own = np.array([level[report.trial] for level in levels])
    ahead = own > values
    same = ahead == ahead[:, -1:]
    # From the last rung down: the opposite order at some rung, and below it the same order again.
    turned = np.logical_or.accumulate(~same[:, ::-1], axis=1)
    twice = np.any(turned & same[:, ::-1], axis=1)
    noise = state.noise
    with np.errstate(invalid="ignore"):
        distances = np.abs(own[-1] - values[twice, -1])
    for distance in distances[np.isfinite(distances)].tolist():
        noise = record(noise, distance)
    return replace(state, noise=noise, epsilon=quantile(noise, spec.percentile / 100) if noise.size else state.epsilon)


def validate(spec: Pasha) -> list[Diagnostic]:
    """Diagnostics of invalid settings."""
    faults = promotion.validate(spec)
    if spec.epsilon is not None and not 0 <= spec.epsilon < np.inf:
        faults.append(spec_diagnostic(spec, "E078", "epsilon", "a finite number of at least 0"))
    if not 0 <= spec.percentile <= 100:
        faults.append(spec_diagnostic(spec, "E078", "percentile", "from 0 to 100"))
    return faults


def describe(spec: Pasha) -> str:
    """One line: where trials wait, and for what."""
    times = ", ".join(f"{rung:g}" for rung in promotion.rung_times(spec))
    return (
        f"trials wait at {times} until they are in the best 1 in {spec.reduction_factor:g} of those that reached it "
        f"and a slot is free, at first up to the second of these, to a later one while rankings change; "
        f"they end at {spec.max_t:g} at the latest"
    )


register_scheduler(
    Pasha,
    attrs.evolve(
        promotion.promotion_scheduler("pasha", init, on_report, describe),
        on_add=on_add,
        on_end=on_end,
        on_remove=on_remove,
        on_all_proposed=on_all_proposed,
        cull=cull,
        promote=promote,
        validate=validate,
    ),
)

"""PASHA: the promotion variant of ASHA, which adds a rung only while the ranking of the best trials changes.

Source: Bohdal et al., PASHA: Efficient HPO and NAS with Progressive Resource Allocation (ICLR 2023), arXiv:2207.06940.
The paper trains the best configuration again to its end afterwards; here the best few trials of the last rung continue.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs
import immutables
import msgspec
import numpy as np
from msgspec.structs import replace

from tunedsl.base.arguments import as_choice, as_int, as_number, as_text, check_arguments
from tunedsl.base.codec import omit_default_field, value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.references import call_repr
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.schedulers import paused_trials, promotion
from tunedsl.schedulers.contract import DecisionResult, Reason, Report, SchedulerContext, register_scheduler
from tunedsl.schedulers.pareto_ranking import DEFAULT_RANKING, FrontOrder, as_ranking
from tunedsl.schedulers.ranking import ranked_values
from tunedsl.schedulers.rung import Rung, quantile, record
from tunedsl.schedulers.rung_comparison import RungComparison, Values
from tunedsl.schedulers.time_attr import canonical_number, spec_diagnostic

Noise = Literal["curves", "rungs"]


@value
class Pasha:
    """The settings of PASHA; see `pasha`."""

    max_t: float = 100
    grace_period: float = 1
    reduction_factor: float = 3
    epsilon: float | None = None
    percentile: float = 90
    time_attr: str = TRAINING_ITERATION
    ranking: FrontOrder = omit_default_field(DEFAULT_RANKING)
    noise: Noise = omit_default_field("rungs")
    final_trials: int = omit_default_field(0)

    def __repr__(self) -> str:
        return call_repr("pasha", self, usual=pasha())


@check_arguments
def pasha(
    max_t: float = 100,
    grace_period: float = 1,
    reduction_factor: float = 3,
    epsilon: float | None = None,
    percentile: float = 90,
    time_attr: str = TRAINING_ITERATION,
    ranking: FrontOrder = DEFAULT_RANKING,
    noise: Noise = "curves",
    final_trials: int = 3,
) -> Pasha:
    """ASHA by promotion up to its second rung, and to a later rung when the last two rank trials differently.

    Two values within `epsilon` of each other count as equal. When no more trials are proposed, only the best
    `final_trials` of the last rung continue to `max_t`.

    Args:
        max_t: the largest time of a trial, in units of `time_attr`; at least `grace_period`.
        grace_period: the time of the first rung, above 0.
        reduction_factor: the best one in `reduction_factor` trials continues at each rung; above 1.
        epsilon: largest distance of values that count as equal, in units of the objective, at least 0. By default it
            is estimated from pairs of trials that changed their order twice.
        percentile: percentile of the distances of such pairs that is used, from 0 to 100.
        time_attr: the metric that measures a trial's progress, rising with its reports. With the default, trials wait
            for decisions at rungs only; with any other, at every report.
        ranking: how trials with several objectives are ranked: `epsilon_net()` or `nondominated()`. Rungs are added
            while the ranking by any of the objectives changes.
        noise: where pairs are looked for: in the whole `curves`, as in the paper, or in the values at `rungs`. With
            another `time_attr` than the default, always in the values at rungs.
        final_trials: number of trials of the last rung that continue to `max_t`, at least 0.

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
        as_ranking("pasha.ranking", ranking),
        as_choice("pasha.noise", noise, get_args(Noise)),
        as_int("pasha.final_trials", final_trials),
    )


class PashaState(msgspec.Struct, frozen=True):
    """ASHA's state, and the data that compares the rankings of the two last rungs.

    Attributes:
        promotions: the rungs; its `limit` is the current last rung.
        values: for each rung, the values of each trial there, one for each objective.
        curves: for each trial, the values at each iteration so far; empty if noise is measured at rungs.
        noise: for each objective, distances at the last rung of pairs that changed their order twice before it.
        epsilons: for each objective, the largest distance of values that count as equal.
        comparison: the trials at the last rung; None where it is to be made from `values` and `curves`.
    """

    promotions: promotion.PromotionState
    values: tuple[immutables.Map[int, Values], ...]
    noise: tuple[Rung, ...]
    epsilons: tuple[float, ...]
    curves: immutables.Map[int, tuple[Values, ...]] = immutables.Map()
    comparison: RungComparison | None = None


def init(spec: Pasha, context: SchedulerContext) -> PashaState:
    """Empty rungs, of which only the first promotes."""
    width = max(len(context.objectives), 1)
    promotions = promotion.empty_state(spec, 1, len(context.objectives))
    promotions = replace(promotions, final_trials=spec.final_trials)
    levels: tuple[immutables.Map[int, Values], ...] = (immutables.Map(),) * len(promotions.rungs)
    return PashaState(promotions, levels, (Rung(),) * width, (spec.epsilon or 0.0,) * width)


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
    """The state with the trial's values, and with one more rung if they change the ranking."""
    if state.comparison and report.trial in state.values[state.comparison.rung]:
        state = replace(state, comparison=None)  # it holds earlier values of the trial
    level = state.values[index].set(report.trial, ranked_values(report))
    state = replace(state, values=(*state.values[:index], level, *state.values[index + 1 :]))
    if spec.noise == "curves" and spec.time_attr == TRAINING_ITERATION and report.curve:
        state = replace(state, curves=state.curves.set(report.trial, report.curve))
    if index != state.promotions.limit or state.promotions.is_finishing:
        return state
    known, history = _others(spec, state, report.trial, index), _history(spec, state, report.trial, index)
    if history:
        state = _estimate_epsilon(spec, state, known, history)
    known = known.with_trial(state.values[index - 1].get(report.trial), level[report.trial], history)
    if known.ranks_agree(state.epsilons):
        return replace(state, comparison=known)
    grown = replace(state.promotions, limit=index + 1)
    return replace(state, promotions=grown, noise=(Rung(),) * len(state.noise), comparison=None)


def _others(spec: Pasha, state: PashaState, trial: int, index: int) -> RungComparison:
    """The comparison of the trials at a rung without one that has just arrived."""
    before, known, on_curves = state.values[index - 1], state.comparison, bool(state.curves)
    if known and (known.rung, known.on_curves) == (index, on_curves):
        return known
    known = RungComparison.empty(index, on_curves, len(state.epsilons))
    for other, values in state.values[index].items():
        if other != trial:
            known = known.with_trial(before.get(other), values, _history(spec, state, other, index))
    return known


def _history(spec: Pasha, state: PashaState, trial: int, index: int) -> tuple[Values, ...]:
    """The values of a trial over time, for the noise of its order; empty with gaps, and where noise is not measured."""
    if spec.epsilon is not None:
        return ()
    if state.curves:
        return state.curves.get(trial, ())
    levels = state.values[: index + 1]
    return tuple(level[trial] for level in levels) if all(trial in level for level in levels) else ()


def _estimate_epsilon(
    spec: Pasha, state: PashaState, others: RungComparison, history: tuple[Values, ...]
) -> PashaState:
    """The state with the noise of a trial's order relative to the others at its rung."""
    noise, epsilons = list(state.noise), list(state.epsilons)
    for at in range(len(noise)):
        for distance in others.noise(history, at):
            noise[at] = record(noise[at], distance)
        if noise[at].size:
            epsilons[at] = quantile(noise[at], spec.percentile / 100)
    return replace(state, noise=tuple(noise), epsilons=tuple(epsilons))


def validate(spec: Pasha) -> list[Diagnostic]:
    """Diagnostics of invalid settings."""
    faults = promotion.validate(spec)
    if spec.epsilon is not None and not 0 <= spec.epsilon < np.inf:
        faults.append(spec_diagnostic(spec, "E078", "epsilon", "a finite number of at least 0"))
    if not 0 <= spec.percentile <= 100:
        faults.append(spec_diagnostic(spec, "E078", "percentile", "from 0 to 100"))
    if spec.final_trials < 0:
        faults.append(spec_diagnostic(spec, "E078", "final_trials", "at least 0"))
    return faults


def describe(spec: Pasha) -> str:
    """One line: where trials wait, and for what."""
    times = ", ".join(f"{rung:g}" for rung in promotion.rung_times(spec))
    last = f"the best {spec.final_trials} of the last rung end" if spec.final_trials else "they end"
    return (
        f"trials wait at {times} until they are in the best 1 in {spec.reduction_factor:g} of those that reached it "
        f"and a slot is free, at first up to the second of these, to a later one while rankings change; "
        f"{last} at {spec.max_t:g} at the latest"
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
        reads_curves=True,
    ),
)

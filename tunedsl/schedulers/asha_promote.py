"""ASHA, the promotion variant: trials pause at each rung, and the best of a rung continue when a slot is free.

Source: Li et al., A System for Massively Parallel Hyperparameter Tuning (MLSys 2020), arXiv:1810.05934, algorithm 2.
The paper's loop does not end. Here, when no more trials are proposed and no trial runs towards a rung, trials that can
no longer be promoted end, and a rung that has promoted no trial promotes its best one.
"""

from __future__ import annotations

from tunedsl.base.arguments import as_number, as_text, check_arguments
from tunedsl.base.codec import omit_default_field, value
from tunedsl.base.references import call_repr
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.schedulers import promotion
from tunedsl.schedulers.contract import DecisionResult, Report, SchedulerContext, register_scheduler
from tunedsl.schedulers.pareto_ranking import DEFAULT_RANKING, FrontOrder, as_ranking
from tunedsl.schedulers.time_attr import canonical_number


@value
class AshaPromote:
    """The settings of ASHA's promotion variant; see `asha_promote`."""

    max_t: float = 100
    grace_period: float = 1
    reduction_factor: float = 4
    time_attr: str = TRAINING_ITERATION
    ranking: FrontOrder = omit_default_field(DEFAULT_RANKING)

    def __repr__(self) -> str:
        return call_repr("asha_promote", self)


@check_arguments
def asha_promote(
    max_t: float = 100,
    grace_period: float = 1,
    reduction_factor: float = 4,
    time_attr: str = TRAINING_ITERATION,
    ranking: FrontOrder = DEFAULT_RANKING,
) -> AshaPromote:
    """Pauses each trial at each rung, and resumes one of the best `1 / reduction_factor` when a slot is free.

    Rungs are `grace_period * reduction_factor**k` below `max_t`. A free slot goes to the best trial at the latest rung
    where one may continue, or else to a new trial.

    Args:
        max_t: time at which a trial ends, in units of `time_attr`; at least `grace_period`.
        grace_period: the time of the first rung, above 0.
        reduction_factor: the best one in `reduction_factor` trials continues at each rung; above 1.
        time_attr: the metric that measures a trial's progress, rising with its reports. With the default, trials wait
            for decisions at rungs only; with any other, at every report.
        ranking: how trials with several objectives are ranked: `epsilon_net()` or `nondominated()`.

    Returns:
        A scheduler spec. It needs an objective, and a trainable that saves and loads.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> asha_promote(max_t=81, reduction_factor=3)
    asha_promote(max_t=81, reduction_factor=3)
    """
    return AshaPromote(
        canonical_number(as_number("asha_promote.max_t", max_t)),
        canonical_number(as_number("asha_promote.grace_period", grace_period)),
        canonical_number(as_number("asha_promote.reduction_factor", reduction_factor)),
        as_text("asha_promote.time_attr", time_attr),
        as_ranking("asha_promote.ranking", ranking),
    )


def init(spec: AshaPromote, context: SchedulerContext) -> promotion.PromotionState:
    """Empty rungs, which all promote."""
    return promotion.empty_state(spec, len(promotion.rung_times(spec)), len(context.objectives))


def on_report(spec: AshaPromote, state: promotion.PromotionState, report: Report) -> DecisionResult:
    """Pauses a trial at its rung, unless it would be promoted at once."""
    state, index = promotion.record_arrival(spec, state, report)
    return promotion.decide(spec, state, report, index)


def describe(spec: AshaPromote) -> str:
    """One line: where trials wait, and for what."""
    times = ", ".join(f"{rung:g}" for rung in promotion.rung_times(spec))
    return (
        f"trials wait at {times} until they are in the best 1 in {spec.reduction_factor:g} of those that reached it "
        f"and a slot is free; they end at {spec.max_t:g}"
    )


register_scheduler(AshaPromote, promotion.promotion_scheduler("asha_promote", init, on_report, describe))

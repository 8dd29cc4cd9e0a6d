"""ASHA, the stopping variant: at each milestone, only the best of the trials that have reached it continue.

Source: Li et al., A System for Massively Parallel Hyperparameter Tuning (MLSys 2020), arXiv:1810.05934; decides as
`AsyncHyperBandScheduler` of Ray Tune does on the same reports.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import immutables
import msgspec
import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import as_bool, as_int, as_number, as_text, check_arguments
from tunedsl.base.codec import omit_default_field, value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError
from tunedsl.base.references import call_repr
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.schedulers import pareto_ranking
from tunedsl.schedulers.contract import (
    UNLIMITED,
    At,
    Decision,
    DecisionPoints,
    DecisionResult,
    Report,
    Requirements,
    Scheduler,
    SchedulerContext,
    reason,
    register_scheduler,
)
from tunedsl.schedulers.pareto_ranking import DEFAULT_RANKING, FrontOrder, ParetoRanking, as_ranking
from tunedsl.schedulers.ranking import ranked_values
from tunedsl.schedulers.rung import Rung, quantile, record
from tunedsl.schedulers.time_attr import (
    canonical_number,
    check_max_t,
    check_reduction_factor,
    decision_points_at,
    spec_diagnostic,
    time_metrics,
    time_of,
)

MAX_RUNGS: Final = 10_000
"""Limit of the milestones of all brackets together."""


@value
class Asha:
    """The settings of ASHA; see `asha`."""

    max_t: float = 100
    grace_period: float = 1
    reduction_factor: float = 4
    brackets: int = 1
    stop_last_trials: bool = True
    time_attr: str = TRAINING_ITERATION
    ranking: FrontOrder = omit_default_field(DEFAULT_RANKING)

    def __repr__(self) -> str:
        return call_repr("asha", self)


@check_arguments
def asha(
    max_t: float = 100,
    grace_period: float = 1,
    reduction_factor: float = 4,
    brackets: int = 1,
    stop_last_trials: bool = True,
    time_attr: str = TRAINING_ITERATION,
    ranking: FrontOrder = DEFAULT_RANKING,
) -> Asha:
    """Stops a trial at a milestone if it is not among the best `1 / reduction_factor` of earlier trials there.

    Milestones are `grace_period * reduction_factor**k` up to `max_t`.

    Args:
        max_t: time at which a trial ends, in units of `time_attr`; at least `grace_period`.
        grace_period: the first milestone, before which no trial stops, above 0.
        reduction_factor: about one in `reduction_factor` trials continues at each milestone; above 1.
        brackets: number of brackets, at least 1. Bracket `s` starts `s` milestones later. A trial's number determines
            its bracket.
        stop_last_trials: whether trials end at `max_t`; if not, trials that passed every milestone continue.
        time_attr: the metric that measures a trial's progress, rising with its reports. With the default, trials wait
            for decisions at milestones only; with any other, at every report.
        ranking: how trials with several objectives are ranked: `epsilon_net()` or `nondominated()`.

    Returns:
        A scheduler spec. It needs an objective.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> asha(max_t=81, reduction_factor=3)
    asha(max_t=81, reduction_factor=3)
    """
    return Asha(
        canonical_number(as_number("asha.max_t", max_t)),
        canonical_number(as_number("asha.grace_period", grace_period)),
        canonical_number(as_number("asha.reduction_factor", reduction_factor)),
        as_int("asha.brackets", brackets),
        as_bool("asha.stop_last_trials", stop_last_trials),
        as_text("asha.time_attr", time_attr),
        as_ranking("asha.ranking", ranking),
    )


class AshaState(msgspec.Struct, frozen=True):
    """The rungs of each bracket, latest milestone first, and the rungs at which each running trial was recorded.

    Attributes:
        key: the key that determines the brackets of trials.
        brackets: one rung for each milestone of each bracket.
        recorded: for each trial, a bit for each rung of its bracket.
    """

    key: int
    brackets: tuple[tuple[Rung | ParetoRanking, ...], ...]
    recorded: immutables.Map[int, int] = immutables.Map()


def init(spec: Asha, context: SchedulerContext) -> AshaState:
    """Empty rungs."""
    width = len(context.objectives)
    empty = ParetoRanking(spec.ranking, width) if width else Rung()
    return AshaState(context.key, tuple((empty,) * len(bracket) for bracket in milestones(spec)))


@functools.lru_cache(maxsize=64)
def milestones(spec: Asha) -> tuple[tuple[float, ...], ...]:
    """The milestones of each bracket, latest first.

    >>> milestones(asha(max_t=27, reduction_factor=3, brackets=2))
    ((27, 9, 3, 1), (27, 9, 3))
    """
    # NumPy's logarithm and truncation are those of Ray Tune: they decide whether max_t itself is a milestone.
    deepest = np.log(spec.max_t / spec.grace_period) / np.log(spec.reduction_factor)
    if not spec.brackets * (deepest + 1) <= MAX_RUNGS:
        total = spec.brackets * (deepest + 1)
        message = f"asha(...) has {total:,.0f} milestones, more than the limit of {MAX_RUNGS:,}."
        raise ArgumentError("E003", "asha", message, "use fewer brackets, or a larger reduction_factor")
    return tuple(
        tuple(
            spec.grace_period * spec.reduction_factor ** (k + bracket)
            for k in reversed(range(int(deepest - bracket + 1)))
        )
        for bracket in range(spec.brackets)
    )


@functools.lru_cache(maxsize=64)
def _cumulative_bracket_shares(spec: Asha) -> tuple[float, ...]:
    """Cumulative probability of the brackets: a softmax of their numbers of milestones."""
    sizes = np.array([len(bracket) for bracket in milestones(spec)])
    weights = np.e ** (sizes - sizes.max())
    return tuple(np.cumsum(weights / weights.sum()).tolist())


def bracket_of(spec: Asha, key: int, trial: int) -> int:
    """The bracket of a trial, which depends only on the key and the trial's number."""
    if spec.brackets == 1:
        return 0
    point = keys.uniform(keys.key(key, "bracket", trial))
    return min(int(np.searchsorted(_cumulative_bracket_shares(spec), point, side="right")), spec.brackets - 1)


def on_report(spec: Asha, state: AshaState, report: Report) -> DecisionResult:
    """Stops a trial at `max_t`, or below the cut of a milestone that it has just passed."""
    time = time_of(spec.time_attr, report)
    if time is None:
        return state, "continue", None
    if time >= spec.max_t and spec.stop_last_trials:
        return state, "stop", reason("asha", reached=time, max_t=spec.max_t)
    return _compare_at_milestone(spec, state, report, time)


def on_end(spec: Asha, state: AshaState, report: Report) -> AshaState:
    """Records a trial's last value at the milestone that it passed, and removes the trial."""
    time = time_of(spec.time_attr, report)
    if time is not None:
        state = _compare_at_milestone(spec, state, report, time)[0]
    if report.trial not in state.recorded:
        return state
    return AshaState(state.key, state.brackets, state.recorded.delete(report.trial))


def _compare_at_milestone(spec: Asha, state: AshaState, report: Report, time: float) -> DecisionResult:
    """Compares and records the trial at the latest milestone that it passed without a record.

    A NaN is below no cut and is not added to the rung, but the trial counts as recorded there.
    """
    bracket = bracket_of(spec, state.key, report.trial)
    seen = state.recorded.get(report.trial, 0)
    for index, milestone in enumerate(milestones(spec)[bracket]):
        if time < milestone:
            continue
        if seen >> index & 1:
            if spec.stop_last_trials:
                continue
            break
        rungs = state.brackets[bracket]
        rung, decision, facts = _compare(spec, rungs[index], report)
        rungs = (*rungs[:index], rung, *rungs[index + 1 :])
        state = AshaState(
            state.key,
            (*state.brackets[:bracket], rungs, *state.brackets[bracket + 1 :]),
            state.recorded.set(report.trial, seen | 1 << index),
        )
        return state, decision, reason("asha", bracket=bracket, milestone=milestone, **facts)
    return state, "continue", None


def _compare(
    spec: Asha, rung: Rung | ParetoRanking, report: Report
) -> tuple[Rung | ParetoRanking, Decision, dict[str, int | float]]:
    """The rung with the report, the decision, and the facts that it compared."""
    values, count = ranked_values(report), rung.size
    if isinstance(rung, Rung):
        # To percent and back, as in Ray Tune, for the same rounding.
        cut = quantile(rung, (1 - 1 / spec.reduction_factor) * 100 / 100)
        decision: Decision = "stop" if values[0] < cut else "continue"
        return record(rung, values[0]), decision, {"value": report.value, "cut": cut, "competitors": count}
    if any(map(math.isnan, values)):
        return rung, "continue", {"competitors": count}
    rung = pareto_ranking.insert(rung, report.trial, tuple(-value for value in values))
    place, places = pareto_ranking.place(rung, report.trial), int((count - 1) / spec.reduction_factor)
    facts = {"front": pareto_ranking.front_of(rung, report.trial) + 1, "place": place + 1, "places": places + 1}
    return rung, "stop" if place > places else "continue", {**facts, "competitors": count}


def decision_points(spec: Asha) -> DecisionPoints:
    """The iterations at which a milestone is passed, without `max_t` if trials end there."""
    times = (time for bracket in milestones(spec) for time in bracket)
    return decision_points_at(
        spec.time_attr, (time for time in times if math.ceil(time) < spec.max_t or not spec.stop_last_trials)
    )


def first_decision(spec: Asha) -> tuple[str, float]:
    """The first milestone."""
    return spec.time_attr, spec.grace_period


def last_iteration(spec: Asha) -> int | None:
    """`max_t`, if it counts iterations and ends trials."""
    return math.ceil(spec.max_t) if spec.stop_last_trials and spec.time_attr == TRAINING_ITERATION else None


def validate(spec: Asha) -> list[Diagnostic]:
    """Diagnostics of invalid settings."""
    faults = check_reduction_factor(spec)
    if not (math.isfinite(spec.grace_period) and spec.grace_period > 0):
        faults.append(spec_diagnostic(spec, "E042", "grace_period", "a number above 0"))
    faults += check_max_t(spec)
    if math.isfinite(spec.max_t) and 0 < spec.max_t < spec.grace_period:
        expected = f"at least grace_period={spec.grace_period!r}"
        hint = f"write max_t={spec.grace_period!r}, or a smaller grace_period"
        faults.append(spec_diagnostic(spec, "E040", "max_t", expected, hint))
    if spec.brackets < 1:
        faults.append(spec_diagnostic(spec, "E044", "brackets", "at least 1"))
    elif not faults and not milestones(spec)[-1]:
        most = sum(1 for bracket in milestones(spec) if bracket)
        hint = f"the other brackets have no milestone up to max_t={spec.max_t!r}"
        faults.append(spec_diagnostic(spec, "E044", "brackets", f"at most {most}", hint))
    return faults


def describe(spec: Asha) -> str:
    """One line: where trials are compared, and how many continue."""
    points = decision_points(spec)
    times = ", ".join(map(str, points.iterations)) if isinstance(points, At) else f"milestones of {spec.time_attr}"
    ends = f"; trials end at {spec.max_t:g}" if spec.stop_last_trials else ""
    return f"about 1 in {spec.reduction_factor:g} continues at {times}{ends}"


def _requirements(spec: Any) -> Requirements:
    return Requirements(objective=True, objectives=UNLIMITED)


register_scheduler(
    Asha,
    Scheduler(
        "asha",
        init,
        on_report,
        decision_points,
        describe,
        on_end=on_end,
        last_iteration=last_iteration,
        requirements=_requirements,
        first_decision=first_decision,
        metrics_used=time_metrics,
        validate=validate,
    ),
)

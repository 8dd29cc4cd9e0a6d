"""Rungs at which trials wait for promotion, the common part of `asha_promote` and `pasha`.

The functions are those of a scheduler or parts of them, for any spec with `max_t`, `grace_period`, `reduction_factor`
and `time_attr`. The state says which rungs promote, so that an algorithm can add rungs.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import immutables
import msgspec
from msgspec.structs import replace

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.schedulers.asha import Asha, first_decision, milestones
from tunedsl.schedulers.asha import validate as validate_asha
from tunedsl.schedulers.contract import (
    DecisionPoints,
    DecisionResult,
    Describe,
    Init,
    OnReport,
    Reason,
    Report,
    Requirements,
    Scheduler,
    reason,
    scheduler_of,
)
from tunedsl.schedulers.pareto_ranking import ParetoRanking
from tunedsl.schedulers.paused_trials import Decided, cull, requirements, without
from tunedsl.schedulers.ranking import RankEntry, Ranking, add, first_of, insert, rank, rank_entry, remove
from tunedsl.schedulers.time_attr import decision_points_at, time_metrics, time_of


class RungState(msgspec.Struct, frozen=True):
    """The state of one rung.

    Attributes:
        arrived: all trials that reached it, by their values there.
        waiting: those that are paused there.
        running_count: number of trials that run towards it.
        promoted_count: number of trials that continued from it.
        quota: number of the best that may continue, once no more trials can reach it; -1 before.
    """

    arrived: Ranking | ParetoRanking = Ranking()
    waiting: Ranking = Ranking()
    running_count: int = 0
    promoted_count: int = 0
    quota: int = -1


class PromotionState(msgspec.Struct, frozen=True):
    """The rungs, and where each trial is.

    Attributes:
        rungs: by time, rising.
        limit: number of rungs that promote, from the first.
        rung_of: for each trial, the rung that it runs towards, or the rung where it waits and its entry there.
        to_stop: paused trials to stop, with reasons.
        all_proposed: whether no more trials are proposed.
        final_trials: number of the best trials at a rung beyond the limit that continue once no more trials come.
        is_finishing: whether such trials continue.
    """

    rungs: tuple[RungState, ...]
    limit: int
    rung_of: immutables.Map[int, tuple[int, RankEntry | None]] = immutables.Map()
    to_stop: Decided = ()
    all_proposed: bool = False
    final_trials: int = 0
    is_finishing: bool = False


def rung_times(spec: Any) -> tuple[float, ...]:
    """The times of the rungs, rising, all below `max_t`."""
    plain = Asha(spec.max_t, spec.grace_period, spec.reduction_factor)
    return tuple(time for time in reversed(milestones(plain)[0]) if time < spec.max_t)


def empty_state(spec: Any, limit: int, objectives: int) -> PromotionState:
    """Empty rungs, of which the first `limit` promote."""
    arrived = ParetoRanking(spec.ranking, objectives) if objectives > 1 else Ranking()
    return PromotionState((RungState(arrived),) * len(rung_times(spec)), min(limit, len(rung_times(spec))))


def on_add(spec: Any, state: PromotionState, trial: int, config: Any) -> PromotionState:
    """The trial runs towards the first rung."""
    return _send_to_rung(state, trial, 0)


def record_arrival(spec: Any, state: PromotionState, report: Report) -> tuple[PromotionState, int | None]:
    """Records a trial at the latest rung that it has passed, where it waits; returns the rung if it is a new one."""
    time = time_of(spec.time_attr, report)
    target, waits = state.rung_of.get(report.trial, (0, (0.0, 0)))
    if time is None or waits is not None or time >= spec.max_t:
        return state, None
    passed = [index for index, rung in enumerate(rung_times(spec)) if rung <= time and index >= target]
    if not passed:
        return state, None
    item, index = rank_entry(report), passed[-1]
    state = _update_rung(state, target, running_count=state.rungs[target].running_count - 1)
    rung = state.rungs[index]
    state = _update_rung(state, index, arrived=add(rung.arrived, item), waiting=insert(rung.waiting, item))
    return replace(state, rung_of=state.rung_of.set(report.trial, (index, item))), index


def decide(spec: Any, state: PromotionState, report: Report, index: int | None) -> DecisionResult:
    """The decision for a trial that has just reached rung `index`; None for no rung."""
    if index is None:
        time = time_of(spec.time_attr, report)
        if time is None or time < spec.max_t or report.trial not in state.rung_of:
            return state, "continue", None
        why = reason(scheduler_of(spec).name, reached=time, max_t=spec.max_t)
        return settle(spec, _remove_trial(state, report.trial)), "stop", why
    state = settle(spec, state)
    for trial, why in state.to_stop:
        if trial == report.trial:
            return replace(state, to_stop=without(state.to_stop, trial)), "stop", why
    why = _promotion_reason(spec, state, index, rank_entry(report))
    promoted, chosen = promote(spec, state)
    if chosen is not None and chosen[0] == report.trial:
        return promoted, "continue", why
    return state, "pause", why


def on_end(spec: Any, state: PromotionState, report: Report) -> PromotionState:
    """A trial that ended by itself counts at the rung that it passed, and waits nowhere."""
    return on_remove(spec, record_arrival(spec, state, report)[0], report.trial)


def on_remove(spec: Any, state: PromotionState, trial: int) -> PromotionState:
    """No rung waits for the trial any longer; its values at rungs remain."""
    return settle(spec, _remove_trial(state, trial)) if trial in state.rung_of else state


def on_all_proposed(spec: Any, state: PromotionState) -> PromotionState:
    """Rungs that no trial runs towards are complete now."""
    return settle(spec, replace(state, all_proposed=True))


def promote(spec: Any, state: PromotionState) -> tuple[PromotionState, tuple[int, Reason] | None]:
    """The best trial at the latest rung where one may continue."""
    for index in reversed(range(state.limit)):
        rung = state.rungs[index]
        if not rung.waiting.size:
            continue
        item = first_of(rung.arrived, rung.waiting)
        if rank(rung.arrived, item) < _quota(spec, rung):
            why = _promotion_reason(spec, state, index, item)
            state = _update_rung(
                state, index, waiting=remove(rung.waiting, item), promoted_count=rung.promoted_count + 1
            )
            return _send_to_rung(state, item[1], index + 1), (item[1], why)
    return state, None


def settle(spec: Any, state: PromotionState) -> PromotionState:
    """Once no more trials are proposed: stops the trials that cannot be promoted, the first rung first."""
    if not state.all_proposed:
        return state
    for index in range(len(state.rungs)):
        rung = state.rungs[index]
        if rung.running_count:
            break
        if rung.quota < 0:
            best = max(_quota(spec, rung), int(not rung.promoted_count))
            if index >= state.limit:
                best = min(state.final_trials, rung.arrived.size)
                state = replace(state, limit=state.limit + (best > 0), is_finishing=best > 0)
            state = _stop_unpromotable(spec, _update_rung(state, index, quota=best), index)
        if state.rungs[index].waiting.size:
            break
    return state


def _stop_unpromotable(spec: Any, state: PromotionState, index: int) -> PromotionState:
    rung = state.rungs[index]
    waiting, where, lost = rung.waiting, state.rung_of, list(state.to_stop)
    for item in rung.waiting:
        if rank(rung.arrived, item) >= rung.quota:
            waiting, where = remove(waiting, item), where.delete(item[1])
            lost.append((item[1], _promotion_reason(spec, state, index, item)))
    return replace(_update_rung(state, index, waiting=waiting), rung_of=where, to_stop=tuple(lost))


def _quota(spec: Any, rung: RungState) -> int:
    """The number of the best trials of a rung that may continue."""
    return rung.quota if rung.quota >= 0 else int(rung.arrived.size / spec.reduction_factor)


def _send_to_rung(state: PromotionState, trial: int, index: int) -> PromotionState:
    """The trial runs towards a rung, or to its end after the last one."""
    state = replace(state, rung_of=state.rung_of.set(trial, (index, None)))
    return (
        _update_rung(state, index, running_count=state.rungs[index].running_count + 1)
        if index < len(state.rungs)
        else state
    )


def _remove_trial(state: PromotionState, trial: int) -> PromotionState:
    index, item = state.rung_of[trial]
    state = replace(state, rung_of=state.rung_of.delete(trial))
    if index == len(state.rungs):
        return state
    rung = state.rungs[index]
    if item is None:
        return _update_rung(state, index, running_count=rung.running_count - 1)
    return _update_rung(state, index, waiting=remove(rung.waiting, item))


def _update_rung(state: PromotionState, index: int, **changes: Any) -> PromotionState:
    """The state with one rung changed."""
    rungs = (*state.rungs[:index], replace(state.rungs[index], **changes), *state.rungs[index + 1 :])
    return replace(state, rungs=rungs)


def _promotion_reason(spec: Any, state: PromotionState, index: int, item: RankEntry) -> Reason:
    rung, loss = state.rungs[index], item[0]
    facts = {} if isinstance(loss, tuple) else {"value": -loss}
    return reason(
        scheduler_of(spec).name,
        rung=rung_times(spec)[index],
        **facts,
        place=rank(rung.arrived, item) + 1,
        places=_quota(spec, rung) if index < state.limit else 0,
        competitors=rung.arrived.size,
    )


def decision_points(spec: Any) -> DecisionPoints:
    """The iterations at which a rung is passed."""
    return decision_points_at(spec.time_attr, (rung for rung in rung_times(spec) if math.ceil(rung) < spec.max_t))


def last_iteration(spec: Any) -> int | None:
    """`max_t`, if it counts iterations."""
    return math.ceil(spec.max_t) if spec.time_attr == TRAINING_ITERATION else None


def validate(spec: Any) -> list[Diagnostic]:
    """Diagnostics of invalid settings."""
    return validate_asha(Asha(spec.max_t, spec.grace_period, spec.reduction_factor))


def promotion_requirements(spec: Any) -> Requirements:
    """What these schedulers require: the losers of a rung wait, as later trials may let them continue."""
    found: Requirements = attrs.evolve(requirements(spec), ends_losers_last=True)
    return found


def promotion_scheduler(name: str, init: Init, on_report: OnReport, describe: Describe) -> Scheduler:
    """The scheduler of an algorithm whose state is a `PromotionState`."""
    return Scheduler(
        name,
        init,
        on_report,
        decision_points,
        describe,
        on_add=on_add,
        on_end=on_end,
        on_remove=on_remove,
        on_all_proposed=on_all_proposed,
        cull=cull,
        promote=promote,
        last_iteration=last_iteration,
        requirements=promotion_requirements,
        first_decision=first_decision,
        metrics_used=time_metrics,
        validate=validate,
    )

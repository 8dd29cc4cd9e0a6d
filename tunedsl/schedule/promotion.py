"""Rungs that trials wait at until they are promoted: what the algorithms that promote have in common.

The functions take any spec with `max_t`, `grace_period`, `reduction_factor` and `time_attr`, and are those of a
scheduler or parts of them. Which rungs promote is in the state, so that an algorithm may let them grow.
"""

from __future__ import annotations

import math
from typing import Any

import immutables
import msgspec
from msgspec.structs import replace

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.vocabulary import TRAINING_ITERATION
from tunedsl.schedule.asha import Asha, milestones
from tunedsl.schedule.asha import validate as asha_faults
from tunedsl.schedule.contract import DecisionPoints, Needs, Note, Outcome, Report, note, scheduler_of
from tunedsl.schedule.progress import metrics_read, points, time_of
from tunedsl.schedule.ranking import Entry, Ranking, at_rank, entry, place, rank, remove


class Stage(msgspec.Struct, frozen=True):
    """What came to one rung.

    Attributes:
        came: everybody who did, with the value they had there.
        waiting: those of them that are paused there.
        under_way: how many trials run towards it.
        promoted: how many went on from it.
        places: once nobody can come any more, how many of the best may go on; -1 before.
    """

    came: Ranking = Ranking()
    waiting: Ranking = Ranking()
    under_way: int = 0
    promoted: int = 0
    places: int = -1


class State(msgspec.Struct, frozen=True):
    """The rungs, and where each trial is.

    Attributes:
        stages: by time, rising.
        limit: how many of them promote; from the others nobody goes on.
        where: for each trial, the rung that it runs towards, or the one that it waits at and its entry there.
        lost: paused trials to end, and why.
        full: whether no more trials come.
    """

    stages: tuple[Stage, ...]
    limit: int
    where: immutables.Map[int, tuple[int, Entry | None]] = immutables.Map()
    lost: tuple[tuple[int, Note], ...] = ()
    full: bool = False


def rungs(spec: Any) -> tuple[float, ...]:
    """The times of the rungs, rising; `max_t` is none of them."""
    plain = Asha(spec.max_t, spec.grace_period, spec.reduction_factor)
    return tuple(time for time in reversed(milestones(plain)[0]) if time < spec.max_t)


def empty(spec: Any, limit: int) -> State:
    """Empty rungs, of which the first `limit` promote."""
    return State(tuple(Stage() for _ in rungs(spec)), min(limit, len(rungs(spec))))


def on_add(spec: Any, state: State, trial: int, config: Any) -> State:
    """The trial is under way to the first rung."""
    return _bound_for(state, trial, 0)


def arrived(spec: Any, state: State, report: Report) -> tuple[State, int | None]:
    """Records a trial at the latest rung that it has passed, and says which, if it is a new one; it waits there."""
    time = time_of(spec.time_attr, report)
    target, waits = state.where.get(report.trial, (0, (0.0, 0)))
    if time is None or waits is not None or time >= spec.max_t:
        return state, None
    passed = [index for index, rung in enumerate(rungs(spec)) if rung <= time and index >= target]
    if not passed:
        return state, None
    item, index = entry(report.trial, report.value), passed[-1]
    state = _with(state, target, under_way=state.stages[target].under_way - 1)
    stage = state.stages[index]
    state = _with(state, index, came=place(stage.came, item), waiting=place(stage.waiting, item))
    return replace(state, where=state.where.set(report.trial, (index, item))), index


def decided(spec: Any, state: State, report: Report, index: int | None) -> Outcome:
    """What becomes of a trial that has just arrived at rung `index`, or at none."""
    if index is None:
        time = time_of(spec.time_attr, report)
        if time is None or time < spec.max_t or report.trial not in state.where:
            return state, "continue", None
        why = note(scheduler_of(spec).name, reached=time, max_t=spec.max_t)
        return settled(spec, _left(state, report.trial)), "stop", why
    state = settled(spec, state)
    for trial, why in state.lost:
        if trial == report.trial:
            return replace(state, lost=tuple(pair for pair in state.lost if pair[0] != trial)), "stop", why
    why = _why(spec, state, index, entry(report.trial, report.value))
    promoted, chosen = promote(spec, state)
    if chosen is not None and chosen[0] == report.trial:
        return promoted, "continue", why
    return state, "pause", why


def on_end(spec: Any, state: State, report: Report) -> State:
    """A trial that ended by itself counts at the rung that it passed, and waits nowhere."""
    return on_leave(spec, arrived(spec, state, report)[0], report.trial)


def on_leave(spec: Any, state: State, trial: int) -> State:
    """Nobody waits for the trial any more; what it had at its rungs stands."""
    return settled(spec, _left(state, trial)) if trial in state.where else state


def on_full(spec: Any, state: State) -> State:
    """From here on, rungs to which nobody is under way are settled."""
    return settled(spec, replace(state, full=True))


def cull(spec: Any, state: State) -> tuple[State, tuple[tuple[int, Note], ...]]:
    """Those that can no longer be promoted."""
    return (replace(state, lost=()), state.lost) if state.lost else (state, ())


def promote(spec: Any, state: State) -> tuple[State, tuple[int, Note] | None]:
    """The best that waits at the latest rung where one may go on."""
    for index in reversed(range(state.limit)):
        stage = state.stages[index]
        if not stage.waiting.size:
            continue
        item = at_rank(stage.waiting, 0)
        if rank(stage.came, item) < _places(spec, stage):
            why = _why(spec, state, index, item)
            state = _with(state, index, waiting=remove(stage.waiting, item), promoted=stage.promoted + 1)
            return _bound_for(state, item[1], index + 1), (item[1], why)
    return state, None


def settled(spec: Any, state: State) -> State:
    """Once no more trials come: gives up those who wait in vain, from the first rung on."""
    if not state.full:
        return state
    for index in range(len(state.stages)):
        stage = state.stages[index]
        if stage.under_way:
            break
        if stage.places < 0:
            best = max(_places(spec, stage), int(not stage.promoted))
            state = _with(state, index, places=best if index < state.limit else 0)
            state = _given_up(spec, state, index)
        if state.stages[index].waiting.size:
            break
    return state


def _given_up(spec: Any, state: State, index: int) -> State:
    stage = state.stages[index]
    waiting, where, lost = stage.waiting, state.where, list(state.lost)
    for item in stage.waiting:
        if rank(stage.came, item) >= stage.places:
            waiting, where = remove(waiting, item), where.delete(item[1])
            lost.append((item[1], _why(spec, state, index, item)))
    return replace(_with(state, index, waiting=waiting), where=where, lost=tuple(lost))


def _places(spec: Any, stage: Stage) -> int:
    """How many of the best of a rung may go on."""
    return stage.places if stage.places >= 0 else int(stage.came.size / spec.reduction_factor)


def _bound_for(state: State, trial: int, index: int) -> State:
    """The trial runs towards a rung, or from the last one to its end."""
    state = replace(state, where=state.where.set(trial, (index, None)))
    return _with(state, index, under_way=state.stages[index].under_way + 1) if index < len(state.stages) else state


def _left(state: State, trial: int) -> State:
    index, item = state.where[trial]
    state = replace(state, where=state.where.delete(trial))
    if index == len(state.stages):
        return state
    stage = state.stages[index]
    if item is None:
        return _with(state, index, under_way=stage.under_way - 1)
    return _with(state, index, waiting=remove(stage.waiting, item))


def _with(state: State, index: int, **changes: Any) -> State:
    """The state with one rung changed."""
    stages = (*state.stages[:index], replace(state.stages[index], **changes), *state.stages[index + 1 :])
    return replace(state, stages=stages)


def _why(spec: Any, state: State, index: int, item: Entry) -> Note:
    stage = state.stages[index]
    return note(
        scheduler_of(spec).name,
        rung=rungs(spec)[index],
        value=-item[0],
        place=rank(stage.came, item) + 1,
        places=_places(spec, stage) if index < state.limit else 0,
        competitors=stage.came.size,
    )


def decision_points(spec: Any) -> DecisionPoints:
    """The iterations at which a rung is passed."""
    return points(spec.time_attr, (rung for rung in rungs(spec) if math.ceil(rung) < spec.max_t))


def last_iteration(spec: Any) -> int | None:
    """`max_t`, where it counts iterations."""
    return math.ceil(spec.max_t) if spec.time_attr == TRAINING_ITERATION else None


def validate(spec: Any) -> list[Diagnostic]:
    """Settings under which the algorithm has no meaning."""
    return asha_faults(Asha(spec.max_t, spec.grace_period, spec.reduction_factor))


def reads(spec: Any) -> tuple[str, ...]:
    return metrics_read(spec.time_attr)


def needs(spec: Any) -> Needs:
    return Needs(checkpoints=True, pause=True, objective=True)

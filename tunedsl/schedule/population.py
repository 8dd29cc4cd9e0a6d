"""A population that trains together: at each interval the worst go on from one of the best.

What PBT and PB2 share: who is compared with whom, who waits for whom, who takes over from whom. They differ in
the configuration that the one who takes over gets, which is an `Explorer`'s business.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any, Protocol

import attrs
import immutables
import msgspec
from msgspec.structs import replace

from tunedsl.base import keys
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.vocabulary import TIME_TOTAL, TRAINING_ITERATION, Json
from tunedsl.schedule.contract import (
    DecisionPoints,
    Every,
    Exploit,
    Outcome,
    Promotion,
    Report,
    Setting,
    is_due,
    note,
)
from tunedsl.schedule.progress import fault, time_of

Facts = dict[str, int | float | str]


class Spec(Protocol):
    """What the spec of a population has."""

    @property
    def perturbation_interval(self) -> float: ...
    @property
    def burn_in_period(self) -> float: ...
    @property
    def quantile_fraction(self) -> float: ...
    @property
    def synch(self) -> bool: ...
    @property
    def time_attr(self) -> str: ...


class Member(msgspec.Struct, frozen=True):
    """One trial of the population.

    Attributes:
        config: its configuration, as canonical data.
        score: its value at the last interval; None before the first one, or if it has diverged.
        diverged: whether that value was no number.
        decided: time of the last decision about it.
        trained: how far it had come at the last interval.
        intervals: how many decisions there were about it.
        donor: whom it takes over from once it is promoted; -1 for nobody.
    """

    config: dict[str, Json] = {}
    score: float | None = None
    diverged: bool = False
    decided: float = 0
    trained: float = 0
    intervals: int = 0
    donor: int = -1


Ranked = tuple[tuple[float, int], ...]
"""Scores and trials, the worst first."""


class State(msgspec.Struct, frozen=True):
    """The population.

    Attributes:
        ranked: scores of those that have one, ascending.
        held: paused at the interval until all are there (synchronous only).
        ready: paused, and may go on: rank and trial, ascending.
        full: whether everybody has joined.
        next_sync: time at which the members wait for each other.
        memory: the explorer's own.
    """

    setting: Setting
    next_sync: float
    memory: Any = None
    members: immutables.Map[int, Member] = immutables.Map()
    ranked: Ranked = ()
    held: immutables.Map[int, None] = immutables.Map()
    ready: Ranked = ()
    full: bool = False


@attrs.frozen
class Explorer:
    """How an algorithm finds new configurations.

    Attributes:
        name: of the algorithm, for notes.
        renew: `(spec, state, trial, donor, key) -> (state, config, facts)`: what a trial goes on with.
        learn: `(spec, state, trial, time, score) -> state`, when a member has come to an interval.
    """

    name: str
    renew: Callable[[Any, State, int, int, int], tuple[State, dict[str, Json], Facts]]
    learn: Callable[[Any, State, int, float, float], State] = lambda spec, state, trial, time, score: state


def init(spec: Spec, setting: Setting, memory: Any = None) -> State:
    """Nobody yet."""
    return State(setting, max(spec.perturbation_interval, spec.burn_in_period), memory)


def on_add(spec: Spec, state: State, trial: int, config: dict[str, Json]) -> State:
    """A member joins."""
    return replace(state, members=state.members.set(trial, Member(config)))


def on_report(how: Explorer, spec: Spec, state: State, report: Report) -> Outcome:
    """Compares the member with the others, if an interval has passed."""
    if report.trial not in state.members:
        state = on_add(spec, state, report.trial, {})
    if any(trial == report.trial for _, trial in state.ready):
        state = replace(state, ready=_gone(state.ready, report.trial))  # it runs, whatever was decided
    time = time_of(spec.time_attr, report)
    if time is None or not _is_over(spec, state.members[report.trial], report, time):
        return state, "continue", None
    state = _recorded(how, spec, state, report, time)
    return (_synchronous if spec.synch else _asynchronous)(how, spec, state, report.trial, time)


def on_end(how: Explorer, spec: Spec, state: State, report: Report) -> State:
    """A member ended by itself."""
    return on_leave(how, spec, state, report.trial)


def on_leave(how: Explorer, spec: Spec, state: State, trial: int) -> State:
    """A member is gone: nobody takes over from it, nobody waits for it."""
    member = state.members.get(trial)
    if member is None:
        return state
    state = replace(
        state,
        members=state.members.delete(trial),
        ranked=_without(state.ranked, member.score, trial),
        held=state.held.delete(trial) if trial in state.held else state.held,
        ready=_gone(state.ready, trial),
    )
    return _gathered(spec, state)


def on_full(how: Explorer, spec: Spec, state: State) -> State:
    """Everybody has joined."""
    return _gathered(spec, replace(state, full=True))


def promote(how: Explorer, spec: Spec, state: State) -> tuple[State, Promotion | None]:
    """The paused member that has trained least, once everybody has joined; after a common interval the worst first.

    So those that take over find their donors as they were at the interval.
    """
    if not state.full or not state.ready:
        return state, None
    trial = state.ready[0][1]
    state = replace(state, ready=state.ready[1:])
    member = state.members[trial]
    facts: Facts = {"interval": member.intervals, "time": member.trained, "value": _number(member.score)}
    donor = member.donor if member.donor in state.members else -1
    if donor < 0 <= member.donor:
        donor = _donor(spec, state, trial, quantiles(spec, state.ranked)[1])
    if donor < 0:
        state = replace(state, members=state.members.set(trial, replace(member, donor=-1)))
        return state, (trial, note(how.name, **facts))
    state, exploit, more = _exploit(how, spec, state, trial, donor)
    return state, (trial, note(how.name, **{**facts, **more}), exploit)


def decision_points(spec: Spec) -> DecisionPoints:
    """Every interval after the first one that has passed the burn-in; with other measures of time, every report."""
    if spec.time_attr != TRAINING_ITERATION:
        return Every(1)
    interval, burn_in = int(spec.perturbation_interval), math.ceil(spec.burn_in_period)
    return Every(interval) if burn_in <= interval else Every(interval, burn_in)


def quantiles(spec: Spec, ranked: Ranked) -> tuple[Ranked, Ranked]:
    """The worst and the best of a ranking, `quantile_fraction` of it each, rounded up, and never more than half.

    >>> from tunedsl.schedule import pbt
    >>> quantiles(pbt(), ((0.1, 7), (0.2, 3), (0.3, 5), (0.4, 0), (0.5, 1)))
    (((0.1, 7), (0.2, 3)), ((0.4, 0), (0.5, 1)))
    """
    count = len(ranked)
    if count <= 1:
        return (), ()
    size = math.ceil(count * spec.quantile_fraction)
    if size > count / 2:
        size = count // 2
    return ranked[:size], ranked[count - size :]


def counts_itself(spec: Spec) -> bool:
    """Whether a trial's time is its own, as iterations and seconds are, and does not come with the checkpoint."""
    return spec.time_attr in (TRAINING_ITERATION, TIME_TOTAL)


def _is_over(spec: Spec, member: Member, report: Report, time: float) -> bool:
    """Whether this report ends an interval of its trial."""
    if spec.time_attr == TRAINING_ITERATION:
        return is_due(decision_points(spec), report.iteration)
    return time >= spec.burn_in_period and time - member.decided >= spec.perturbation_interval


def _recorded(how: Explorer, spec: Spec, state: State, report: Report, time: float) -> State:
    """The member's value, by which it is ranked from now on; a report without the metric changes nothing of that."""
    trial = report.trial
    member = state.members[trial]
    objective = state.setting.objective
    diverged = math.isnan(report.value)
    if diverged and objective is not None and objective.metric not in report.metrics:
        return replace(state, members=state.members.set(trial, replace(member, trained=time)))
    ranked = _without(state.ranked, member.score, trial)
    if not diverged:
        state = how.learn(spec, state, trial, time, report.value)
        ranked = _with(ranked, (report.value, trial))
    member = replace(state.members[trial], score=None if diverged else report.value, diverged=diverged, trained=time)
    return replace(state, members=state.members.set(trial, member), ranked=ranked)


def _asynchronous(how: Explorer, spec: Spec, state: State, trial: int, time: float) -> Outcome:
    """The member is compared with what is known of the others now; it makes place where others wait."""
    member = state.members[trial]
    member = replace(member, decided=time, intervals=member.intervals + 1)
    state = replace(state, members=state.members.set(trial, member))
    lower, upper = quantiles(spec, state.ranked)
    facts = _facts(state, trial, lower, upper)
    donor = (
        _donor(spec, state, trial, upper) if _lags(state.members[trial], trial, {other for _, other in lower}) else -1
    )
    if not state.full or (state.ready and (donor >= 0 or state.ready[0][0] < member.trained)):
        state = replace(
            state,
            members=state.members.set(trial, replace(member, donor=donor)),
            ready=_with(state.ready, (member.trained, trial)),
        )
        waits: Facts = {"gives way to": f"{'trial ' + str(state.ready[0][1]) if state.full else 'new trials'}"}
        return state, "pause", note(how.name, **{**facts, **({"donor": donor} if donor >= 0 else {}), **waits})
    if donor < 0:
        return state, "continue", note(how.name, **facts)
    state, exploit, more = _exploit(how, spec, state, trial, donor)
    return state, exploit, note(how.name, **{**facts, **more})


def _synchronous(how: Explorer, spec: Spec, state: State, trial: int, time: float) -> Outcome:
    """The member waits for the others; the last one to come goes on at once."""
    others_there = state.full and len(state.held) + (trial not in state.held) == len(state.members)
    if time < state.next_sync and not others_there:
        return state, "continue", None
    state = replace(state, held=state.held.set(trial, None))
    if not others_there:
        member = state.members[trial]
        missing = state.setting.trials if not state.full else len(state.members)
        facts: Facts = {"time": time, "value": _number(member.score), "there": len(state.held), "of": missing}
        return state, "pause", note(how.name, **facts)
    lower, upper = quantiles(spec, state.ranked)
    state = _round(spec, state, time)
    facts = _facts(state, trial, lower, upper)
    state = replace(state, ready=_gone(state.ready, trial))
    donor = state.members[trial].donor
    if donor < 0:
        return state, "continue", note(how.name, **facts)
    state, exploit, more = _exploit(how, spec, state, trial, donor)
    return state, exploit, note(how.name, **{**facts, **more})


def _gathered(spec: Spec, state: State) -> State:
    """Ends the common interval if those who wait are all there are: nobody else will come."""
    if not (spec.synch and state.full and state.held and len(state.held) == len(state.members)):
        return state
    return _round(spec, state, max(state.members[trial].trained for trial in state.held))


def _round(spec: Spec, state: State, time: float) -> State:
    """All are there: who takes over from whom, and everybody may go on."""
    lower, upper = quantiles(spec, state.ranked)
    members = state.members
    for trial, member in state.members.items():
        members = members.set(trial, replace(member, decided=time, intervals=member.intervals + 1))
    state = replace(state, members=members, held=immutables.Map())
    worst = {trial for _, trial in lower}
    ready: list[tuple[float, int]] = []
    for trial in sorted(state.members):
        donor = _donor(spec, state, trial, upper) if _lags(members[trial], trial, worst) else -1
        members = members.set(trial, replace(members[trial], donor=donor))
        ready.append((0 if donor >= 0 else 1, trial))
    furthest = max(member.trained for member in members.values())
    next_sync = max(state.next_sync + spec.perturbation_interval, furthest)
    return replace(state, members=members, ready=tuple(sorted(ready)), next_sync=next_sync)


def _lags(member: Member, trial: int, worst: set[int]) -> bool:
    """Whether a member should take over: it is among the worst, or has diverged and is worse than any number."""
    return member.diverged or trial in worst


def _donor(spec: Spec, state: State, trial: int, upper: Ranked) -> int:
    """One of the best, by key; -1 where there is none but the trial itself."""
    others = [other for _, other in upper if other != trial]
    if not others:
        return -1
    pick = keys.uniform(keys.key(state.setting.key, "donor", trial, state.members[trial].intervals))
    return others[int(pick * len(others))]


def _exploit(how: Explorer, spec: Spec, state: State, trial: int, donor: int) -> tuple[State, Exploit, Facts]:
    """The trial takes over from the donor, with a configuration of its own."""
    member, better = state.members[trial], state.members[donor]
    key = keys.key(state.setting.key, "explore", trial, member.intervals)
    state, config, changes = how.renew(spec, state, trial, donor, key)
    member = replace(state.members[trial], config=config, donor=-1)
    if not counts_itself(spec):
        member = replace(member, decided=better.decided, trained=better.trained)
    facts: Facts = {"donor": donor, "donor_value": _number(better.score), **changes}
    return replace(state, members=state.members.set(trial, member)), Exploit(donor, config), facts


def _facts(state: State, trial: int, lower: Ranked, upper: Ranked) -> Facts:
    member = state.members[trial]
    return {
        "interval": member.intervals,
        "time": member.trained,
        "value": _number(member.score),
        "lower": lower[-1][0] if lower else math.nan,
        "upper": upper[0][0] if upper else math.nan,
        "competitors": len(state.ranked),
    }


def _with(ranked: Ranked, item: tuple[float, int]) -> Ranked:
    items = list(ranked)
    insort(items, item)
    return tuple(items)


def _without(ranked: Ranked, score: float | None, trial: int) -> Ranked:
    if score is None:
        return ranked
    at = bisect_left(ranked, (score, trial))
    return (*ranked[:at], *ranked[at + 1 :])


def _gone(ready: Ranked, trial: int) -> Ranked:
    return tuple(item for item in ready if item[1] != trial)


def _number(score: float | None) -> float:
    return math.nan if score is None else score


def faults(spec: Spec) -> list[Diagnostic]:
    """Settings under which a population has no meaning."""
    found = []
    interval, counted = spec.perturbation_interval, spec.time_attr == TRAINING_ITERATION
    if not (math.isfinite(interval) and interval > 0) or (counted and interval != int(interval)):
        expected = "a whole number of iterations, at least 1" if counted else "a finite number above 0"
        found.append(fault(spec, "E072", "perturbation_interval", expected))
    if not (math.isfinite(spec.burn_in_period) and spec.burn_in_period >= 0):
        found.append(fault(spec, "E072", "burn_in_period", "a finite number of at least 0"))
    if not 0 <= spec.quantile_fraction <= 0.5:
        found.append(fault(spec, "E073", "quantile_fraction", "between 0 and 0.5", "0.25 is usual"))
    return found


def described(spec: Spec, setting: str) -> str:
    """One line: when, who, and whether they wait for each other."""
    unit = "iterations" if spec.time_attr == TRAINING_ITERATION else f"of {spec.time_attr}"
    share = f"{100 * spec.quantile_fraction:g} %"
    waits = "; all wait for each other there" if spec.synch else ""
    return (
        f"every {spec.perturbation_interval:g} {unit}{waits}, the worst {share} go on from the checkpoint of one of "
        f"the best {share}, {setting}"
    )


def reads(spec: Spec) -> tuple[str, ...]:
    """The metric that measures progress."""
    return () if spec.time_attr == TRAINING_ITERATION else (spec.time_attr,)

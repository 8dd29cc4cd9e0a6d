"""A population that trains together: at each interval the worst members continue from one of the best.

PBT and PB2 share who is compared, who waits, and who continues from whom. The new configuration of a member is the
part of an `Explorer`. Settings and their checks are in `population_spec`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Protocol, cast

import attrs
import immutables
import msgspec
from msgspec.structs import replace

from tunedsl.base import keys
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.schedulers.contract import (
    CheckCompatibility,
    DecisionResult,
    Describe,
    EncodedConfig,
    Exploit,
    Init,
    Promotion,
    Report,
    Scheduler,
    SchedulerContext,
    Validate,
    is_due,
    reason,
)
from tunedsl.schedulers.population_spec import (
    PopulationSpec,
    decision_points,
    first_decision,
    has_own_time,
    requirements,
)
from tunedsl.schedulers.ranking import RankEntry, Ranking, at_rank, insert, rank, remove, sorted_ranking
from tunedsl.schedulers.time_attr import time_metrics, time_of

ReasonFacts = dict[str, int | float | str]


class Member(msgspec.Struct, frozen=True):
    """One trial of the population.

    Attributes:
        config: its configuration, as canonical data.
        score: its value at the last interval; None before the first one, or if it has diverged.
        diverged: whether that value was NaN.
        decided_at: time of the last decision about it.
        trained_until: its time at the last interval.
        intervals: number of decisions about it.
        donor: the member that it continues from when it is promoted; -1 for none.
        resume_rank: its rank among the paused members that may continue; None if it is not one of them.
    """

    config: EncodedConfig = {}
    score: float | None = None
    diverged: bool = False
    decided_at: float = 0
    trained_until: float = 0
    intervals: int = 0
    donor: int = -1
    resume_rank: float | None = None


class PopulationState(msgspec.Struct, frozen=True):
    """The population.

    Attributes:
        next_sync: time at which the members wait for each other.
        explorer_state: the explorer's own state.
        ranked: the members with a score, by it, the worst first.
        waiting: members that are paused at the interval until all have reached it (synchronous only).
        resumable: paused members that may continue, by `resume_rank`.
        all_proposed: whether all members have joined.
    """

    context: SchedulerContext
    next_sync: float
    explorer_state: Any = None
    members: immutables.Map[int, Member] = immutables.Map()
    ranked: Ranking = Ranking()
    waiting: immutables.Map[int, None] = immutables.Map()
    resumable: Ranking = Ranking()
    all_proposed: bool = False


class Explore(Protocol):
    """Returns the next state, the configuration with which a member continues from a donor, and facts for the reason.

    `key` determines the configuration.
    """

    def __call__(
        self, spec: Any, state: PopulationState, trial: int, donor: int, key: int, /
    ) -> tuple[PopulationState, EncodedConfig, ReasonFacts]: ...


class Learn(Protocol):
    """Returns the state after a member reached an interval at `time` with `score`."""

    def __call__(
        self, spec: Any, state: PopulationState, trial: int, time: float, score: float, /
    ) -> PopulationState: ...


@attrs.frozen
class Explorer:
    """How an algorithm finds new configurations.

    Attributes:
        name: the algorithm's name, for reasons.
        explore: returns a member's new configuration.
        learn: learns the score of a member at an interval.
    """

    name: str
    explore: Explore
    learn: Learn = lambda spec, state, trial, time, score: state


def init(spec: PopulationSpec, context: SchedulerContext, explorer_state: Any = None) -> PopulationState:
    """An empty population."""
    return PopulationState(context, max(spec.perturbation_interval, spec.burn_in_period), explorer_state)


def population_scheduler(
    explorer: Explorer,
    describe: Describe,
    validate: Validate,
    check_compatibility: CheckCompatibility,
    init: Init = init,
) -> Scheduler:
    """The scheduler of an algorithm that trains a population."""
    return Scheduler(
        explorer.name,
        init,
        partial(on_report, explorer),
        decision_points,
        describe,
        on_add=on_add,
        on_end=on_end,
        on_remove=on_remove,
        on_all_proposed=on_all_proposed,
        promote=partial(promote, explorer),
        requirements=requirements,
        first_decision=first_decision,
        metrics_used=time_metrics,
        validate=validate,
        check_compatibility=check_compatibility,
    )


def on_add(spec: PopulationSpec, state: PopulationState, trial: int, config: EncodedConfig) -> PopulationState:
    """A member joins."""
    return replace(state, members=state.members.set(trial, Member(config)))


def on_report(explorer: Explorer, spec: PopulationSpec, state: PopulationState, report: Report) -> DecisionResult:
    """Compares the member with the others if an interval has passed."""
    if report.trial not in state.members:
        state = on_add(spec, state, report.trial, {})
    state = _with_resume_rank(state, report.trial, None)  # it runs already
    time = time_of(spec.time_attr, report)
    if time is None or not _is_interval_over(spec, state.members[report.trial], report, time):
        return state, "continue", None
    state = _record_score(explorer, spec, state, report, time)
    return (_decide_synchronously if spec.synch else _decide_asynchronously)(explorer, spec, state, report.trial, time)


def on_end(spec: PopulationSpec, state: PopulationState, report: Report) -> PopulationState:
    """A member ended by itself."""
    return on_remove(spec, state, report.trial)


def on_remove(spec: PopulationSpec, state: PopulationState, trial: int) -> PopulationState:
    """A member has left: no member continues from it or waits for it."""
    member = state.members.get(trial)
    if member is None:
        return state
    state = _with_resume_rank(state, trial, None)
    state = replace(
        state,
        members=state.members.delete(trial),
        ranked=_without(state.ranked, member.score, trial),
        waiting=state.waiting.delete(trial) if trial in state.waiting else state.waiting,
    )
    return _end_interval_if_all_wait(spec, state)


def on_all_proposed(spec: PopulationSpec, state: PopulationState) -> PopulationState:
    """All members have joined."""
    return _end_interval_if_all_wait(spec, replace(state, all_proposed=True))


def promote(
    explorer: Explorer, spec: PopulationSpec, state: PopulationState
) -> tuple[PopulationState, Promotion | None]:
    """The paused member that has trained least, once all have joined; after a common interval the worst first.

    So members that continue from a donor find it as it was at the interval.
    """
    if not state.all_proposed or not state.resumable.size:
        return state, None
    trial = _entry(state.resumable, 0)[1]
    state = _with_resume_rank(state, trial, None)
    member = state.members[trial]
    facts: ReasonFacts = {
        "interval": member.intervals,
        "time": member.trained_until,
        "value": _score_or_nan(member.score),
    }
    donor = member.donor if member.donor in state.members else -1
    if donor < 0 <= member.donor:
        donor = _choose_donor(spec, state, trial)
    if donor < 0:
        state = replace(state, members=state.members.set(trial, replace(member, donor=-1)))
        return state, (trial, reason(explorer.name, **facts))
    state, exploit, more = _exploit(explorer, spec, state, trial, donor)
    return state, (trial, reason(explorer.name, **{**facts, **more}), exploit)


def quantile_size(spec: PopulationSpec, count: int) -> int:
    """The number of the worst of ranked members, and of the best: `quantile_fraction`, rounded up, at most half.

    >>> from tunedsl.schedulers import pbt
    >>> [quantile_size(pbt(), count) for count in (0, 1, 2, 5)]
    [0, 0, 1, 2]
    """
    return 0 if count <= 1 else min(math.ceil(count * spec.quantile_fraction), count // 2)


def _is_interval_over(spec: PopulationSpec, member: Member, report: Report, time: float) -> bool:
    """Whether this report ends an interval of its trial."""
    if spec.time_attr == TRAINING_ITERATION:
        return is_due(decision_points(spec), report.iteration)
    return time >= spec.burn_in_period and time - member.decided_at >= spec.perturbation_interval


def _record_score(
    explorer: Explorer, spec: PopulationSpec, state: PopulationState, report: Report, time: float
) -> PopulationState:
    """Ranks the member by its new value; a report without the metric does not change the ranking."""
    trial = report.trial
    member = state.members[trial]
    objective = state.context.objective
    diverged = math.isnan(report.value)
    if diverged and objective is not None and objective.metric not in report.metrics:
        return replace(state, members=state.members.set(trial, replace(member, trained_until=time)))
    ranked = _without(state.ranked, member.score, trial)
    if not diverged:
        state = explorer.learn(spec, state, trial, time, report.value)
        ranked = insert(ranked, (report.value, trial))
    member = replace(
        state.members[trial], score=None if diverged else report.value, diverged=diverged, trained_until=time
    )
    return replace(state, members=state.members.set(trial, member), ranked=ranked)


def _decide_asynchronously(
    explorer: Explorer, spec: PopulationSpec, state: PopulationState, trial: int, time: float
) -> DecisionResult:
    """Compares the member with the latest values of the others; it pauses if others wait for a slot."""
    member = state.members[trial]
    member = replace(member, decided_at=time, intervals=member.intervals + 1)
    state = replace(state, members=state.members.set(trial, member))
    facts = _facts(spec, state, trial)
    donor = _choose_donor(spec, state, trial) if _should_exploit(spec, state, trial) else -1
    if not state.all_proposed or (
        state.resumable.size and (donor >= 0 or _entry(state.resumable, 0)[0] < member.trained_until)
    ):
        state = replace(state, members=state.members.set(trial, replace(member, donor=donor)))
        state = _with_resume_rank(state, trial, member.trained_until)
        first = f"trial {_entry(state.resumable, 0)[1]}"
        waits: ReasonFacts = {"gives way to": first if state.all_proposed else "new trials"}
        return state, "pause", reason(explorer.name, **{**facts, **({"donor": donor} if donor >= 0 else {}), **waits})
    if donor < 0:
        return state, "continue", reason(explorer.name, **facts)
    state, exploit, more = _exploit(explorer, spec, state, trial, donor)
    return state, exploit, reason(explorer.name, **{**facts, **more})


def _decide_synchronously(
    explorer: Explorer, spec: PopulationSpec, state: PopulationState, trial: int, time: float
) -> DecisionResult:
    """The member waits for the others; the last one to arrive continues at once."""
    all_others_wait = state.all_proposed and len(state.waiting) + (trial not in state.waiting) == len(state.members)
    if time < state.next_sync and not all_others_wait:
        return state, "continue", None
    state = replace(state, waiting=state.waiting.set(trial, None))
    if not all_others_wait:
        member = state.members[trial]
        missing = state.context.trials if not state.all_proposed else len(state.members)
        facts: ReasonFacts = {
            "time": time,
            "value": _score_or_nan(member.score),
            "there": len(state.waiting),
            "of": missing,
        }
        return state, "pause", reason(explorer.name, **facts)
    state = _end_interval(spec, state, time)
    facts = _facts(spec, state, trial)
    state = _with_resume_rank(state, trial, None)
    donor = state.members[trial].donor
    if donor < 0:
        return state, "continue", reason(explorer.name, **facts)
    state, exploit, more = _exploit(explorer, spec, state, trial, donor)
    return state, exploit, reason(explorer.name, **{**facts, **more})


def _end_interval_if_all_wait(spec: PopulationSpec, state: PopulationState) -> PopulationState:
    """Ends the common interval if all members wait and no more will join."""
    if not (spec.synch and state.all_proposed and state.waiting and len(state.waiting) == len(state.members)):
        return state
    return _end_interval(spec, state, max(state.members[trial].trained_until for trial in state.waiting))


def _end_interval(spec: PopulationSpec, state: PopulationState, time: float) -> PopulationState:
    """Chooses donors for the worst members; all members may continue."""
    members = state.members
    for trial, member in state.members.items():
        members = members.set(trial, replace(member, decided_at=time, intervals=member.intervals + 1))
    state = replace(state, members=members, waiting=immutables.Map())
    ready: list[RankEntry] = []
    for trial in sorted(state.members):
        donor = _choose_donor(spec, state, trial) if _should_exploit(spec, state, trial) else -1
        first = 0 if donor >= 0 else 1
        members = members.set(trial, replace(members[trial], donor=donor, resume_rank=first))
        ready.append((first, trial))
    furthest = max(member.trained_until for member in members.values())
    next_sync = max(state.next_sync + spec.perturbation_interval, furthest)
    return replace(state, members=members, resumable=sorted_ranking(sorted(ready)), next_sync=next_sync)


def _should_exploit(spec: PopulationSpec, state: PopulationState, trial: int) -> bool:
    """Whether a member should continue from a donor: it is among the worst or has diverged."""
    member, size = state.members[trial], quantile_size(spec, state.ranked.size)
    if member.diverged or member.score is None or not size:
        return member.diverged
    return (member.score, trial) <= _entry(state.ranked, size - 1)


def _choose_donor(spec: PopulationSpec, state: PopulationState, trial: int) -> int:
    """A random one of the best; -1 if there is no other."""
    member, count = state.members[trial], quantile_size(spec, state.ranked.size)
    first, own = state.ranked.size - count, -1
    if member.score is not None:
        own = rank(state.ranked, (member.score, trial))
    others = count - (own >= first)
    if not others:
        return -1
    at = first + int(keys.uniform(keys.key(state.context.key, "donor", trial, member.intervals)) * others)
    return _entry(state.ranked, at + (first <= own <= at))[1]


def _exploit(
    explorer: Explorer, spec: PopulationSpec, state: PopulationState, trial: int, donor: int
) -> tuple[PopulationState, Exploit, ReasonFacts]:
    """The trial continues from the donor with an explored configuration."""
    member, better = state.members[trial], state.members[donor]
    key = keys.key(state.context.key, "explore", trial, member.intervals)
    state, config, changes = explorer.explore(spec, state, trial, donor, key)
    member = replace(state.members[trial], config=config, donor=-1)
    if not has_own_time(spec):
        member = replace(member, decided_at=better.decided_at, trained_until=better.trained_until)
    facts: ReasonFacts = {"donor": donor, "donor_value": _score_or_nan(better.score), **changes}
    return replace(state, members=state.members.set(trial, member)), Exploit(donor, config), facts


def _facts(spec: PopulationSpec, state: PopulationState, trial: int) -> ReasonFacts:
    member, count = state.members[trial], state.ranked.size
    size = quantile_size(spec, count)
    return {
        "interval": member.intervals,
        "time": member.trained_until,
        "value": _score_or_nan(member.score),
        "lower": _entry(state.ranked, size - 1)[0] if size else math.nan,
        "upper": _entry(state.ranked, count - size)[0] if size else math.nan,
        "competitors": count,
    }


def _with_resume_rank(state: PopulationState, trial: int, new: float | None) -> PopulationState:
    """The state in which a paused member may continue in the order of this rank; None if it may not."""
    member, resumable = state.members[trial], state.resumable
    if member.resume_rank is None and new is None:
        return state
    resumable = _without(resumable, member.resume_rank, trial)
    if new is not None:
        resumable = insert(resumable, (new, trial))
    return replace(state, members=state.members.set(trial, replace(member, resume_rank=new)), resumable=resumable)


def _entry(ranking: Ranking, index: int) -> tuple[float, int]:
    """The score and the trial with this number of entries before it."""
    return cast(tuple[float, int], at_rank(ranking.chunks, index))


def _without(ranking: Ranking, score: float | None, trial: int) -> Ranking:
    return ranking if score is None else remove(ranking, (score, trial))


def _score_or_nan(score: float | None) -> float:
    return math.nan if score is None else score

"""The plan after an amendment, and what the kernel derives from a plan; the effect on trials is in `reopening`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from tunedsl.base import codec
from tunedsl.base.errors import CodecError
from tunedsl.base.keys import key
from tunedsl.base.types import Json
from tunedsl.kernel.events import Amended, Event
from tunedsl.kernel.state import RunState, TrialState
from tunedsl.plan import Plan, Resources
from tunedsl.schedulers.contract import SchedulerContext, scheduler_of
from tunedsl.stopping.tally import StudyCondition, StudyTally, compile_study, without_failures


def plan_after(plan: Plan, event: Event) -> Plan:
    """The plan that applies to `event` and all events after it.

    Raises:
        CodecError: if an amendment does not hold a plan.
    """
    if not isinstance(event, Amended):
        return plan
    amended = codec.decode(event.plan)
    if not isinstance(amended, Plan):
        raise CodecError(f"The data holds a {type(amended).__name__}, not a plan.")
    return amended


def initial_scheduler_state(plan: Plan, trials: int) -> Any:
    """The first state of a plan's scheduler.

    Args:
        plan: the plan.
        trials: how many trials the scheduler will get.
    """
    context = SchedulerContext(
        key=key(plan.seed, "scheduler"),
        trials=trials,
        objective=plan.objectives[0] if plan.objectives else None,
        space=plan.space,
        resources=plan.resources.amounts() if isinstance(plan.resources, Resources) else {},
        objectives=plan.objectives if len(plan.objectives) > 1 else (),
    )
    return scheduler_of(plan.scheduler).init(plan.scheduler, context)


def reopened(plan: Plan, state: RunState) -> RunState:
    """The state from which a run continues that may have finished; it has no slots yet."""
    state = replace(
        state,
        width=0,
        ahead=0,
        postponed=False,
        closing_reason=state.closing_reason if plan.fail_fast and state.errored_count else "",
        closed_by=state.closed_by if plan.fail_fast and state.errored_count else "",
        finished=False,
    )
    return forget_failures(state)


def forget_failures(state: RunState) -> RunState:
    """The state in which equal failures are counted from 0."""
    study = None if state.study is None else without_failures(state.study)
    return replace(state, failed_alike=type(state.failed_alike)(), study=study)


def study_condition(plan: Plan) -> StudyCondition | None:
    """The compiled condition of `until`, None without one."""
    return None if plan.until is None else compile_study(plan.until, plan.objectives[0] if plan.objectives else None)


def tally_after(plan: Plan, earlier: StudyTally | None = None) -> StudyTally | None:
    """The tally of a plan's condition, with the states of an earlier tally; None if it only counts equal failures."""
    study = study_condition(plan)
    return None if study is None or study.counts_failures_only else study.carried_over(earlier)


def with_defaults(config: dict[str, Json], defaults: Mapping[str, Json]) -> dict[str, Json]:
    """A configuration with the values of new parameters, by dotted name, where it has none.

    >>> with_defaults({"x": 1, "optim": {"lr": 0.1}}, {"optim.momentum": 0.9, "y": 2})
    {'x': 1, 'optim': {'lr': 0.1, 'momentum': 0.9}, 'y': 2}
    """
    for name, item in defaults.items():
        first, _, rest = name.partition(".")
        inner = config.get(first)
        if not rest:
            config = config if first in config else {**config, first: item}
        elif isinstance(inner, dict):
            config = {**config, first: with_defaults(inner, {rest: item})}
    return config


def exhausted_budget(plan: Plan, state: RunState) -> str:
    """A text about the budget that is used up; empty if no budget is."""
    budget = plan.budget
    if budget.seconds is not None and state.seconds >= budget.seconds:
        return f"the budget of {budget.seconds:g} seconds is used up"
    if budget.iterations is not None and state.iterations >= budget.iterations:
        return f"the budget of {budget.iterations} iterations is used up"
    if budget.failures is not None and state.errored_count >= budget.failures:
        return f"the budget of {budget.failures} failed trials is used up"
    return ""


def max_trials(plan: Plan) -> int:
    """The number of trials that the searcher is asked for."""
    return plan.trials if plan.budget.trials is None else min(plan.trials, plan.budget.trials)


def is_scheduled(state: RunState, trial: TrialState) -> bool:
    """Whether the scheduler decides about a trial."""
    return trial.number not in state.unscheduled

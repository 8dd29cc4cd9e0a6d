"""What an amended plan means for a run that is under way or over: what goes on, and what begins anew."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tunedsl.base import codec
from tunedsl.base.errors import CodecError
from tunedsl.base.keys import key
from tunedsl.kernel.commands import Command
from tunedsl.kernel.events import Amended, Event
from tunedsl.kernel.state import RunState, TrialState
from tunedsl.plan import Plan, Resources
from tunedsl.schedulers.contract import SchedulerContext, scheduler_of


def plan_after(plan: Plan, event: Event) -> Plan:
    """The plan by which `event` and all that follow it are decided.

    Raises:
        CodecError: when an amendment holds no plan.
    """
    if not isinstance(event, Amended):
        return plan
    found = codec.decode(event.plan)
    if not isinstance(found, Plan):
        raise CodecError(f"expected a plan, found {type(found).__name__}")
    return found


def initial_scheduler_state(plan: Plan, trials: int) -> Any:
    """The first state of a plan's scheduler, for so many trials."""
    setting = SchedulerContext(
        key=key(plan.seed, "scheduler"),
        trials=trials,
        objective=plan.objectives[0] if plan.objectives else None,
        space=plan.space,
        resources=plan.resources.amounts() if isinstance(plan.resources, Resources) else {},
    )
    return scheduler_of(plan.scheduler).init(plan.scheduler, setting)


def apply_amendment(plan: Plan, state: RunState, event: Amended) -> tuple[RunState, list[Command]]:
    """The state from which a run goes on by another plan; it has no places until an engine is opened anew.

    A scheduler that was exchanged, or was told that no more trials come where some do now, begins anew with those that
    come: trials that had begun by then go on by themselves, to their stop rule. What has ended stays ended.
    """
    to_come = max_trials(plan) - state.next_trial + state.proposing
    told = state.all_proposed and scheduler_of(plan.scheduler).on_all_proposed is not None
    if "scheduler" in event.changed or (told and to_come > 0):
        state = replace(
            state,
            scheduler=initial_scheduler_state(plan, max(to_come, 0)),
            unscheduled=state.unscheduled.update(dict.fromkeys((*state.live, *state.paused, *state.queued))),
            queued=state.queued.update(state.paused),
            paused=type(state.paused)(),
            all_proposed=False,
        )
    return reopened(plan, state), []


def reopened(plan: Plan, state: RunState) -> RunState:
    """The state from which a run goes on that may have been over; it has no places until an engine is opened anew."""
    return replace(
        state,
        width=0,
        ahead=0,
        postponed=False,
        closing_reason=state.closing_reason if plan.fail_fast and state.errored_count else "",
        finished=False,
        failed_alike=type(state.failed_alike)(),
    )


def max_trials(plan: Plan) -> int:
    """How many trials a searcher is asked for."""
    return plan.trials if plan.budget.trials is None else min(plan.trials, plan.budget.trials)


def is_scheduled(state: RunState, trial: TrialState) -> bool:
    """Whether the scheduler has a say over a trial."""
    return trial.number not in state.unscheduled

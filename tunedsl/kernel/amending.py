"""What an amended plan means for a run that is under way or over: what goes on, and what begins anew."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tunedsl.base import codec
from tunedsl.base.errors import CodecError
from tunedsl.base.keys import key
from tunedsl.kernel.events import Amended, Event
from tunedsl.kernel.state import State, Trial
from tunedsl.plan import Plan, Resources
from tunedsl.schedule.contract import Setting, scheduler_of


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


def first_policy(plan: Plan, trials: int) -> Any:
    """The first state of a plan's scheduler, for so many trials."""
    setting = Setting(
        key=key(plan.seed, "scheduler"),
        trials=trials,
        objective=plan.objectives[0] if plan.objectives else None,
        space=plan.space,
        resources=plan.resources.amounts() if isinstance(plan.resources, Resources) else {},
    )
    return scheduler_of(plan.scheduler).init(plan.scheduler, setting)


def amended(plan: Plan, state: State, event: Amended) -> State:
    """The state from which a run goes on by another plan; it has no places until an engine is opened anew.

    A scheduler that was exchanged, or was told that no more trials come where some do now, begins anew with those that
    come: trials that had begun by then go on by themselves, to their stop rule. What has ended stays ended.
    """
    to_come = total(plan) - state.next_trial + state.proposing
    told = state.full and scheduler_of(plan.scheduler).on_full is not None
    if "scheduler" in event.changed or (told and to_come > 0):
        state = replace(
            state,
            scheduler=first_policy(plan, max(to_come, 0)),
            own=state.own.update(dict.fromkeys((*state.live, *state.paused, *state.waiting))),
            waiting=state.waiting.update(state.paused),
            paused=type(state.paused)(),
            full=False,
        )
    return replace(
        state,
        width=0,
        ahead=0,
        postponed=False,
        closing=state.closing if plan.fail_fast and state.errored else "",
        finished=False,
    )


def total(plan: Plan) -> int:
    """How many trials a searcher is asked for."""
    return plan.trials if plan.budget.trials is None else min(plan.trials, plan.budget.trials)


def is_heard(state: State, trial: Trial) -> bool:
    """Whether the scheduler has a say over a trial."""
    return trial.number not in state.own

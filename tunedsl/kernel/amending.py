"""How an amended plan affects a run in progress or a finished one."""

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
    """The plan that applies to `event` and all events after it.

    Raises:
        CodecError: if an amendment does not hold a plan.
    """
    if not isinstance(event, Amended):
        return plan
    amended = codec.decode(event.plan)
    if not isinstance(amended, Plan):
        raise CodecError(f"The data holds a {type(amended).__name__}, not a plan")
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
    )
    return scheduler_of(plan.scheduler).init(plan.scheduler, context)


def apply_amendment(plan: Plan, state: RunState, event: Amended) -> tuple[RunState, list[Command]]:
    """The state from which a run continues with another plan; it has no slots until an engine reports its capacity.

    A replaced scheduler starts from its first state, with the trials that are still to come. So does a scheduler that
    was notified that all trials were proposed, if the amended plan has more. Trials that had started run to their stop
    rule without the scheduler. Trials that ended stay ended.
    """
    remaining = max_trials(plan) - state.next_trial + state.proposing
    notified = state.all_proposed and scheduler_of(plan.scheduler).on_all_proposed is not None
    if "scheduler" in event.changed or (notified and remaining > 0):
        state = replace(
            state,
            scheduler=initial_scheduler_state(plan, max(remaining, 0)),
            unscheduled=state.unscheduled.update(dict.fromkeys((*state.live, *state.paused, *state.queued))),
            queued=state.queued.update(state.paused),
            paused=type(state.paused)(),
            all_proposed=False,
        )
    return reopened(plan, state), []


def reopened(plan: Plan, state: RunState) -> RunState:
    """The state from which a run continues that may have finished; it has no slots yet."""
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
    """The number of trials that the searcher is asked for."""
    return plan.trials if plan.budget.trials is None else min(plan.trials, plan.budget.trials)


def is_scheduled(state: RunState, trial: TrialState) -> bool:
    """Whether the scheduler decides about a trial."""
    return trial.number not in state.unscheduled

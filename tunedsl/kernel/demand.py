"""How many trials could run now, if there were machines for all of them."""

from __future__ import annotations

from tunedsl.kernel.amending import max_trials
from tunedsl.kernel.state import RunState
from tunedsl.plan import Plan


def wanted_trials(plan: Plan, state: RunState) -> int:
    """The number of trials that run or could start, without a limit of slots.

    Paused trials do not count: whether one continues is the scheduler's decision.
    """
    if state.finished or state.suspended:
        return 0
    started = len(state.live) + state.proposing
    if state.closing_reason or state.exhausted or state.postponed:
        return started + len(state.queued)
    return started + len(state.queued) + max_trials(plan) - state.next_trial

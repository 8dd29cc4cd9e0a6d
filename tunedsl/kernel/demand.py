"""The demand for machines: the number of trials that could run now on unlimited machines."""

from __future__ import annotations

from tunedsl.kernel.amending import max_trials
from tunedsl.kernel.state import RunState
from tunedsl.plan import Plan


def wanted_trials(plan: Plan, state: RunState) -> int:
    """The number of trials that run or could start if slots were unlimited.

    Paused trials do not count, because the scheduler decides whether one continues.
    """
    if state.finished or state.suspended:
        return 0
    started = len(state.live) + state.proposing
    if state.closing_reason or state.exhausted or state.postponed:
        return started + len(state.queued)
    return started + len(state.queued) + max_trials(plan) - state.next_trial

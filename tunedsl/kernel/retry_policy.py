"""What a failure means for its trial: how long a retry waits, what it asks for, and when there is none."""

from __future__ import annotations

import math

from msgspec.structs import replace

from tunedsl.base.types import FAILURE_KINDS, FailureKind
from tunedsl.kernel.events import Failed
from tunedsl.kernel.state import RunState, TrialState
from tunedsl.plan import Plan, Resources, Retry
from tunedsl.schedulers.contract import Reason, reason

_WORKER_DEATHS = ("lost", "oom")
"""Kinds in which a worker dies with its trial."""


def count_failure(trial: TrialState, kind: FailureKind) -> TrialState:
    """The trial with one more failure of a kind."""
    place = FAILURE_KINDS.index(kind)
    failures = (*trial.failures, *(0,) * (len(FAILURE_KINDS) - len(trial.failures)))
    trial = replace(trial, failures=(*failures[:place], failures[place] + 1, *failures[place + 1 :]))
    if kind not in _WORKER_DEATHS:
        return trial
    losses = trial.consecutive_losses + 1 if trial.lost_at == trial.iteration else 1
    return replace(trial, consecutive_losses=losses, lost_at=trial.iteration)


def has_retries_left(retry: Retry, trial: TrialState, kind: FailureKind) -> bool:
    """Whether the retries of a kind are not used up."""
    limit: int = getattr(retry, kind)
    return limit < 0 or trial.failures[FAILURE_KINDS.index(kind)] <= limit


def crash_loop_reason(retry: Retry, trial: TrialState, kind: FailureKind) -> Reason | None:
    """Why a trial is not run again that takes one worker after the other with it and gets no further."""
    if kind not in _WORKER_DEATHS or not 0 <= retry.in_a_row < trial.consecutive_losses:
        return None
    return reason(
        "kills its workers", losses=trial.consecutive_losses, iteration=trial.iteration, in_a_row=retry.in_a_row
    )


def backoff_seconds(retry: Retry, trial: TrialState, kind: FailureKind) -> float:
    """Seconds to wait before a retry; a worker that was lost is no fault of the trial's, and nothing waits for it."""
    if kind == "lost" or not retry.wait:
        return 0.0
    count = trial.failures[FAILURE_KINDS.index(kind)]
    # The exponent is bounded, so that no count of failures makes it overflow.
    return min(retry.wait * retry.wait_growth ** min(count - 1, 64), retry.wait_most)


def grown_resources(plan: Plan, state: RunState, trial: TrialState, event: Failed) -> dict[str, float] | None:
    """What a trial that ran out of memory is given next, None for the same again."""
    if event.kind != "oom" or plan.retry.grow <= 1:
        return None
    had = trial.resources or event.resources
    if not had and isinstance(plan.resources, Resources):
        had = plan.resources.amounts()
    memory = had.get("memory", 0.0)
    wanted = float(int(min(memory * plan.retry.grow, state.max_resources.get("memory", math.inf))))
    return {**had, "memory": wanted} if wanted > memory else None

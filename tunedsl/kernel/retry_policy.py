"""The retry policy: whether a failed trial is retried, after which delay, and with which resources."""

from __future__ import annotations

import math

from msgspec.structs import replace

from tunedsl.base.types import FAILURE_KINDS, FailureKind
from tunedsl.kernel.events import Failed
from tunedsl.kernel.state import RunState, TrialState
from tunedsl.plan import Plan, Resources, Retry
from tunedsl.schedulers.contract import Reason, reason

_WORKER_DEATHS = ("lost", "oom")
"""Kinds of failure in which the worker dies with its trial."""


def count_failure(trial: TrialState, kind: FailureKind) -> TrialState:
    """The trial with one more failure of a kind."""
    index = FAILURE_KINDS.index(kind)
    failures = (*trial.failures, *(0,) * (len(FAILURE_KINDS) - len(trial.failures)))
    trial = replace(trial, failures=(*failures[:index], failures[index] + 1, *failures[index + 1 :]))
    if kind not in _WORKER_DEATHS:
        return trial
    losses = trial.consecutive_losses + 1 if trial.lost_at == trial.iteration else 1
    return replace(trial, consecutive_losses=losses, lost_at=trial.iteration)


def has_retries_left(retry: Retry, trial: TrialState, kind: FailureKind) -> bool:
    """Whether a trial has retries left for a kind of failure."""
    if kind == "preempted":
        return True
    limit: int = getattr(retry, kind)
    return limit < 0 or trial.failures[FAILURE_KINDS.index(kind)] <= limit


def crash_loop_reason(retry: Retry, trial: TrialState, kind: FailureKind) -> Reason | None:
    """The reason to give up a trial that kills one worker after another without progress; None to retry it."""
    if kind not in _WORKER_DEATHS or not 0 <= retry.in_a_row < trial.consecutive_losses:
        return None
    return reason(
        "kills its workers", losses=trial.consecutive_losses, iteration=trial.iteration, in_a_row=retry.in_a_row
    )


def backoff_seconds(retry: Retry, trial: TrialState, kind: FailureKind) -> float:
    """Seconds to wait before a retry; 0 after a lost worker or node, which is not the trial's fault."""
    if kind in ("lost", "preempted") or not retry.wait:
        return 0.0
    count = trial.failures[FAILURE_KINDS.index(kind)]
    # The bound on the exponent prevents an overflow.
    return min(retry.wait * retry.wait_growth ** min(count - 1, 64), retry.wait_most)


def grown_resources(plan: Plan, state: RunState, trial: TrialState, event: Failed) -> dict[str, float] | None:
    """The resources of a trial after it ran out of memory; None for no change."""
    if event.kind != "oom" or plan.retry.grow <= 1:
        return None
    current = trial.resources or event.resources
    if not current and isinstance(plan.resources, Resources):
        current = plan.resources.amounts()
    memory = current.get("memory", 0.0)
    wanted = float(int(min(memory * plan.retry.grow, state.max_resources.get("memory", math.inf))))
    return {**current, "memory": wanted} if wanted > memory else None

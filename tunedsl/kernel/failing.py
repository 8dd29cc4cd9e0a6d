"""What a failure means for its trial: how long a retry waits, what it asks for, and when there is none."""

from __future__ import annotations

import math

from msgspec.structs import replace

from tunedsl.base.vocabulary import FAILURE_KINDS, FailureKind
from tunedsl.kernel.events import Failed
from tunedsl.kernel.state import State, Trial
from tunedsl.plan import Plan, Resources, Retry
from tunedsl.schedule.contract import Note, note

_DEATHS = ("lost", "oom")
"""Kinds in which a worker dies with its trial."""


def counted(trial: Trial, kind: FailureKind) -> Trial:
    """The trial with one more failure of a kind."""
    place = FAILURE_KINDS.index(kind)
    failures = (*trial.failures, *(0,) * (len(FAILURE_KINDS) - len(trial.failures)))
    trial = replace(trial, failures=(*failures[:place], failures[place] + 1, *failures[place + 1 :]))
    if kind not in _DEATHS:
        return trial
    losses = trial.losses + 1 if trial.lost_at == trial.iteration else 1
    return replace(trial, losses=losses, lost_at=trial.iteration)


def allowed(retry: Retry, trial: Trial, kind: FailureKind) -> bool:
    """Whether the retries of a kind are not used up."""
    limit: int = getattr(retry, kind)
    return limit < 0 or trial.failures[FAILURE_KINDS.index(kind)] <= limit


def poisoned(retry: Retry, trial: Trial, kind: FailureKind) -> Note | None:
    """Why a trial is not run again that takes one worker after the other with it and gets no further."""
    if kind not in _DEATHS or not 0 <= retry.in_a_row < trial.losses:
        return None
    return note("kills its workers", losses=trial.losses, iteration=trial.iteration, in_a_row=retry.in_a_row)


def delay(retry: Retry, trial: Trial, kind: FailureKind) -> float:
    """Seconds to wait before a retry; a worker that was lost is no fault of the trial's, and nothing waits for it."""
    if kind == "lost" or not retry.wait:
        return 0.0
    count = trial.failures[FAILURE_KINDS.index(kind)]
    # The exponent is bounded, so that no count of failures makes it overflow.
    return min(retry.wait * retry.wait_growth ** min(count - 1, 64), retry.wait_most)


def grown(plan: Plan, state: State, trial: Trial, event: Failed) -> dict[str, float] | None:
    """What a trial that ran out of memory is given next, None for the same again."""
    if event.kind != "oom" or plan.retry.grow <= 1:
        return None
    had = trial.resources or event.given
    if not had and isinstance(plan.resources, Resources):
        had = plan.resources.amounts()
    memory = had.get("memory", 0.0)
    wanted = float(int(min(memory * plan.retry.grow, state.most.get("memory", math.inf))))
    return {**had, "memory": wanted} if wanted > memory else None

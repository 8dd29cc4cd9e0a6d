"""Checks a request to amend the plan of a run in progress, and prepares the amendment for its driver.

It refuses changes that need a new driver: code, data, resources and the width.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Final

import attrs

from tunedsl.base import codec
from tunedsl.base.codec import to_json
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import TunedslError
from tunedsl.base.types import Json
from tunedsl.driver.reopening import Amendment, misplaced_trial
from tunedsl.driver.request_handlers import MAX_TEXT
from tunedsl.driver.searcher_session import SearcherSession
from tunedsl.journal import Journal, fold, gc_paused
from tunedsl.journal.requests import AmendRequest, RequestRefused
from tunedsl.kernel import RunState
from tunedsl.plan import Plan
from tunedsl.plan.amending import changed_fields
from tunedsl.plan.contents import functions_of
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.worker.commands import ChangeSettings

LIVE_FIELDS: Final = frozenset(
    {
        "space", "searcher", "scheduler", "stop", "decision_points", "budget", "samples", "trials", "retry",
        "fail_fast", "timeout", "checkpoint", "idle", "grace", "until", "constraints",
    }
)  # fmt: skip
"""The fields of a plan that a driver can change while trials run."""


def live_changes(before: Plan, after: Plan) -> dict[str, Json]:
    """The changed fields of a plan, as data for a request.

    Raises:
        RequestRefused: when a driver cannot make these changes while trials run.
    """
    changed = changed_fields(before, after)
    fixed = [name for name in changed if name not in LIVE_FIELDS]
    if fixed:
        raise RequestRefused(_not_live(", ".join(fixed)))
    changes = {name: getattr(after, name) for name in changed}
    code = [f"{name} with {reference.reference}" for name in changes for _, reference in functions_of(changes[name])]
    if code:
        raise RequestRefused(_not_live(code[0]))
    return {name: codec.encode(item) for name, item in changes.items()}


def _not_live(what: str) -> str:
    return (
        f"A run cannot change {what} while its trials run.\n"
        "  help: pause the run, then resume it with the changed experiment and amend=True, or --amend"
    )


def amended_plan(request: AmendRequest, plan: Plan, state: RunState) -> tuple[Plan, Amendment]:
    """The amended plan of a request.

    Args:
        request: the request, which is untrusted input.
        plan: the present plan.
        state: the present state.

    Raises:
        RequestRefused: when it cannot be carried out now.

    Returns:
        The plan, which is the present one if the request was carried out before, and its treatment of earlier trials.
    """
    if state.closing_reason or state.finished or state.suspended:
        raise RequestRefused("The experiment is ending.\n  help: amend it when it is resumed, by amend=True or --amend")
    try:
        changes: dict[str, Any] = {name: codec.decode(item) for name, item in request.changes.items()}
        after: Plan = attrs.evolve(plan, **changes)  # type: ignore[misc]  # `value` makes attrs classes
        is_done = after == plan
        if request.before != plan.digest and not is_done:
            raise RequestRefused("The plan has been amended meanwhile.\n  help: send the amendment again")
        live_changes(plan, after)
    except RequestRefused:
        raise
    except (TunedslError, TypeError, ValueError) as error:
        raise RequestRefused(f"The request is not an amendment of this plan: {reason(error)}.") from error
    misplaced = misplaced_trial(plan, after, state)
    if misplaced:
        raise RequestRefused(misplaced)
    return after, Amendment(request.ended, request.defaults, request.text[:MAX_TEXT])


def recalled_session(
    plan: Plan, resolve: Callable[[str], Any], journal: Journal, count: int, defaults: dict[str, Json]
) -> SearcherSession:
    """A session of an amended plan's searcher, which receives the trials in the first `count` records."""
    session = SearcherSession(plan, resolve)
    session.defaults = defaults
    with gc_paused():
        for line, state in islice(fold(journal), count):
            if line.e is not None:
                session.follow(line.e, line.c, state, recalled=True)
    return session


def settings_of(plan: Plan) -> ChangeSettings:
    """The settings of a plan that workers use from the next report of each trial."""
    return ChangeSettings(
        stop=to_json(plan.stop),
        decision_points=to_json(plan.decision_points),
        save_every=plan.checkpoint.every,
        save_at_end=plan.checkpoint.at_end,
        save_at_decisions=scheduler_of(plan.scheduler).requirements(plan.scheduler).checkpoints,
        timeout=plan.timeout,
        idle=plan.idle,
        grace=plan.grace,
    )

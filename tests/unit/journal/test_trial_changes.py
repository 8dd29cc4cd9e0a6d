"""The trials that one record changes, and how; above all for records about several trials."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journals import journal, opened, reported, whole
from tests.plans import make_plan
from tunedsl.journal import STATUSES, Line, TrialStatuses, trial_changes
from tunedsl.kernel import (
    CapacityChanged,
    ClockAdvanced,
    Ended,
    Event,
    Failed,
    Launch,
    Pause,
    Proposed,
    Reported,
    RetryRequested,
    Started,
    Stop,
    StopRequested,
    UserTrialAdded,
)
from tunedsl.plan import Retry
from tunedsl.schedulers.contract import Reason
from tunedsl.stopping import Budget

CLOSING = Reason("closing", {"reason": "the budget is used up"})
FAILED = Failed(1.0, 3, "crash", "boom")
REPORT = Reported(1.0, 3, 1, ("loss",), ((1.0,),), (1.0,))


def changes(event: Event | None, *commands: Any) -> list[tuple[int, str]]:
    return [(change.trial, change.status) for change in trial_changes(Line(1, e=event, c=commands))]


@pytest.mark.parametrize(
    ("event", "commands", "expected"),
    [
        (None, (), []),
        (CapacityChanged(0.0, 4), (Launch(5, 1),), [(5, "pending")]),
        (Proposed(0.0, 3, {}), (Launch(3, 0),), [(3, "pending"), (3, "pending")]),
        (Proposed(0.0, 3, {}), (), [(3, "pending"), (3, "cancelled")]),
        (Proposed(0.0, 3, {}), (Launch(5, 1),), [(3, "pending"), (3, "cancelled"), (5, "pending")]),
        (Proposed(0.0, 3, {}), (Stop(3, 0, CLOSING),), [(3, "pending"), (3, "cancelled")]),
        (UserTrialAdded(0.0, 3, {}), (), [(3, "pending")]),
        (Started(0.0, 3, 0), (), [(3, "running")]),
        (REPORT, (), []),
        (REPORT, (Stop(3, 0, Reason("asha", {})), Launch(5, 1)), [(3, "stopped"), (5, "pending")]),
        (REPORT, (Stop(3, 0, CLOSING), Stop(5, 0, CLOSING)), [(3, "cancelled"), (5, "cancelled")]),
        (REPORT, (Pause(3, 0), Launch(3, 1)), [(3, "paused"), (3, "pending")]),
        (reported(3, [1.0], ends="rule"), (Launch(5, 1),), [(3, "completed"), (5, "pending")]),
        (reported(3, [1.0], ends="returned"), (), [(3, "completed")]),
        (Ended(0.0, 3, 1), (Stop(5, 0, CLOSING),), [(3, "completed"), (5, "cancelled")]),
        (FAILED, (), [(3, "failed")]),
        (FAILED, (Launch(3, 1),), [(3, "pending")]),
        (FAILED, (Launch(5, 1),), [(3, "failed"), (5, "pending")]),  # the place goes to another trial
        (FAILED, (Stop(5, 0, CLOSING),), [(3, "failed"), (5, "cancelled")]),  # fail_fast
        (FAILED, (Stop(3, 1, CLOSING),), [(3, "cancelled")]),  # a retry that the end of the run cut off
        (RetryRequested(0.0, (3, 5)), (), [(3, "pending"), (5, "pending")]),
        (ClockAdvanced(9.0), (Stop(3, 0, CLOSING),), [(3, "cancelled")]),
    ],
)
def test_one_record(event: Event | None, commands: tuple[Any, ...], expected: list[tuple[int, str]]) -> None:
    assert changes(event, *commands) == expected
    assert {status for _, status in expected} <= set(STATUSES)


def folded(events: list[Event], **plan: Any) -> TrialStatuses:
    statuses = TrialStatuses()
    for line in journal(make_plan(**plan), events).records():
        statuses.take(line)
    return statuses


def test_a_trial_that_is_ended_before_it_starts_is_cancelled_and_one_that_runs_is_stopped() -> None:
    asked = [StopRequested(1.0, 0, "enough"), StopRequested(1.0, 1, "enough")]
    statuses = folded([*opened(2), Started(0.0, 0, 0), *asked], trials=2)
    assert statuses.counts == {"stopped": 1, "cancelled": 1, "pending": 0, "running": 0} and statuses.over == 1


def test_a_budget_cancels_what_it_cuts_and_what_it_never_let_start() -> None:
    events = [*opened(4), *whole(0, [1.0]), Started(1.0, 1, 0), reported(1, [1.0, 1.0])]
    statuses = folded(events, trials=4, budget=Budget(iterations=3))
    assert +statuses.counts == {"completed": 1, "cancelled": 3} and not statuses.open


def test_a_trial_that_waits_for_its_retry_when_a_budget_ends_the_run_is_cancelled() -> None:
    events = [*opened(1), Started(0.0, 0, 0), Failed(5.0, 0, "crash", "boom")]
    assert +folded(events, trials=1, retry=Retry(crash=1), budget=Budget(seconds=5.0)).counts == {"cancelled": 1}
    assert +folded(events, trials=1, retry=Retry(crash=1)).counts == {"pending": 1}
    assert +folded(events, trials=1).counts == {"failed": 1}


def test_a_failed_trial_that_is_run_again_counts_once() -> None:
    failed = [*opened(1), Started(0.0, 0, 0), Failed(1.0, 0, "crash", "boom"), RetryRequested(2.0, (0,))]
    assert +folded(failed, trials=1).counts == {"pending": 1}
    again = [*failed, CapacityChanged(2.0, 1), Started(2.0, 0, 1), reported(0, [1.0], ends="returned")]
    assert +folded(again, trials=1).counts == {"completed": 1}

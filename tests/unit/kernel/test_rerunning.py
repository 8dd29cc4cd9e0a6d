"""Reruns of failed trials: where they start, and how the run's state changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journals import opened, reported
from tests.plans import make_plan
from tunedsl.kernel import (
    CapacityChanged,
    Event,
    Failed,
    Finish,
    IllegalMove,
    Launch,
    RetryRequested,
    RunState,
    Saved,
    Started,
    initial,
    step,
)
from tunedsl.plan import CheckpointPolicy

PLAN = make_plan(trials=1, checkpoint=CheckpointPolicy(keep=2))
TWICE: list[Event] = [
    *opened(1),
    Started(0.0, 0, 0),
    reported(0, [3.0]),
    Saved(1.0, 0, 1, "first"),
    reported(0, [2.0], first=2),
    Saved(2.0, 0, 2, "second"),
]


def after(*events: Event, plan: Any = PLAN) -> tuple[RunState, list[Any]]:
    state, commands = initial(plan), []
    for event in events:
        state, commands = step(plan, state, event)
    return state, commands


@pytest.mark.parametrize(
    ("unread", "missing", "checkpoint", "folder"),
    [
        ("", (), 2, "second"),
        ("second", (), 1, "first"),  # the newest one that can be read
        ("", ("second",), 1, "first"),
        ("second", ("first",), 0, ""),
        ("", ("first", "second"), 0, ""),
    ],
)
def test_it_starts_from_the_newest_good_checkpoint(unread, missing, checkpoint, folder):
    state, commands = after(*TWICE, Failed(3.0, 0, "storage", "boom", unreadable_checkpoint=unread))
    assert state.finished and isinstance(commands[-1], Finish) and not state.checkpoint_refs
    state, commands = step(PLAN, state, RetryRequested(4.0, (0,), missing))
    assert commands == [] and not state.finished and state.errored_count == 0 and list(state.queued) == [0]
    state, commands = step(PLAN, state, CapacityChanged(4.0, 1))
    assert commands == [Launch(0, 1, 2, checkpoint)]
    assert state.trials[0].folder == folder and dict(state.checkpoint_refs) == ({folder: 1} if folder else {})
    assert {item.folder for item in state.trials[0].checkpoints} == {"first", "second"} - {unread} - set(missing)


def test_its_retries_are_counted_anew():
    state, _ = after(*TWICE, Failed(3.0, 0, "crash", "boom"), RetryRequested(4.0, (0,)))
    assert sum(state.trials[0].failures) == 0 and state.trials[0].phase == "PENDING"


def test_only_failed_trials_can_be_run_again():
    for events in (TWICE, [*TWICE, reported(0, [1.0], first=3, ends="returned")]):
        state, _ = after(*events)
        with pytest.raises(IllegalMove, match="cannot rerun"):
            step(PLAN, state, RetryRequested(4.0, (0,)))

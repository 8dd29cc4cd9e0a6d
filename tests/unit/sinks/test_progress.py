"""What the progress view counts and shows."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.journals import opened, reported, whole
from tests.plans import make_plan
from tunedsl.base.objective import Objective
from tunedsl.kernel import Event, Failed, Proposed, Started, State, StopAsked, initial, step
from tunedsl.plan import Plan
from tunedsl.schedule import asha
from tunedsl.sinks import progress as module
from tunedsl.sinks.progress import Lines, Silence, View, progress
from tunedsl.sinks.tally import Tally
from tunedsl.stop import Budget


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def feed(listener: Silence, plan: Plan, events: list[Event]) -> State:
    state = initial(plan)
    for event in events:
        state, commands = step(plan, state, event)
        listener.on_event(event, commands, state)
    return state


PLAN = make_plan(trials=6, scheduler=asha(max_t=9, reduction_factor=3))
EVENTS: list[Event] = [
    *opened(6),
    *whole(0, [2.0, 1.0, "nan"]),
    Started(1.0, 1, 0),
    reported(1, [0.5], waits=True),
    Started(2.0, 2, 0),
    reported(2, [9.0], waits=True),  # worse than the one before
    Started(4.0, 3, 0),
    Failed(5.0, 3, "crash", "ValueError: boom"),
    Started(6.0, 4, 0),
]


def test_trials_are_counted_by_what_became_of_them() -> None:
    listener = Lines(PLAN, "test", io.StringIO())
    state = feed(listener, PLAN, EVENTS)
    assert listener.tally.counts(state) == {"running": 2, "pending": 1, "done": 1, "stopped early": 1, "failed": 1}
    assert listener.tally.best is not None
    assert (listener.tally.best.trial, listener.tally.best.value) == (1, 0.5)
    assert listener.tally.failure is not None
    assert sum(listener.tally.counts(state).values()) == len(state.trials)


def test_trials_that_the_end_of_the_experiment_stops_are_counted_so() -> None:
    listener = Lines(PLAN, "test", io.StringIO())
    late = Proposed(8.0, 5, {"x": 0.0}, "late")
    events = [*opened(5), *whole(0, [1.0]), Started(1.0, 1, 0), StopAsked(7.0, None, "enough"), late]
    state = feed(listener, PLAN, events)
    assert listener.tally.counts(state) == {"running": 0, "done": 1, "stopped early": 5}


def test_the_best_follows_the_objective() -> None:
    plan = make_plan(trials=2, objectives=(Objective("loss", "max"),))
    tally = Tally(plan)
    state = initial(plan)
    for event in [*opened(2), *whole(0, [1.0, 3.0, 2.0]), *whole(1, ["inf"])]:
        state, commands = step(plan, state, event)
        tally.take(event, commands, state)
    assert tally.best is not None
    assert tally.best.value == 2.0  # of the last reports, as `results.best`


@pytest.mark.parametrize(
    ("budget", "left"),
    [(Budget(), 30.0), (Budget(seconds=12.0), 2.0), (Budget(iterations=4), 10.0), (Budget(trials=2), 10.0)],
)
def test_time_left_is_the_pace_or_what_a_budget_leaves(budget: Budget, left: float) -> None:
    plan = make_plan(trials=4, budget=budget)
    listener = Lines(plan, "test", io.StringIO())
    state = feed(listener, plan, [*opened(2), *whole(0, [1.0, 1.0])])
    assert listener.tally.left(state, 10.0) == pytest.approx(left)


def test_without_a_pace_no_time_is_guessed() -> None:
    assert Tally(PLAN).left(initial(PLAN), 3.0) is None


def test_plain_lines_come_at_intervals_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    listener = progress(PLAN, "digits", stream)
    state = feed(listener, PLAN, EVENTS)
    for second in range(25):
        now[0] = float(second)
        listener.on_wait(state)
    listener.close(state)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0] == (
        "digits: 3/6 trials, 2 running, 1 pending, 1 done, 1 stopped early, 1 failed, 5 iterations, "
        "0:16 elapsed, about 0:16 left, best loss=0.5 in trial 00001"
    )
    assert "left" not in lines[-1]


def test_quiet_says_nothing() -> None:
    stream = io.StringIO()
    listener = progress(PLAN, "digits", stream, quiet=True)
    listener.close(feed(listener, PLAN, EVENTS))
    assert stream.getvalue() == ""


def test_a_terminal_gets_one_picture_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    listener = progress(PLAN, "digits", stream)
    assert isinstance(listener, View)
    state = feed(listener, PLAN, EVENTS)
    listener.on_wait(state)
    assert stream.getvalue() == ""  # a quarter of a second has not gone by
    listener.close(state)
    assert stream.getvalue().count("3/6") >= 1


def test_the_picture() -> None:
    listener = View(PLAN, "digits", Terminal())
    state = feed(listener, PLAN, EVENTS)
    paper = Console(file=io.StringIO(), width=100)
    paper.print(listener.picture(state, last=True))
    shown = [line.rstrip() for line in paper.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert shown == [
        "digits ━━━━━━━━━━━━             3/6 0:06 elapsed",
        "2 running, 1 pending, 1 done, 1 stopped early, 1 failed, 5 iterations",
        "best loss=0.5 in trial 00001: x=0.1",
        "last failure crash: ValueError: boom in trial 00003",
    ]


def test_a_terminal_that_is_gone_does_not_end_the_run() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("input/output error")

    listener = progress(PLAN, "digits", Gone())
    listener.close(feed(listener, PLAN, EVENTS))

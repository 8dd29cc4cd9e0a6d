"""The counts and the display of the progress view."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.clocks import PATIENCE_SECONDS
from tests.journals import opened, reported, whole, write
from tests.plans import make_plan
from tunedsl.base import codec
from tunedsl.base.objective import Objective
from tunedsl.journal import FileWriter, Mark
from tunedsl.kernel import (
    Amended,
    CapacityChanged,
    Event,
    Failed,
    Proposed,
    RetryRequested,
    RunState,
    SearchExhausted,
    Started,
    StopRequested,
    initial,
    step,
)
from tunedsl.plan import Plan
from tunedsl.schedulers import asha
from tunedsl.stopping import Budget, iteration, metric
from tunedsl.stopping.reading import last_iteration
from tunedsl.views import base
from tunedsl.views.base import LineView, NullView
from tunedsl.views.counters import Counters
from tunedsl.views.live import LiveView, sparkline
from tunedsl.views.notebook import NotebookView, curve
from tunedsl.views.progress import progress
from tunedsl.views.watch import watch


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def feed(listener: NullView, plan: Plan, events: list[Event]) -> RunState:
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
    listener = LineView(PLAN, "test", io.StringIO())
    state = feed(listener, PLAN, EVENTS)
    assert listener.tally.counts() == {"running": 2, "pending": 1, "completed": 1, "stopped": 1, "failed": 1}
    assert listener.tally.best is not None
    assert (listener.tally.best.trial, listener.tally.best.value) == (1, 0.5)
    assert [failure.trial for failure in listener.tally.failures] == [3]
    assert sum(listener.tally.counts().values()) == len(state.trials)


def test_an_amendment_to_fewer_trials_counts_those_that_ran() -> None:
    before, after = make_plan(trials=5), make_plan(trials=3)
    stream = io.StringIO()
    listener = LineView(before, "test", stream)
    ran = [event for number in range(4) for event in whole(number, [1.0])]
    amended = Amended(9.0, codec.encode(after), ("samples", "trials"))
    state = feed(listener, before, [*opened(5), *ran, amended])
    listener.show(state)
    assert "4/4 trials" in stream.getvalue()


def test_trials_that_the_end_of_the_experiment_stops_are_counted_so() -> None:
    listener = LineView(PLAN, "test", io.StringIO())
    late = Proposed(8.0, 5, {"x": 0.0}, "late")
    events = [*opened(5), *whole(0, [1.0]), Started(1.0, 1, 0), StopRequested(7.0, None, "enough"), late]
    state = feed(listener, PLAN, events)
    assert listener.tally.counts() == {"running": 0, "completed": 1, "cancelled": 5}
    assert len(state.trials) == 6 and listener.over == 1


def test_no_trial_runs_in_the_last_view_of_an_interrupted_run(tmp_path: Path) -> None:
    stream = io.StringIO()
    listener = progress(PLAN, "digits", stream)
    listener.close(feed(listener, PLAN, [*opened(3), *whole(0, [1.0]), Started(1.0, 1, 0), reported(1, [0.5])]))
    assert "1/6 trials, 2 pending, 1 completed" in stream.getvalue() and "running" not in stream.getvalue()


def test_a_watch_that_ends_while_the_run_goes_on_counts_what_runs(tmp_path: Path) -> None:
    writer = FileWriter(tmp_path / "journal.jsonl")
    write(writer, PLAN, [*opened(3), *whole(0, [1.0]), Started(1.0, 1, 0)])
    held, left = io.StringIO(), io.StringIO()
    watch(tmp_path, held, once=True)
    writer.close()
    watch(tmp_path, left, once=True)
    assert "1 running, 1 pending, 1 completed" in held.getvalue() and "2 pending, 1 completed" in left.getvalue()


def test_the_best_is_a_failed_trial_only_where_no_other_has_a_value() -> None:
    plan = make_plan(trials=2)
    listener = LineView(plan, "test", io.StringIO())
    failed: list[Event] = [Started(0.0, 0, 0), reported(0, [0.5]), Failed(1.0, 0, "crash", "boom")]
    feed(listener, plan, [*opened(2), *failed])
    assert listener.tally.best is not None and listener.tally.best.value == 0.5
    listener = LineView(plan, "test", io.StringIO())
    state = feed(listener, plan, [*opened(2), *failed, *whole(1, [2.0])])
    assert listener.tally.best is not None and listener.tally.best.value == 2.0
    for event in (RetryRequested(2.0, (0,)), CapacityChanged(2.0, 2)):
        state, commands = step(plan, state, event)
        listener.on_event(event, commands, state)
    assert listener.tally.best.value == 0.5 and listener.tally.counts() == {"running": 0, "pending": 1, "completed": 1}


def test_the_best_follows_the_objective() -> None:
    plan = make_plan(trials=2, objectives=(Objective("loss", "max"),))
    tally = Counters(plan)
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
    listener = LineView(plan, "test", io.StringIO())
    state = feed(listener, plan, [*opened(2), *whole(0, [1.0, 1.0])])
    assert listener.tally.left(state, 10.0) == pytest.approx(left)


def test_without_a_pace_no_time_is_guessed() -> None:
    assert Counters(PLAN).left(initial(PLAN), 3.0) is None


def test_plain_lines_come_at_intervals_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(base.time, "monotonic", lambda: now[0])
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
        "digits: 3/6 trials, 2 running, 1 pending, 1 completed, 1 stopped, 1 failed, 5 iterations, "
        "0:17 elapsed, about 0:17 left, best loss=0.5 in trial 00001"
    )
    assert "left" not in lines[-1] and "running" not in lines[-1] and "3 pending" in lines[-1]


def test_the_last_line_says_that_a_search_is_exhausted() -> None:
    stream = io.StringIO()
    listener = progress(PLAN, "digits", stream)
    listener.close(feed(listener, PLAN, [*opened(2), *whole(0, [1.0]), SearchExhausted(1.0)]))
    assert "elapsed, the searcher has no more configurations, best" in stream.getvalue()


def test_quiet_says_nothing() -> None:
    stream = io.StringIO()
    listener = progress(PLAN, "digits", stream, quiet=True)
    listener.close(feed(listener, PLAN, EVENTS))
    assert stream.getvalue() == ""


def test_a_terminal_gets_one_picture_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    listener = progress(PLAN, "digits", stream)
    assert isinstance(listener, LiveView)
    state = feed(listener, PLAN, EVENTS)
    listener.on_wait(state)
    assert stream.getvalue() == ""  # a quarter of a second has not gone by
    listener.close(state)
    assert stream.getvalue().count("3/6") >= 1


def test_a_free_place_is_shown_only_if_it_stays_free(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = LiveView(PLAN, "digits", Terminal())
    monkeypatch.setattr(listener, "interval", 0.0)
    shown: list[int] = []
    monkeypatch.setattr(listener, "show", lambda state, last=False: shown.append(len(listener.tally.running)))
    state = feed(listener, PLAN, opened(1))
    listener.on_wait(state)
    assert shown == []  # the trial is proposed, and starts in a moment
    state, commands = step(PLAN, state, Started(1.0, 0, 0))
    listener.on_event(Started(1.0, 0, 0), commands, state)
    listener.on_wait(state)
    assert shown == [1]


def test_what_is_waited_for_is_said_before_there_is_anything_to_show() -> None:
    stream = io.StringIO()
    progress(PLAN, "digits", stream).begin("starting workers")
    progress(PLAN, "digits", stream, quiet=True).begin("starting workers")
    assert stream.getvalue() == "digits: starting workers\n"


def test_the_picture() -> None:
    listener = LiveView(PLAN, "digits", Terminal())
    state = feed(listener, PLAN, EVENTS)
    paper = Console(file=io.StringIO(), width=100)
    paper.print(listener.picture(state, last=True))
    shown = [line.rstrip() for line in paper.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert shown == [
        "digits ━━━━━━━━━━━━             3/6",
        "0:06 elapsed",
        "3 pending, 1 completed, 1 stopped, 1 failed, 5 iterations",
        "best loss=0.5",
        "  trial 00001: x=0.1",
        "failed 00003  crash: ValueError: boom",
    ]


def printed(listener: LiveView, state: RunState, last: bool = False, width: int = 100) -> list[str]:
    paper = Console(file=io.StringIO(), width=width)
    paper.print(listener.picture(state, last))
    return [line.rstrip() for line in paper.file.getvalue().splitlines()]  # type: ignore[attr-defined]


COUNTED = make_plan(trials=6, scheduler=asha(max_t=9, reduction_factor=3), stop=iteration(9) | (metric("loss") < 0))


def test_running_trials_are_shown_with_how_far_they_have_come() -> None:
    listener = LiveView(COUNTED, "digits", Terminal())
    state = feed(listener, COUNTED, EVENTS)
    shown = printed(listener, state)
    assert shown[-2].split() == ["running", "00001", "━━╸", "iteration", "1", "of", "9"]
    assert shown[-1].split()[:2] == ["running", "00004"] and shown[-1].endswith("iteration 0 of 9")
    assert not any(line.startswith("running") for line in printed(listener, state, last=True))


def test_without_a_last_iteration_they_have_no_bar() -> None:
    listener = LiveView(PLAN, "digits", Terminal())
    assert printed(listener, feed(listener, PLAN, EVENTS))[-2:] == [
        "running 00001 iteration 1",
        "running 00004 iteration 0",
    ]


def test_of_many_running_trials_the_first_are_shown() -> None:
    plan = make_plan(trials=10, stop=iteration(3))
    listener = LiveView(plan, "digits", Terminal())
    state = feed(listener, plan, [*opened(10), *(Started(0.0, trial, 0) for trial in range(10))])
    shown = printed(listener, state)
    assert sum(line.startswith("running") for line in shown) == 6 and shown[-1] == "and 4 more"
    assert all(len(line) <= 40 for line in printed(listener, state, width=40))


def test_progress_is_counted_in_iterations_where_the_last_is_known() -> None:
    listener = LiveView(COUNTED, "digits", Terminal())
    feed(listener, COUNTED, EVENTS)
    # Ended: 0 by itself at 3, 2 stopped, 3 failed; 1 has made one iteration, 4 none, and 5 has not begun.
    assert listener.tally.progress == (3 * 9 + 1, 6 * 9)
    plain = LiveView(PLAN, "digits", Terminal())
    feed(plain, PLAN, EVENTS)
    assert plain.tally.progress == (3, 6)


def test_the_bar_moves_with_each_iteration_of_a_single_trial() -> None:
    plan = make_plan(trials=1, stop=iteration(4))
    listener = LiveView(plan, "digits", Terminal())
    tally, state, seen = listener.tally, initial(plan), []
    for event in [*opened(1), Started(0.0, 0, 0), *(reported(0, [1.0], first=at) for at in range(1, 4))]:
        state, commands = step(plan, state, event)
        listener.on_event(event, commands, state)
        seen.append(tally.progress)
    assert seen[-4:] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    ending = reported(0, [1.0], first=4, ends=True)
    state, commands = step(plan, state, ending)
    listener.on_event(ending, commands, state)
    assert tally.progress == (4, 4)


@pytest.mark.parametrize(
    ("rule", "last"),
    [
        (iteration(81), 81),
        (iteration(81) | (metric("loss") < 5), 81),
        (iteration(81) | iteration(9), 9),
        (metric("training_iteration") > 8, 9),
        (metric("training_iteration") >= 8.5, 9),
        (iteration(81) & (metric("loss") < 5), None),
        (metric("loss") < 5, None),
        (None, None),
    ],
)
def test_the_last_iteration_is_read_from_the_stop_rule(rule: Any, last: int | None) -> None:
    assert last_iteration(rule) == last


def test_a_notebook_shows_who_runs_and_counts_iterations() -> None:
    pytest.importorskip("IPython")
    listener = NotebookView(COUNTED, "digits")
    state = feed(listener, COUNTED, EVENTS)
    page = listener.page(state)
    assert '<progress max="54" value="28">' in page and "00001: iteration 1 of 9" in page
    assert "iteration 1 of 9" not in listener.page(state, last=True)


def test_a_terminal_that_is_gone_does_not_end_the_run() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("input/output error")

    listener = progress(PLAN, "digits", Gone())
    listener.close(feed(listener, PLAN, EVENTS))


def test_the_picture_has_a_curve_and_what_is_used_of_budgets() -> None:
    plan = make_plan(trials=3, budget=Budget(seconds=100.0, failures=2))
    listener = LiveView(plan, "digits", Terminal())
    events = [*opened(3), *whole(0, [4.0]), Started(1.0, 1, 0), reported(1, [9.0, 2.0]), reported(1, [0.0], first=3)]
    state = feed(listener, plan, events)
    paper = Console(file=io.StringIO(), width=80)
    paper.print(listener.picture(state))
    shown = paper.file.getvalue()  # type: ignore[attr-defined]
    assert "1 of 3 workers busy" in shown and "budget: time 0:03 of 1:40, failures 0 of 2" in shown
    assert "best loss=0  ████" in shown and all(len(line) <= 80 for line in shown.splitlines())


def test_a_curve_needs_two_values_and_may_be_flat() -> None:
    assert sparkline([], 1.0, 10) == sparkline([(0.0, 1.0)], 1.0, 10) == "" == curve([], 1.0)
    assert len(sparkline([(0.0, 1.0), (0.0, 1.0)], 0.0, 10)) == 10
    assert "polyline" in curve([(0.0, 1.0), (0.0, 1.0)], 0.0)


def test_the_history_stays_short() -> None:
    tally = Counters(make_plan(trials=1))
    state = initial(tally.plan)
    events = [*opened(1), Started(0.0, 0, 0), *(reported(0, [-float(at)], first=at) for at in range(1, 3_000))]
    for event in events:
        state, commands = step(tally.plan, state, event)
        tally.take(event, commands, state)
    assert len(tally.history) <= 1_001 and tally.history[-1][1] == -2_999.0
    assert [at for at, _ in tally.history] == sorted(at for at, _ in tally.history)


def test_a_notebook_gets_a_page_that_is_put_in_its_place_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython")
    listener = NotebookView(PLAN, "<digits>")
    shown: list[str] = []
    monkeypatch.setattr(listener, "_display", lambda page, display_id: Handle(shown, page))
    state = feed(listener, PLAN, [*EVENTS, Failed(6.0, 4, "crash", "<script>")])
    listener.begin("starting workers")
    assert shown.pop() == "<b>&lt;digits&gt;</b> starting workers"
    listener.show(state)
    listener.on_notice("something")
    listener.close(state)
    assert len(shown) == 2
    assert "&lt;digits&gt;" in shown[0] and "<script>" not in shown[0] and "workers busy" in shown[0]
    assert "something" in shown[1] and "workers busy" not in shown[1]


class Handle:
    def __init__(self, shown: list[str], page: Any) -> None:
        self.shown = shown
        self.update(page)

    def update(self, page: Any) -> None:
        self.shown.append(page.data)


def test_another_process_can_watch_a_journal(tmp_path: Path) -> None:
    writer = FileWriter(tmp_path / "journal.jsonl")
    write(writer, PLAN, EVENTS)
    stream = io.StringIO()
    watcher = threading.Thread(target=watch, args=(tmp_path, stream))
    watcher.start()
    time.sleep(0.5)
    assert watcher.is_alive()  # the writer still holds it
    writer.mark(Mark(closed="interrupted"))
    writer.close()
    watcher.join(PATIENCE_SECONDS)
    assert not watcher.is_alive()
    line, note = stream.getvalue().splitlines()
    assert "3/6 trials" in line and "1 failed" in line and note.endswith(f"continue with: tunedsl resume {tmp_path}")

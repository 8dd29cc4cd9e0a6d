"""Code that runs after its trial's end is reported with its location, and delays no other trial."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.clocks import PATIENCE_SECONDS, of_trials
from tunedsl import report, space, trial, uniform
from tunedsl.backends.inline import ExecutionLock
from tunedsl.experiment import Experiment
from tunedsl.kernel import Failed
from tunedsl.worker.grace import MAX_STOPS, Grace

OPEN = threading.Event()
"""What the code of trials here waits for that hangs."""
SHORT = 1.0


@pytest.fixture(autouse=True)
def let_go(monkeypatch):
    parked = threading.Event()
    monkeypatch.setattr("tunedsl.worker.grace._never", parked)
    before = set(threading.enumerate())
    OPEN.clear()
    yield
    OPEN.set()
    parked.set()
    for thread in set(threading.enumerate()) - before:
        if thread.name == "tunedsl-trials":
            thread.join(PATIENCE_SECONDS)


def hangs_in_finally(config: dict[str, Any]) -> None:
    try:
        for _ in range(3):
            report(loss=config["x"])
    finally:
        if trial().number == 0:
            OPEN.wait(PATIENCE_SECONDS)  # in finally


def swallows_its_end(config: dict[str, Any]) -> None:
    while trial().number == 0 and not OPEN.is_set():
        try:  # noqa: SIM105
            report(loss=config["x"])
        except:  # noqa: E722  # the fault that this is about
            pass
    report(loss=config["x"])


def hangs_in_a_generator(config: dict[str, Any]) -> Any:
    try:
        while True:
            yield {"loss": config["x"]}
    finally:
        if trial().number == 0:
            OPEN.wait(PATIENCE_SECONDS)  # in finally


class HangsInCleanup:
    def setup(self, config: dict[str, Any]) -> None:
        self.config, self.left = config, 2

    def step(self) -> dict[str, float] | None:
        self.left -= 1
        return {"loss": self.config["x"]} if self.left >= 0 else None

    def cleanup(self) -> None:
        if trial().number == 0:
            OPEN.wait(PATIENCE_SECONDS)  # in cleanup


class BreaksAndHangs(HangsInCleanup):
    def step(self) -> dict[str, float] | None:
        if trial().number == 0:
            raise ValueError("broken")
        return super().step()


def three(trainable: Any, store: Any, grace: float = SHORT) -> Experiment:
    e = space(x=uniform(0, 1)).trainable(trainable).minimize("loss").samples(3).seed(0).store(store)
    return e.stop(training_iteration=2).timeout(grace=grace)


@pytest.mark.parametrize(
    ("trainable", "where"),
    [
        (hangs_in_finally, "in hangs_in_finally: OPEN.wait(PATIENCE_SECONDS)  # in finally"),
        (hangs_in_a_generator, "in hangs_in_a_generator: OPEN.wait(PATIENCE_SECONDS)  # in finally"),
        (HangsInCleanup, "in cleanup: OPEN.wait(PATIENCE_SECONDS)  # in cleanup"),
    ],
)
@pytest.mark.parametrize("width", [1, 2])
def test_inline_a_trial_that_hangs_after_its_end_is_left_to_itself(tmp_path, capsys, trainable, where, width):
    results = three(trainable, tmp_path).parallel(width).run("inline", quiet=True)
    assert [t.status for t in results.trials] == ["completed"] * 3
    assert [t.iterations for t in results.trials] == [2, 2, 2]
    told = capsys.readouterr().err
    assert "trial 00000 kept running for 1 s after its end" in told and f"{__file__}:" in told and where in told
    assert ".timeout(grace=...)" in told and told.count("kept running") == 1
    notes = [line.m.note for line in results.journal.records() if line.m is not None and line.m.note]
    assert len(notes) == 1 and "00000" in notes[0]


def test_inline_code_that_swallows_its_end_again_and_again_is_left_to_itself(tmp_path, capsys):
    results = three(swallows_its_end, tmp_path, grace=PATIENCE_SECONDS).run("inline", quiet=True)
    assert [t.status for t in results.trials] == ["completed"] * 3
    told = capsys.readouterr().err
    assert "swallowed TrialStopped each time" in told and "swallows_its_end" in told


def test_what_a_trial_came_to_is_kept_where_its_cleanup_hangs(tmp_path):
    results = three(BreaksAndHangs, tmp_path).run("inline", quiet=True)
    assert [t.status for t in results.trials] == ["failed", "completed", "completed"]
    (failed,) = [event for event in results.journal.events() if isinstance(event, Failed)]
    assert failed.kind == "crash" and "broken" in failed.message


def test_inline_a_trial_that_hangs_is_failed_by_its_limit_and_then_left_to_itself(tmp_path):
    def train(config: dict[str, Any]) -> None:
        report(loss=config["x"])
        if trial().number == 0:
            OPEN.wait(PATIENCE_SECONDS)

    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(3).seed(0).store(tmp_path)
    results = e.timeout(idle=SHORT, grace=SHORT).run("inline", quiet=True)
    assert [t.status for t in results.trials] == ["failed", "completed", "completed"]
    assert "OPEN.wait(PATIENCE_SECONDS)" in results.errors[0].traceback


def test_inline_waiting_for_its_turn_is_no_time_of_a_trials(tmp_path, monkeypatch):
    clock = of_trials(monkeypatch)

    def train(config: dict[str, Any]) -> None:
        for _ in range(2):
            clock.pass_by(20.0)  # while it has its turn; the other one waits
            report(loss=1.0)

    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).parallel(2).seed(0).store(tmp_path)
    results = e.timeout(idle=30, seconds=50).run("inline", quiet=True)
    assert not results.errors


def test_the_run_ends_though_its_last_trial_never_does(tmp_path):
    def train(config: dict[str, Any]) -> None:
        report(loss=1.0)
        OPEN.wait(PATIENCE_SECONDS)

    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(1).seed(0).store(tmp_path)
    results = e.timeout(grace=SHORT, seconds=SHORT).run("inline", quiet=True)
    assert results.trials[0].iterations == 1 and "OPEN.wait" in results.errors[0].traceback


def test_a_thread_that_hangs_once_the_run_is_over_is_warned_of(tmp_path, monkeypatch):
    monkeypatch.setattr("tunedsl.backends.inline.SHUTDOWN_SECONDS", SHORT)

    def train(config: dict[str, Any]) -> None:
        if trial().number == 1:
            raise ValueError("ends the run")
        try:
            while True:
                report(loss=1.0)
        finally:
            OPEN.wait(PATIENCE_SECONDS)

    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).parallel(2).seed(0).store(tmp_path)
    with pytest.warns(RuntimeWarning, match=r"00000 kept running .*OPEN\.wait"):
        results = e.fail_fast().timeout(grace=SHORT).run("inline", quiet=True)
    assert [t.status for t in results.trials] == ["cancelled", "failed"]


def test_the_period_begins_when_the_code_is_told_and_not_before():
    grace = Grace(10.0)
    assert grace.excess(1e9) == "", "it has not ended"
    grace.begin(100.0)
    assert grace.excess(110.0) == "" and "10 s" in grace.excess(110.1)
    grace.stop(200.0)
    grace.begin(300.0)
    assert grace.excess(210.0) == "" and "10 s" in grace.excess(210.1)
    for _ in range(MAX_STOPS):
        grace.stop(200.0)
    assert f"reported {MAX_STOPS + 1} times" in grace.excess(200.0)


def test_a_turn_that_was_taken_away_passes_on_and_never_comes_back():
    baton, has, order = ExecutionLock(), threading.Event(), []

    def hangs() -> None:
        baton.acquire()
        has.set()
        OPEN.wait(PATIENCE_SECONDS)
        baton.release()
        order.append("released")
        baton.acquire()
        order.append("never")

    thread = threading.Thread(target=hangs, daemon=True)
    thread.start()
    assert has.wait(PATIENCE_SECONDS)
    baton.acquire(lambda: baton.abandon(thread))
    OPEN.set()
    while order != ["released"]:
        time.sleep(0.001)
    baton.release()
    baton.acquire()
    baton.release()
    assert order == ["released"] and thread.is_alive()


def test_the_clause_is_part_of_the_plan_where_it_is_not_the_default(tmp_path):
    e = space(x=uniform(0, 1)).trainable(hangs_in_finally).minimize("loss").seed(0)
    assert e.compile().grace == 30.0 == e.timeout(grace=30).compile().grace
    assert e.compile().digest == e.timeout(grace=30).compile().digest != e.timeout(grace=5).compile().digest
    assert ".timeout(60, grace=5)" in repr(e.timeout(60.0, grace=5.0))
    assert "after its trial's end" in e.timeout(grace=5).explain()

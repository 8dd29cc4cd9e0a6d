"""Failures on the inline and simulated engines: delays, time limits, storage, and errors of policies."""

from __future__ import annotations

import shutil
import time

import pytest
from attrs import evolve
from immutables import Map
from msgspec.structs import replace as evolve_struct

from tests.clocks import of_trials
from tests.experiments import Quadratic, searching
from tunedsl import Trainable, backoff, replay, report, resume, space, trial, uniform
from tunedsl.backends import SimulatedEngine
from tunedsl.backends.delay_queue import DelayQueue
from tunedsl.base import retry
from tunedsl.base.codec import value
from tunedsl.base.errors import FunctionError, SchedulerError, SearcherError
from tunedsl.journal import FORMAT, Header
from tunedsl.journal.reader import Digest
from tunedsl.kernel import CapacityChanged, ClockAdvanced, Failed, RunState, Started, TrialState
from tunedsl.kernel.retention import skip_checkpoint
from tunedsl.kernel.state import SavedCheckpoint
from tunedsl.results import load
from tunedsl.results.failures import failures
from tunedsl.schedulers import fifo
from tunedsl.schedulers.contract import Every, Exploit, Scheduler, reason, register_scheduler
from tunedsl.searchers import random_search
from tunedsl.searchers.contract import Proposal, Searcher, searcher_of
from tunedsl.searchers.contract import register_searcher as enrol_searcher
from tunedsl.worker import Assignment
from tunedsl.worker.commands import Assign
from tunedsl.worker.session import Session


def one(train, store, **constants):
    return space(x=uniform(0, 1), **constants).trainable(train).minimize("loss").samples(1).seed(0).store(store)


def crashes_twice(config):
    if trial().attempt < 2:
        raise ValueError("not yet")
    report(loss=config["x"])


def failed(results):
    return [event for event in results.journal.events() if isinstance(event, Failed)]


def test_a_retry_waits_and_then_runs(tmp_path):
    e = one(crashes_twice, tmp_path).retry(crash=2, backoff=backoff(initial=0.1))
    began = time.monotonic()
    results = e.run(engine="inline", quiet=True)
    assert results.trials[0].status == "completed" and time.monotonic() - began >= 0.3
    assert replay(results.path)
    assert "launched again from the beginning, after 0.2 seconds" in results.why(0)


def test_what_waits_is_seen_by_no_digest_under_logical_order(tmp_path):
    e = space(x=uniform(0, 1)).trainable(crashes_twice).minimize("loss").samples(6).parallel(3).order("logical")
    runs = [
        e.seed(0).store(tmp_path).retry(crash=2, backoff=backoff(initial=wait)).run(engine="inline", quiet=True)
        for wait in (0.0, 0.05)
    ]
    events = [[(type(event), getattr(event, "trial", None)) for event in run.journal.events()] for run in runs]
    assert events[0] == events[1]


class FailsAtFirst(SimulatedEngine):
    """Reports once for each trial that its attempt failed."""

    def poll(self, seconds):
        messages = super().poll(seconds)
        for place, message in enumerate(messages):
            if message.attempt == 0 and (message.trial, 0) in self._runs:
                del self._runs[message.trial, 0]
                self._free += 1
                return [*messages[:place], type(message)(message.trial, 0, Failed(0.0, message.trial, "crash", "test"))]
        return messages


def test_retries_wait_on_the_virtual_clock(tmp_path):
    e = one(crashes_twice, tmp_path).retry(1, backoff=backoff(initial=30))
    results = e.run(FailsAtFirst(iterations=2), quiet=True)
    story = results.why(0)
    assert results.trials[0].status == "completed" and "     30.00 s  started, attempt 2" in story


def test_two_waits_go_on_side_by_side(tmp_path):
    e = one(crashes_twice, tmp_path).samples(2).parallel(2).retry(1, backoff=backoff(initial=30))
    results = e.run(FailsAtFirst(iterations=2), quiet=True)
    again = [event for event in results.journal.events() if isinstance(event, Started) and event.attempt]
    assert [(event.trial, event.seconds) for event in again] == [(0, 30.0), (1, 30.0)]


@pytest.mark.parametrize(("limit", "kind"), [({"idle": 10}, "idle"), ({"seconds": 20}, "timeout")])
def test_inline_a_limit_is_seen_at_the_next_report(tmp_path, monkeypatch, limit, kind):
    clock = of_trials(monkeypatch)

    def hangs(config):
        report(loss=1.0)
        clock.pass_by(30)
        report(loss=0.5)

    results = one(hangs, tmp_path).timeout(**limit).run(engine="inline", quiet=True)
    (error,) = results.errors
    assert error.kind == kind and "report(loss=0.5)" in error.traceback and "/tunedsl/trainable" not in error.traceback
    assert results.trials[0].iterations == 1


@pytest.mark.parametrize(("limits", "kind", "seconds"), [({"idle": 4}, "idle", 7.0), ({"seconds": 9}, "timeout", 9.0)])
def test_limits_hold_on_the_virtual_clock(tmp_path, limits, kind, seconds):
    costs = {1: 1.0, 2: 2.0, 3: 10.0}
    e = one(crashes_twice, tmp_path).timeout(**limits)
    results = e.run(SimulatedEngine(cost=lambda config, iteration: costs[iteration], iterations=3), quiet=True)
    (event,) = failed(results)
    assert (event.kind, event.seconds, results.trials[0].iterations) == (kind, seconds, 2)


class Flaky(Quadratic):
    """A trainable whose storage is unavailable for a while."""

    tries = 0

    def save(self, folder):
        Flaky.tries += 1
        if Flaky.tries < 3:
            raise OSError(5, "input/output error")
        super().save(folder)


def test_storage_that_fails_for_a_while_costs_no_attempt(tmp_path):
    Flaky.tries = 0
    results = one(Flaky, tmp_path).checkpoint(at_end=True).run(engine="inline", quiet=True)
    assert results.trials[0].status == "completed" and results.trials[0].checkpoint is not None
    assert Flaky.tries == 3


class Broken(Quadratic):
    def save(self, folder):
        raise OSError(5, "input/output error")


def test_storage_that_fails_for_good_fails_the_attempt(tmp_path, monkeypatch):
    monkeypatch.setattr(retry, "CHECKPOINT_POLICY", retry.RetryPolicy(initial=0.1, total=0.2))
    results = one(Broken, tmp_path).checkpoint(at_end=True).run(engine="inline", quiet=True)
    assert [error.kind for error in results.errors] == ["storage"]


def test_what_no_waiting_mends_is_not_waited_for(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(Session, "_sleep", lambda self, seconds: waits.append(seconds))

    class Wrong(Quadratic):
        def save(self, folder):
            (folder / "missing" / "x").write_text("x")

    results = one(Wrong, tmp_path).checkpoint(at_end=True).run(engine="inline", quiet=True)
    assert results.errors[0].kind == "storage" and not waits


@value
class Careless:
    """A searcher that raises when it is asked for a trial, while a switch is on."""

    at: int = 2
    on: str = "ask"


BROKEN = {"on": True}


def _ask(spec, state, number, key):
    if BROKEN["on"] and spec.on == "ask" and number == spec.at:
        raise KeyError("its own table")
    return searcher_of(random_search()).ask(random_search(), state, number, key)


def _tell(spec, state, number, observation):
    if BROKEN["on"] and spec.on == "tell" and number == spec.at:
        raise KeyError("its own table")
    return state


_base = searcher_of(random_search())
enrol_searcher(
    Careless,
    Searcher(
        name="careless",
        init=lambda spec, *rest: _base.init(random_search(), *rest),
        ask=_ask,
        tell=_tell,
        supports=_base.supports,
        learns=True,
    ),
)


@value
class Moody:
    at: int = 2


def _on_report(spec, state, told):
    if BROKEN["on"] and told.trial == spec.at:
        raise ZeroDivisionError("of its own")
    return state, "continue", None


register_scheduler(
    Moody,
    Scheduler(
        name="moody",
        init=lambda spec, setting: None,
        on_report=_on_report,
        decision_points=lambda spec: Every(1),
        describe=lambda spec: "moody",
    ),
)


def by_trial(number, config):
    if BROKEN["on"] and number == 2:
        raise LookupError("no name")
    return f"t{number}"


CALLS = iter(range(10**6))


def by_call(config):
    """Gives amounts six times to the compiler and twice to the run, and then raises."""
    if BROKEN["on"] and next(CALLS) == 8:
        raise LookupError("no amounts")
    return {"cpu": 1}


@pytest.mark.parametrize(
    ("change", "kind", "who"),
    [
        (lambda e: e.searcher(Careless(on="ask")), SearcherError, "Careless"),
        (lambda e: e.searcher(Careless(on="tell")), SearcherError, "Careless"),
        (lambda e: e.scheduler(Moody()), SchedulerError, "Moody"),
        (lambda e: e.name_trials(by_trial), FunctionError, "name_trials"),
        (lambda e: e.resources(by_call), FunctionError, "resources"),
    ],
)
def test_code_that_decides_and_raises_is_named_and_the_run_goes_on_after_it_is_mended(tmp_path, change, kind, who):
    BROKEN["on"] = True
    e = change(searching(tmp_path, Quadratic).scheduler(fifo()).samples(6).parallel(1))
    with pytest.raises(kind) as caught:
        e.run(engine="inline", quiet=True)
    error = caught.value
    assert error.trial == 2 and who in error.who and "for trial 2" in str(error)
    assert "test_failing.py" in error.traceback and "/tunedsl/engine/" not in error.traceback
    (path,) = tmp_path.iterdir()
    assert replay(path) and [t.status for t in load(path).trials[:2]] == ["completed"] * 2
    assert kind.__name__ in load(path).state and "\n" not in load(path).state
    BROKEN["on"] = False
    results = resume(path, quiet=True)
    assert len(results.trials) == 6 and results.finished and replay(path)


def test_the_end_says_what_failed_with_the_users_own_traceback(tmp_path, capsys, monkeypatch):
    clock = of_trials(monkeypatch)

    def fails_by_kind(config):
        report(loss=1.0)
        if trial().number == 0:
            raise ValueError("a bug")
        if trial().number == 1:
            raise MemoryError
        if trial().number == 2:
            report(loss=object())
        if trial().number == 3:
            clock.pass_by(20)
            report(loss=0.1)

    e = space(x=uniform(0, 1)).trainable(fails_by_kind).minimize("loss").samples(5).seed(0).store(tmp_path)
    results = e.timeout(idle=10).run(engine="inline")
    text = failures(results)
    assert text.splitlines()[0] == "4 of 5 trials failed: 1 crash, 1 oom, 1 bad_report, 1 idle"
    for line in ('raise ValueError("a bug")', "raise MemoryError", "report(loss=object())", "report(loss=0.1)"):
        assert line in text
    assert "/tunedsl/" not in text
    assert text in capsys.readouterr().err


def test_a_resumed_run_waits_for_what_is_left_of_a_wait(tmp_path):
    e = one(crashes_twice, tmp_path).retry(1, backoff=backoff(initial=30))
    results = e.run(FailsAtFirst(iterations=2), quiet=True)
    whole = results.journal.digest
    file = results.path / "journal.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    last = next(number for number, line in enumerate(lines) if b'"failed"' in line)
    file.write_bytes(b"".join(lines[: last + 1]))
    resumed = resume(results.path, SimulatedEngine(iterations=2), quiet=True)
    assert "     30.00 s  started, attempt 2" in resumed.why(0)
    assert resumed.journal.digest == whole


def test_a_trial_that_waits_can_be_stopped(tmp_path):
    class Stops(FailsAtFirst):
        """Lets the budget end the run while the trial waits."""

    e = one(crashes_twice, tmp_path).retry(1, backoff=backoff(initial=30)).samples(2).budget(seconds=5)
    results = e.run(Stops(cost=10.0, iterations=2), quiet=True)
    assert results.finished and "budget" in results.state
    assert {t.status for t in results.trials} == {"cancelled"} and replay(results.path)


def assigned(number, wait):
    return Assign(Assignment(number, f"{number:05d}", 0, {}, 1, {}), wait)


def test_delays_give_each_assignment_once_when_it_is_due():
    delays = DelayQueue()
    assert not delays.push(assigned(0, 0.0), 10.0) and delays.next() is None
    assert all(delays.push(assigned(number, wait), 10.0) for number, wait in ((1, 5.0), (2, 1.0), (3, 3.0)))
    assert delays.next() == 11.0 and delays.due(10.5) == []
    delays.drop(2, 0)
    assert delays.next() == 13.0
    assert [order.assignment.trial for order in delays.due(20.0)] == [3, 1]
    assert delays.next() is None and delays.due(99.0) == []


class Spoilt(Trainable):
    """Loses or spoils its newest checkpoint in its first attempt, and then fails."""

    def setup(self, config):
        self.done = 0

    def step(self):
        self.done += 1
        if self.done == 4 and trial().attempt == 0:
            newest = trial().path / "checkpoints" / "00000003"
            if WHAT_HAPPENS["spoilt"] == "gone":
                shutil.rmtree(newest)
            else:
                (newest / "done").write_text("nothing that load can read")
            raise RuntimeError("the first attempt fails")
        return None if self.done > 5 else {"loss": self.done, "from": trial().iteration}

    def save(self, folder):
        (folder / "done").write_text(str(self.done))

    def load(self, folder):
        self.done = int((folder / "done").read_text())


WHAT_HAPPENS = {"spoilt": ""}


@pytest.mark.parametrize(("spoilt", "kind"), [("gone", "storage"), ("spoilt", "crash")])
@pytest.mark.parametrize(("keep", "start"), [(None, 2), (1, 0)])
def test_a_retry_starts_from_the_newest_checkpoint_that_is_good(tmp_path, spoilt, kind, keep, start):
    WHAT_HAPPENS["spoilt"] = spoilt
    e = (
        searching(tmp_path, Spoilt)
        .scheduler(fifo())
        .samples(1)
        .checkpoint(every=1, keep=keep)
        .retry(2, backoff=backoff(initial=0))
    )
    results = e.run(engine="inline", quiet=True)
    failed = [event for event in results.journal.events() if isinstance(event, Failed)]
    assert [event.kind for event in failed] == ["crash", kind] and failed[1].unreadable_checkpoint.endswith("00000003")
    (one,) = results.trials
    assert one.status == "completed" and (one.iterations, one.metrics["loss"], one.metrics["from"]) == (5, 5, start)
    assert replay(results.path)


def test_what_came_before_a_takeover_is_nothing_to_fall_back_on():
    kept = (SavedCheckpoint(2, "a", 0.0), SavedCheckpoint(4, "b", 0.0), SavedCheckpoint(6, "c", 0.0))
    held = Map({"c": 1})
    state = RunState(scheduler=None, checkpoint_refs=held)
    one = TrialState(0, {}, folder="c", checkpoint=6, checkpoints=kept, copied_at=5)
    assert skip_checkpoint(state, one, "c") == (state, one)
    _, gone_back = skip_checkpoint(state, evolve_struct(one, copied_at=3), "c")
    assert (gone_back.folder, gone_back.checkpoint, gone_back.checkpoints) == ("b", 4, kept[:2])
    assert skip_checkpoint(state, one, "donors") == (state, one)


def test_other_memory_on_resume_is_seen_by_no_digest():
    def digest(*events):
        running = Digest(Header(FORMAT, {}, "of a plan", {}))
        for event in events:
            running.add(event)
        return running.text

    some, more, wider = (
        CapacityChanged(0.0, 2, 0, {"memory": 1.0}),
        CapacityChanged(5.0, 2, 0, {"memory": 2.0}),
        CapacityChanged(0.0, 3),
    )
    assert (
        digest(some, ClockAdvanced(1.0))
        == digest(some, more, ClockAdvanced(2.0))
        == digest(more, ClockAdvanced(1.0), some)
    )
    assert len({digest(some), digest(some, wider), digest(some, wider, more)}) == 3


@value
class Odd:
    """A policy that returns preset values."""

    gives: int = 0


ODD_OUTCOMES = (None, ((), "explode", None), ((), Exploit(99, {}), None), ((), "stop", reason("odd", of=object())))
ODD_ANSWERS = (None, ({}, {"x": 0.5}), ({}, Proposal({"x": "\ud800"})))

register_scheduler(
    Odd,
    Scheduler(
        name="odd",
        init=lambda spec, setting: (),
        on_report=lambda spec, state, report: ODD_OUTCOMES[spec.gives],
        decision_points=lambda spec: Every(1),
        describe=lambda spec: "odd",
    ),
)
enrol_searcher(
    Odd,
    evolve(
        searcher_of(random_search()),
        name="odd",
        init=lambda spec, space, objectives, key: {},
        ask=lambda spec, state, trial, key: ODD_ANSWERS[spec.gives],
        batch=None,
        tell=lambda spec, state, trial, seen: state,
    ),
)


@pytest.mark.parametrize("gives", range(len(ODD_OUTCOMES)))
def test_a_scheduler_that_decides_what_is_no_decision_is_named(tmp_path, gives):
    with pytest.raises(SchedulerError, match="Odd") as caught:
        searching(tmp_path, Quadratic).scheduler(Odd(gives)).samples(2).run(engine="inline", quiet=True)
    assert caught.value.trial == 0
    assert load(next(tmp_path.iterdir())).state.startswith("interrupted: failed: SchedulerError")


@pytest.mark.parametrize("gives", range(len(ODD_ANSWERS)))
def test_a_searcher_that_answers_what_is_no_answer_is_named(tmp_path, gives):
    with pytest.raises(SearcherError, match="Odd") as caught:
        searching(tmp_path, Quadratic).scheduler(fifo()).searcher(Odd(gives)).samples(2).run(
            engine="inline", quiet=True
        )
    assert caught.value.trial == 0

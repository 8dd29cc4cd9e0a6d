"""Laws of requests to a running driver: the run always ends, replays, and applies each request once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.experiments import Quadratic, quadratic_engine, searching
from tunedsl import asha, choice, fifo, hyperband, load, pbt, ref, replay
from tunedsl.base.errors import Interrupted, Paused
from tunedsl.journal import Journal
from tunedsl.journal.requests import AddRequest, PauseRequest, Reply, Request, StopRequest
from tunedsl.kernel import Stop, StopRequested, UserTrialAdded
from tunedsl.kernel.events import FIRST_USER_TRIAL
from tunedsl.runs import setup
from tunedsl.schedulers import asha_promote, median_stopping, pasha
from tunedsl.searchers import random_search, tpe

SCHEDULERS = [
    fifo(),
    asha(max_t=9, reduction_factor=3),
    asha_promote(max_t=9),
    pasha(max_t=9),
    hyperband(max_t=9),
    median_stopping(time_attr="training_iteration", grace_period=2),
    pbt(hyperparam_mutations={"x": [0.1, 0.5, 0.9]}, perturbation_interval=3),
    pbt(hyperparam_mutations={"x": [0.1, 0.5, 0.9]}, perturbation_interval=3, synch=True),
]

requests = st.one_of(
    st.builds(AddRequest, st.fixed_dictionaries({"x": st.sampled_from([0.25, 0.5, 0, 7, "x", None])})),
    st.builds(AddRequest, st.sampled_from([{}, {"y": 1}, {"x": {"$object": "os:system"}}, {"$value": ["Plan", {}]}])),
    st.builds(StopRequest, st.sampled_from(["0", "00001", "3", "added-00000", str(FIRST_USER_TRIAL), "nobody", "-1"])),
    st.just(PauseRequest("a test")),
)
scripts = st.lists(st.tuples(st.integers(0, 60), requests), max_size=8)


class Script:
    """An inbox whose requests arrive at given polls."""

    def __init__(self, script: list[tuple[int, Request]]) -> None:
        self.left = [(look, f"{place:03d}", request) for place, (look, request) in enumerate(script)]
        self.looks = 0
        self.answers: dict[str, Reply] = {}

    def take(self) -> Iterator[tuple[str, Request]]:
        self.looks += 1
        yield from [(name, request) for look, name, request in self.left if look <= self.looks]

    def reply(self, name: str, answer: Reply) -> None:
        assert name not in self.answers, "a request was taken twice"
        self.answers[name] = answer
        self.left = [item for item in self.left if item[1] != name]

    def refuse(self, name: str, why: str) -> None:
        self.reply(name, Reply(False, why))


def controlled(monkeypatch: pytest.MonkeyPatch, script: Any) -> None:
    monkeypatch.setattr(setup, "Inbox", lambda *_: script)


@settings(max_examples=25)
@given(st.sampled_from(SCHEDULERS), scripts, st.sampled_from(["arrival", "logical"]), st.booleans())
def test_whatever_is_asked_for_the_run_ends_and_replays(tmp_path_factory, scheduler, script, order, learns):
    inbox = Script(script)
    e = searching(tmp_path_factory.mktemp("controlled"), Quadratic).scheduler(scheduler).order(order)
    e = e.searcher(tpe() if learns and not isinstance(scheduler, type(SCHEDULERS[-1])) else random_search())
    with pytest.MonkeyPatch.context() as monkeypatch:
        controlled(monkeypatch, inbox)
        try:
            results = e.run(engine=quadratic_engine(), quiet=True)
        except Paused as paused:
            path = paused.path
            while True:
                try:
                    results = e.resume(path, engine=quadratic_engine(), quiet=True)
                    break
                except Paused:
                    continue
    proof = replay(results.path)
    state = proof.state
    assert state.finished and not state.queued and not state.live and not state.paused
    added = [event for event in results.journal.events() if isinstance(event, UserTrialAdded)]
    taken = [name for name, answer in inbox.answers.items() if answer.accepted and "is added" in answer.text]
    assert sorted(event.request for event in added) == sorted(taken)
    assert [event.trial for event in added] == [FIRST_USER_TRIAL + place for place in range(len(added))]
    assert all(event.config in ({"x": 0.25}, {"x": 0.5}, {"x": 0}) for event in added)
    assert len(results.trials) == 12 + len(added)
    for trial in results.trials:
        assert trial.status in ("completed", "stopped", "cancelled")
    stops = {event.trial for event in results.journal.events() if isinstance(event, StopRequested)}
    stopped = {c.trial for line in results.journal.records() for c in line.c if isinstance(c, Stop)}
    assert stops <= stopped


def test_a_request_that_a_crash_left_behind_is_not_taken_twice(tmp_path, monkeypatch):
    class Crashing(Script):
        def reply(self, name: str, answer: Reply) -> None:
            if "already" not in answer.text:
                raise KeyboardInterrupt
            super().reply(name, answer)

    script = Crashing([(3, AddRequest({"x": 0.5}))])
    controlled(monkeypatch, script)
    e = searching(tmp_path)
    with pytest.raises(Interrupted) as caught:
        e.run(engine=quadratic_engine(), quiet=True)
    results = e.resume(caught.value.path, engine=quadratic_engine(), quiet=True)
    assert script.answers == {"000": Reply(True, "it has already been added")}
    assert len(results.trials) == 13 and replay(results.path)


@pytest.mark.parametrize("after", [1, 3, 6])
def test_a_pause_leaves_no_trace_in_what_comes_of_the_run(tmp_path, monkeypatch, after):
    whole = searching(tmp_path / "whole", Quadratic).run(engine="inline", quiet=True)
    controlled(monkeypatch, Script([(after, PauseRequest("a test"))]))
    e = searching(tmp_path / "paused", Quadratic)
    with pytest.raises(Paused) as caught:
        e.run(engine="inline", quiet=True)
    assert load(caught.value.path).state == "interrupted: paused: a test"
    results = e.resume(caught.value.path, quiet=True)
    assert results.journal.digest == whole.journal.digest


def test_an_added_trial_runs_its_configuration_and_the_searcher_learns_from_it(tmp_path, monkeypatch):
    heard = []
    from tunedsl.driver.searcher_session import SearcherSession

    tell = SearcherSession._tell

    def listening(desk: Any, trial: Any, status: Any) -> None:
        heard.append((trial.number, status))
        tell(desk, trial, status)

    monkeypatch.setattr(SearcherSession, "_tell", listening)
    controlled(monkeypatch, Script([(2, AddRequest({"x": 0.3}))]))
    e = searching(tmp_path).searcher(tpe()).scheduler(fifo()).parallel(2)
    results = e.run(engine=quadratic_engine(), quiet=True)
    (added,) = (trial for trial in results.trials if trial.number >= FIRST_USER_TRIAL)
    assert added.id == "added-00000" and added.config == {"x": 0.3} and added.iterations == 9
    assert results.best.id == added.id
    assert (FIRST_USER_TRIAL, "done") in heard
    assert "added by a user" in results.why("added-00000")
    others = e.store(tmp_path / "others").searcher(tpe())
    controlled(monkeypatch, Script([]))
    alone = others.run(engine=quadratic_engine(), quiet=True)
    mine = [trial.config for trial in results.trials if trial.number < FIRST_USER_TRIAL]
    assert mine[:3] == [trial.config for trial in alone.trials][:3], "other trials depend on their own numbers"


def test_constants_and_expressions_may_be_left_out_and_nothing_else(tmp_path, monkeypatch):
    script = Script([(1, AddRequest({"x": 0.5, "kind": "b"})), (1, AddRequest({"x": 0.5}))])
    controlled(monkeypatch, script)
    e = searching(tmp_path, kind=choice(["a", "b"]), twice=ref("x") * 2, one=1).where(ref("x") < 0.9)
    results = e.run(engine=quadratic_engine(), quiet=True)
    (added,) = (trial for trial in results.trials if trial.number >= FIRST_USER_TRIAL)
    assert added.config == {"x": 0.5, "kind": "b", "twice": 1.0, "one": 1}
    assert "The parameter kind is missing." in script.answers["001"].text


def test_stopping_the_whole_ends_it_and_says_by_whom(tmp_path, monkeypatch):
    script = Script([(9, StopRequest(None, "asked for by me")), (9, AddRequest({"x": 0.5}))])
    controlled(monkeypatch, script)
    results = searching(tmp_path).run(engine=quadratic_engine(), quiet=True)
    assert results.state == "finished: stopped by a user, asked for by me"
    assert not script.answers["001"].accepted and "is ending" in script.answers["001"].text
    more = searching(tmp_path).samples(20).resume(Path(results.path), engine=quadratic_engine(), quiet=True, amend=True)
    assert more.state == "finished: all trials have ended" and len(more.trials) == 20
    assert Journal(more.path).digest == replay(more.path).digest

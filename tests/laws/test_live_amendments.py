"""Laws of amendments while trials run: the run ends, replays, and continues after a kill as it would have without."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.experiments import Breaker, Quadratic, quadratic, searching
from tests.laws.test_amended_runs import BASES, CHANGES
from tests.laws.test_controlled_runs import Script, controlled
from tunedsl import fifo, replay, resume, tpe, uniform
from tunedsl.backends import SimulatedEngine
from tunedsl.base.errors import Interrupted
from tunedsl.driver.live_amendments import LIVE_FIELDS, live_changes
from tunedsl.experiment import Experiment
from tunedsl.journal.requests import AmendRequest, RequestRefused
from tunedsl.kernel import Amended
from tunedsl.plan.amending import AMENDABLE, AmendableField

LIVE = ["samples", "fewer", "stop", "budget", "fifo", "hyperband", "median", "longer", "domain", "fixed", "sobol"]


def request(before: Experiment, after: Experiment, **options: Any) -> AmendRequest:
    old, new = before.compile("inline"), after.compile("inline")
    return AmendRequest(old.digest, live_changes(old, new), **options)


def engine(iterations: int = 60) -> SimulatedEngine:
    return SimulatedEngine(lambda config, i: (config["x"] - 0.3) ** 2 + 1 / i, iterations=iterations)


def run(e: Experiment, script: Script, **options: Any) -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        controlled(monkeypatch, script)
        return e.run(engine=engine(), quiet=True, **options)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(BASES)),
    st.sampled_from(LIVE),
    st.integers(1, 60),
    st.integers(1, 150),
    st.sampled_from(["arrival", "logical"]),
)
def test_a_run_amended_in_progress_ends_and_replays_also_after_a_cut(
    tmp_path_factory, base, change, look, after, order
):
    trainable, scheduler = BASES[base]
    trainable = Quadratic if trainable is quadratic else trainable
    e = searching(tmp_path_factory.mktemp("live"), trainable).scheduler(scheduler).order(order)
    script = Script([(look, request(e, CHANGES[change](e)))])
    try:
        results = run(e, script, listeners=[Breaker(after)])
    except Interrupted as cut:
        results = resume(cut.path, engine=engine(), quiet=True)
    assert all(answer.accepted or "ending" in answer.text for answer in script.answers.values())
    state = replay(results.path).state
    assert state.finished and not (state.live or state.paused or state.queued)
    amended = [event for event in results.journal.events() if isinstance(event, Amended) and event.changed != ("stop",)]
    assert len(amended) <= 1 + (change == "stop")


@pytest.mark.slow
@pytest.mark.parametrize("change", ["samples", "domain", "tpe", "fixed"])
def test_a_kill_at_any_event_after_the_amendment_leaves_no_trace(tmp_path, change):
    e = searching(tmp_path / "whole", Quadratic)
    whole = run(e, Script([(6, request(e, CHANGES[change](e)))]))
    events = list(whole.journal.events())
    amended = next(place for place, event in enumerate(events) if isinstance(event, Amended))
    for after in range(amended + 1, len(events)):
        with pytest.raises(Interrupted) as cut:
            run(e, Script([(6, request(e, CHANGES[change](e)))]), listeners=[Breaker(after)])
        assert resume(cut.value.path, engine=engine(), quiet=True).journal.digest == whole.journal.digest


@pytest.mark.parametrize("order", ["arrival", "logical"])
@pytest.mark.parametrize("look", [1, 3, 10, 20])
def test_a_later_stop_rule_reaches_running_and_ended_trials(tmp_path, order, look):
    e = searching(tmp_path).scheduler(fifo()).order(order)
    script = Script([(look, request(e.stop(training_iteration=9), e.stop(training_iteration=14)))])
    results = run(e.stop(training_iteration=9), script)
    assert [answer.accepted for answer in script.answers.values()] == [True]
    assert {trial.iterations for trial in results.trials} == {14}
    assert replay(results.path).state.finished


def test_running_trials_of_this_process_use_the_new_stop_rule(tmp_path):
    e = searching(tmp_path).scheduler(fifo()).parallel(2).samples(4)
    script = Script([(2, request(e.stop(training_iteration=9), e.stop(training_iteration=4)))])
    with pytest.MonkeyPatch.context() as monkeypatch:
        controlled(monkeypatch, script)
        results = e.stop(training_iteration=9).run(engine="inline", quiet=True)
    assert [answer.accepted for answer in script.answers.values()] == [True]
    assert {trial.iterations for trial in results.trials[2:]} == {4}
    assert replay(results.path).state.finished


def test_an_amendment_is_refused_for_another_plan_and_for_what_only_a_new_driver_can_change(tmp_path):
    e = searching(tmp_path)
    outdated = request(e.samples(3), e.samples(4))
    repeated = request(e, e.samples(14))
    wrong = AmendRequest(e.samples(14).compile("inline").digest, {"samples": 20, "resources": 7, "nonsense": 1})
    script = Script([(2, outdated), (4, repeated), (6, repeated), (8, wrong)])
    results = run(e, script)
    assert [answer.accepted for answer in script.answers.values()] == [False, True, True, False]
    texts = [answer.text for answer in script.answers.values()]
    assert "amended meanwhile" in texts[0] and "already amended" in texts[2]
    assert len(results.trials) == 14
    for changed in (e.resources(cpu=2), e.parallel(9), e.trainable(Quadratic)):
        with pytest.raises(RequestRefused, match=r"cannot change .* while its trials run\.\n  help: pause"):
            request(e, changed)


def test_the_searcher_of_a_live_amendment_learns_as_that_of_a_resume(tmp_path):
    e = searching(tmp_path).scheduler(fifo()).stop(training_iteration=9).parallel(1).samples(20)
    new = e.searcher(tpe()).replace(x=uniform(0, 0.6))
    live = run(e, Script([(25, request(e, new))]))
    amended = next(place for place, event in enumerate(live.journal.events()) if isinstance(event, Amended))
    with pytest.raises(Interrupted) as cut:
        e.run(engine=engine(), quiet=True, listeners=[Breaker(amended)])
    resumed = new.resume(cut.value.path, engine=engine(), quiet=True, amend=True)
    assert [trial.config for trial in resumed.trials] == [trial.config for trial in live.trials]


def test_fields_that_change_in_progress_can_be_amended():
    assert all(isinstance(AMENDABLE[name], AmendableField) for name in LIVE_FIELDS)

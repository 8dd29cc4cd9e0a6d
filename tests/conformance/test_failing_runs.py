"""A run whose trials all fail alike stops by itself, reports why, and can be resumed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.experiments import searching
from tunedsl import ArgumentError, Plan, backoff, metric, replay, report, resume, space, uniform
from tunedsl.base.codec import encode
from tunedsl.experiment import Experiment
from tunedsl.journal import Journal
from tunedsl.kernel import CapacityChanged, Failed, Proposed, Reported, Started, Suspend, initial, step
from tunedsl.runs.amendments import matched
from tunedsl.searchers import random_search, try_first
from tunedsl.stopping import error_signature, failing
from tunedsl.testing import cluster, faults

WIDE = {"x": uniform(0, 1)}
GATE: dict[str, Any] = {"broken": True}


def breaks(config: dict[str, Any]) -> None:
    if GATE["broken"]:
        raise FileNotFoundError(f"no data for {config['x']} at {hex(id(config))}")
    report(loss=config["x"])


def experiment(store: Path, trainable: Any = breaks, samples: int = 20) -> Experiment:
    return space(**WIDE).trainable(trainable).minimize("loss").samples(samples).seed(0).store(store)


@pytest.fixture(autouse=True)
def broken():
    GATE["broken"] = True
    yield
    GATE["broken"] = True


def test_five_that_fail_alike_before_any_succeeded_end_the_run(tmp_path, capfd):
    results = experiment(tmp_path).run("inline")
    assert len(results.errors) == len(results.trials) == 5 and not results.finished
    said = capfd.readouterr().err
    first = re.search(r"^the run ended early: 5 trials failed with the same error.*$", said, re.MULTILINE)
    assert first is not None and "FileNotFoundError: no data for" in first[0]
    assert said.index(first[0]) < said.index("5 of 5 trials failed")
    assert re.search(r"^  help: correct the cause, then: .*resume\b", said, re.MULTILINE) and "in breaks" in said
    (reason,) = [c.reason for line in results.journal.records() for c in line.c if isinstance(c, Suspend)]
    assert "none has succeeded" in reason and reason in results.state
    assert replay(results.path).state.suspended == reason


@pytest.mark.parametrize("width", [1, 4])
def test_it_is_resumed_where_it_ended(tmp_path, width):
    e = experiment(tmp_path).parallel(width)
    results = e.run("inline", quiet=True)
    under_way = len(results.trials) - len(results.errors)
    assert len(results.errors) == 5 and under_way <= width
    GATE["broken"] = False
    for again in (lambda: e.resume(results.path, quiet=True), lambda: resume(results.path, quiet=True)):
        found = again()
        assert found.finished and len(found.trials) == 20 and len(found.errors) == 5
    assert sum(trial.status == "completed" for trial in found.trials) == 15 and replay(found.path)
    mended = e.resume(results.path, quiet=True, retry_failed=True)
    assert not mended.errors and mended.stats.statuses == {"completed": 20} and replay(mended.path)


def test_one_that_is_still_broken_ends_again_after_as_many(tmp_path):
    e = experiment(tmp_path)
    first = e.run("inline", quiet=True)
    again = e.resume(first.path, quiet=True)
    assert len(again.errors) == 10 and "5 trials failed with the same error" in again.state and not again.finished
    assert len(e.resume(first.path, quiet=True).errors) == 15


def test_a_run_with_nothing_left_to_do_finishes_and_says_why(tmp_path):
    results = experiment(tmp_path, samples=5).run("inline", quiet=True)
    assert results.finished and "5 trials failed with the same error" in results.state
    again = experiment(tmp_path, samples=5).resume(results.path, quiet=True, retry_failed=True)
    assert len(again.errors) == 5 and again.finished, "all run again before they count"
    GATE["broken"] = False
    assert not experiment(tmp_path, samples=5).resume(results.path, quiet=True, retry_failed=True).errors


def sometimes(config: dict[str, Any]) -> None:
    if config["x"] > 0.2:
        raise ValueError(f"x is {config['x']}")
    report(loss=config["x"])


def test_a_trial_that_succeeded_shows_that_it_can(tmp_path):
    first = {"x": 0.1}
    e = experiment(tmp_path, sometimes).searcher(try_first(random_search(), [first]))
    results = e.run("inline", quiet=True)
    assert results.finished and len(results.trials) == 20 and len(results.errors) > 5


def differs(config: dict[str, Any]) -> None:
    raise ValueError("abcdefghijklmnopqrstuvwxyz"[int(config["x"] * 26)])


def test_other_errors_do_not_add_up(tmp_path):
    results = experiment(tmp_path, differs, 12).run("inline", quiet=True)
    assert results.finished and len(results.errors) == 12


def test_it_can_be_set_and_turned_off(tmp_path):
    e = experiment(tmp_path, samples=8)
    assert len(e.until(failing(same=2)).run("inline", quiet=True).errors) == 2
    for off in (e.until(failing(same=0)), e.until(failing(same=2)).until(failing(same=0))):
        results = off.run("inline", quiet=True)
        assert results.finished and len(results.errors) == 8 and off.compile().until is None


@pytest.mark.parametrize("wrong", [5, "failing", metric("loss") < 1, failing])
def test_what_is_no_condition_over_the_study_is_refused(wrong):
    with pytest.raises(ArgumentError, match="until"):
        Experiment().until(wrong)


def test_failing_takes_a_whole_number():
    with pytest.raises(ArgumentError, match=r"failing.same"):
        failing(same=-1)
    assert repr(Experiment().until(failing(same=3))) == "space().until(failing(same=3))"
    assert repr(failing()) == "failing()"


def test_a_plan_of_before_there_was_such_a_condition_has_none(tmp_path):
    e = experiment(tmp_path)
    plan = e.compile()
    assert plan.until == failing() and Plan.from_json(plan.to_json()) == plan
    fields = encode(plan)["$value"][1]
    del fields["until"]
    old = Plan.from_json(json.dumps({"$value": ["Plan", fields]}))
    assert old.until is None
    golden = Journal(Path(__file__).parents[1] / "replay" / "golden" / "failures.jsonl")
    assert golden.plan.until is None


def test_a_run_of_before_is_still_that_of_its_experiment(tmp_path):
    e = searching(tmp_path)
    ran = e.until(failing(same=0)).run("inline", quiet=True)
    assert ran.journal.plan.until is None and matched(e, ran.journal) == ()
    assert matched(e.until(failing(same=2)), ran.journal) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ValueError: x is 0.73", "ValueError: x is -1e-05", True),
        ("ValueError: x is nan", "ValueError: x is 3", True),
        ("OSError: <f at 0x7f01>", "OSError: <f at 0x8a02>", True),
        ("RuntimeError: shapes (3, 4) and (5,)", "RuntimeError: shapes (12, 7, 1) and (1,)", True),
        ("OSError: '/tmp/tmpab3x9/a.csv'", "OSError: '/tmp/tmpzz81c/a.csv'", True),
        ("ValueError: first\nsecond", "ValueError: first\nthird", True),
        ("KeyError: 'loss'", "KeyError: 'accuracy'", False),
        ("ValueError: bad", "TypeError: bad", False),
        ("", "", True),
    ],
)
def test_errors_are_compared_without_their_numbers(one, other, same):
    assert (error_signature("crash", one) == error_signature("crash", other)) is same
    assert error_signature("crash", one) != error_signature("oom", one)


def test_a_trial_that_was_stopped_with_a_value_has_succeeded(tmp_path):
    plan = searching(tmp_path).parallel(2).compile()
    state = initial(plan)
    state, _ = step(plan, state, CapacityChanged(0.0, 2))

    def proposed(number: int) -> None:
        nonlocal state
        state, _ = step(plan, state, Proposed(1.0, number, {"x": 0.5}, f"{number:05d}"))
        state, _ = step(plan, state, Started(1.0, number, 0))

    for number in range(2):
        proposed(number)
    state, _ = step(plan, state, Reported(2.0, 0, 1, ("loss",), ((1.0,),), (0.1,), ends="rule"))
    assert state.succeeded_count == 1 and not state.trials[0].unreported
    state, _ = step(plan, state, Failed(2.0, 1, "crash", "ValueError: 1"))
    assert not state.failed_alike, "errors do not count any more"


def test_retries_come_first(tmp_path):
    results = experiment(tmp_path).retry(1, backoff=backoff(initial=0)).run("inline", quiet=True)
    failures = [event for event in results.journal.events() if isinstance(event, Failed)]
    assert len(results.errors) == 5 and len(failures) == 10


def test_the_simulated_cluster_goes_on_by_itself_and_every_law_holds():
    e = searching("unused").retry(lost=0).until(failing(same=1)).samples(30)
    outcome = cluster(workers=3, faults=faults(lost=0.4), seed=5).run(e)
    suspended = [c for line in outcome.journal.records() for c in line.c if isinstance(c, Suspend)]
    assert suspended and outcome.drivers > len(suspended) and outcome.state.finished

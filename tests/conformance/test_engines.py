"""The same plans on the engines of one process; `tests/ray/` has the same for Ray."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.experiments import Breaker, Quadratic, breaks_at_times, quadratic, quadratic_by_yield, searching
from tunedsl import load, replay, report, space, uniform
from tunedsl.backends import Recorded, SimulatedEngine
from tunedsl.base.errors import Interrupted
from tunedsl.driver.driver import Listener
from tunedsl.journal import Journal
from tunedsl.kernel import Failed, Reported, Started


@pytest.mark.parametrize("trainable", [quadratic, quadratic_by_yield, Quadratic])
def test_logical_order_gives_one_journal(tmp_path, trainable):
    once = searching(tmp_path, trainable).run(engine="inline", quiet=True)
    again = searching(tmp_path, trainable).run(engine="inline", quiet=True)
    simulated = searching(tmp_path, trainable).run(engine=SimulatedEngine(Recorded(once.path)), quiet=True)
    assert once.journal.digest == again.journal.digest == simulated.journal.digest
    assert replay(once.path).digest == once.journal.digest


def test_all_forms_decide_alike(tmp_path):
    found = [
        searching(tmp_path, form).run(engine="inline", quiet=True)
        for form in (quadratic, quadratic_by_yield, Quadratic)
    ]
    assert (
        len({tuple((trial.id, trial.status, trial.iterations) for trial in results.trials) for results in found}) == 1
    )


def test_width_is_kept_and_one_trial_runs_at_a_time(tmp_path):
    running, most = [0], [0]

    def train(config):
        running[0] += 1
        most[0] = max(most[0], running[0])
        for step in range(3):
            report(loss=step)
            assert np.random.rand() == config["expected"][step] if "expected" in config else True
        running[0] -= 1

    space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(8).parallel(3).seed(0).store(tmp_path).run(
        engine="inline", quiet=True
    )
    assert most[0] <= 3


def test_interleaved_trials_do_not_disturb_each_others_randomness(tmp_path):
    def train(config):
        for _ in range(5):
            report(draw=float(np.random.rand()))

    base = space(x=uniform(0, 1)).trainable(train).minimize("draw").samples(4).seed(0).store(tmp_path)
    alone = base.parallel(1).run(engine="inline", quiet=True)
    together = base.parallel(4).order("logical").run(engine="inline", quiet=True)
    for left, right in zip(alone.trials, together.trials, strict=True):
        assert list(left.curve["draw"]) == list(right.curve["draw"])


def test_the_users_own_global_state_is_left_alone(tmp_path):
    np.random.seed(5)
    expected = np.random.RandomState(5).rand(3)
    searching(tmp_path).run(engine="inline", quiet=True)
    assert list(np.random.rand(3)) == list(expected)


def test_failures_are_retried_by_policy_and_counted(tmp_path):
    results = searching(tmp_path, breaks_at_times).retry(1).run(engine="inline", quiet=True)
    errored = [trial.number for trial in results.trials if trial.status == "failed"]
    failures = [event.trial for event in results.journal.events() if isinstance(event, Failed)]
    assert errored and sorted(failures) == sorted(errored * 2)
    assert all(results.trials[number].config["x"] > 0.5 for number in errored)
    assert "ValueError: x is too large" in str(results.errors[0])
    assert replay(results.path)


def test_a_budget_of_iterations_ends_endless_trials(tmp_path):
    def train(config):
        while True:
            report(loss=config["x"])

    e = (
        space(x=uniform(0, 1))
        .trainable(train)
        .minimize("loss")
        .samples(3)
        .budget(iterations=50)
        .seed(0)
        .store(tmp_path)
    )
    assert e.run(engine="inline", quiet=True).finished
    logical = e.parallel(2).order("logical").run(engine="inline", quiet=True)
    assert sum(len(event.rows) for event in logical.journal.events() if isinstance(event, Reported)) == 50


def test_an_interrupted_run_is_resumed_to_the_same_journal(tmp_path):
    whole = searching(tmp_path / "whole").run(engine="inline", quiet=True)

    for after in (1, 2, 7, 20, 33):
        e = searching(tmp_path / f"cut-{after}")
        with pytest.raises(Interrupted) as caught:
            e.run(engine="inline", quiet=True, listeners=[Breaker(after)])
        resumed = e.resume(path=caught.value.path, quiet=True)
        assert resumed.journal.digest == whole.journal.digest
        assert replay(resumed.path).digest == whole.journal.digest
        assert load(resumed.path).finished


def test_a_checkpointed_trial_goes_on_where_it_was(tmp_path):
    e = searching(tmp_path, Quadratic).checkpoint(every=3)
    results = e.run(engine="inline", quiet=True)
    assert results.best.checkpoint is not None and (results.best.checkpoint / "done").read_text() == "9"
    assert Journal(results.path).digest == results.journal.digest


def test_a_trial_is_known_to_run_before_its_first_report(tmp_path):
    heard, running = [], []

    class Ear(Listener):
        def on_event(self, event, commands, state):
            heard.append(event)

        def on_wait(self, state): ...
        def close(self, state): ...

    def train(config):
        running.append(sum(isinstance(event, Started) for event in heard))
        time.sleep(0.02)
        return {"loss": 0.0}

    experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).store(tmp_path)
    results = experiment.run("inline", quiet=True, listeners=[Ear()])
    assert running == [1, 2]
    began, ended = ([event.seconds for event in heard if isinstance(event, kind)] for kind in (Started, Reported))
    assert all(end - begin >= 0.02 for begin, end in zip(began, ended, strict=True)), results.why(0)

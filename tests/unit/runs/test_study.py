"""Ask and tell in one process: what each call does, who holds a trial, and how a study continues after any end."""

from __future__ import annotations

import math
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from tunedsl import Plan, asha, backoff, choice, grid, hyperband, load, metric, plateau, replay, space, tpe, uniform
from tunedsl.backends import external
from tunedsl.base.errors import ArgumentError, CompileError, JournalError, ReportError, TunedslError
from tunedsl.base.types import FAILURE_KINDS
from tunedsl.driver.live_amendments import live_changes
from tunedsl.experiment import Experiment
from tunedsl.journal.requests import AmendRequest, send_request
from tunedsl.kernel import CapacityChanged, Failed
from tunedsl.plan.amending import AmendError
from tunedsl.runs import control
from tunedsl.runs import study as study_module
from tunedsl.sinks import jsonl


def tuning(folder: Path, **clauses: object) -> Experiment:
    return space(x=uniform(0, 1)).minimize("loss").seed(0).store(folder / "store")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time that only the test moves on: `clock.now += 5`."""
    clock = SimpleNamespace(now=1000.0)
    fake = SimpleNamespace(monotonic=lambda: clock.now, time=lambda: clock.now)
    monkeypatch.setattr(external, "time", fake)
    monkeypatch.setattr(study_module, "time", fake)
    return clock


def test_a_loop_without_a_trainable_ends_with_the_experiment(tmp_path):
    with tuning(tmp_path).samples(5).open() as study:
        for trial in study:
            assert study.tell(trial, loss=trial.config["x"])
        assert study.finished and study.ask() is None
        results = study.results
    assert [trial.status for trial in results.trials] == ["completed"] * 5
    assert results.best.metrics["loss"] == min(trial.config["x"] for trial in results.trials)
    assert load(study.path).state.startswith("finished") and replay(study.path)


def test_without_samples_there_is_no_limit_but_a_grid_is_asked_for_once(tmp_path):
    with tuning(tmp_path).open(quiet=True) as study:
        assert all(study.ask() for _ in range(50))
    gridded = space(x=grid([1, 2, 3])).minimize("loss").store(tmp_path)
    with gridded.open(quiet=True) as study:
        assert [study.tell(trial, loss=trial.config["x"]) for trial in study] == [True] * 3


def test_eight_are_asked_for_and_told_out_of_order(tmp_path):
    with tuning(tmp_path).samples(9).open() as study:
        trials = [study.ask() for _ in range(8)]
        assert len(study.outstanding) == 8
        for trial in trials[::-2] + trials[::2]:
            study.tell(trial.number, loss=trial.number)
        assert study.outstanding == ()
        study.tell(study.ask().id, {"loss": 0.5})
        assert study.finished
    widths = [event.width for event in load(study.path).journal.events() if isinstance(event, CapacityChanged)]
    assert widths == list(range(1, 9))


def test_a_searcher_knows_all_that_was_told_before_a_trial_is_asked_for(tmp_path):
    """The searcher is asked at the time of `ask`, not when a trial ends."""
    e = tuning(tmp_path).searcher(tpe(n_startup_trials=4)).samples(40)
    with e.open() as study:
        first = [study.ask() for _ in range(8)]
        for trial in first:
            study.tell(trial, loss=(trial.config["x"] - 0.3) ** 2)
        late = study.ask().config
    with e.open() as study:
        trials = [study.ask() for _ in range(8)]
        assert [trial.config for trial in trials] == [trial.config for trial in first]
        for trial in reversed(trials):
            study.tell(trial, loss=1 - (trial.config["x"] - 0.3) ** 2)
        assert study.ask().config != late


def test_parallel_limits_what_is_outstanding(tmp_path):
    with tuning(tmp_path).parallel(2).samples(3).open() as study:
        one, two = study.ask(), study.ask()
        assert study.ask() is None and not study.finished
        study.tell(two, loss=1)
        assert study.ask().number == 2
        study.tell(one, loss=1)
        assert study.ask() is None and not study.finished  # the third is outstanding


def test_a_scheduler_stops_a_trial_at_its_report(tmp_path):
    e = tuning(tmp_path).scheduler(asha(max_t=9, grace_period=1, reduction_factor=3)).samples(6)
    with e.open() as study:
        for trial in study:
            for step in range(1, 20):
                if not trial.report(loss=trial.number + 1 / step):
                    break
            assert trial.is_over and not trial.report(loss=0.0)
            trial.end()  # no effect on a trial that is over
            trial.fail("late")
    results = load(study.path)
    assert {trial.iterations for trial in results.trials} == {1, 9}
    assert replay(study.path)


def test_a_paused_trial_is_asked_for_again_with_its_checkpoint(tmp_path):
    e = tuning(tmp_path).scheduler(hyperband(max_t=4, reduction_factor=2)).samples(12).parallel(12)
    folder = tmp_path / "mine"
    folder.mkdir()
    resumed = 0
    with e.open() as study:
        for trial in study:
            step = trial.iteration
            if trial.checkpoint is not None:
                assert (trial.checkpoint / "step").read_text() == str(step)
                resumed += 1
            goes_on = True
            while goes_on:
                step += 1
                (folder / "step").write_text(str(step))
                goes_on = trial.report(loss=trial.number / step, checkpoint=folder)
    assert resumed and study.finished and replay(study.path)


def test_a_decision_point_without_a_checkpoint_is_refused_and_can_be_reported_again(tmp_path):
    e = tuning(tmp_path).scheduler(hyperband(max_t=4, reduction_factor=2)).samples(4)
    with e.open() as study:
        trial = study.ask()
        while trial.iteration == 0:
            try:
                trial.report(loss=1.0)
            except ReportError as error:
                assert "checkpoint=folder" in str(error)
                break
        trial.report(loss=1.0, checkpoint=_filled(tmp_path))


def _filled(tmp_path: Path) -> Path:
    folder = tmp_path / "filled"
    folder.mkdir(exist_ok=True)
    (folder / "weights").write_text("1")
    return folder


def test_a_checkpoint_is_kept_with_the_results(tmp_path):
    with tuning(tmp_path).samples(1).open() as study:
        study.tell(study.ask(), loss=1.0, checkpoint=_filled(tmp_path))
    assert (load(study.path).best.checkpoint / "weights").read_text() == "1"


def test_stop_rules_end_trials_and_follow_them_into_another_session(tmp_path):
    e = tuning(tmp_path).stop(plateau("loss", std=0.01, num_results=4)).samples(2)
    path = tmp_path / "run"
    with e.open(path) as study:
        trial = study.ask()
        assert trial.report(loss=1.0) and trial.report(loss=1.0)
    with e.open(path) as study:
        again = study.outstanding[0]
        goes_on = [again.report(loss=1.0) for _ in range(5)]
    with tuning(tmp_path).stop(plateau("loss", std=0.01, num_results=4)).samples(2).open() as whole:
        trial = whole.ask()
        expected = [trial.report(loss=1.0) for _ in range(7)]
    assert [True, True, *goes_on][: expected.index(False) + 1] == expected[: expected.index(False) + 1]


def test_a_failed_trial_is_asked_for_again_as_retry_allows(tmp_path):
    with tuning(tmp_path).samples(1).retry(crash=1, backoff=backoff(initial=0)).open() as study:
        first = study.ask()
        first.report(loss=3.0)
        first.fail("the oven was cold")
        second = study.ask()
        assert (second.number, second.attempt, second.known) == (0, 1, 1)
        with pytest.raises(ReportError, match="already failed"):
            first.report(loss=2.0)
        assert second.report(loss=99.0)  # the journal has this one
        second.fail("again")
        assert study.finished and study.ask() is None
    assert load(study.path).errors[0].message == "again"


def test_reports_that_are_repeated_are_counted_across_sessions(tmp_path):
    e, path = tuning(tmp_path).samples(1).retry(crash=1, backoff=backoff(initial=0)), tmp_path / "run"
    with e.open(path) as study:
        trial = study.ask()
        for loss in (3.0, 2.0, 1.0):
            trial.report(loss=loss)
        trial.fail("half way")
        again = study.ask()
        again.report(loss=3.0)
    for loss in (2.0, 1.0, 0.5):
        with e.open(path) as study:
            study.outstanding[0].report(loss=loss)
    assert list(load(path).trials[0].curve["loss"]) == [3.0, 2.0, 1.0, 0.5]


class TestWrongCalls:
    def test_an_invalid_report_changes_nothing(self, tmp_path):
        with tuning(tmp_path).samples(1).open() as study:
            trial = study.ask()
            for wrong in ({"loss": "abc"}, {"loss": None}, {"accuracy": 1}, {}, {"training_iteration": 3, "loss": 1}):
                with pytest.raises(ReportError):
                    study.tell(trial, wrong)
            with pytest.raises(ReportError, match="mapping"):
                study.tell(trial, [1])
            with pytest.raises(ReportError, match="objective 'loss'"):
                trial.end()
            with pytest.raises(ReportError, match="not exist"):
                trial.report(loss=1, checkpoint=tmp_path / "nothing")
            assert study.tell(trial, loss=math.nan)
        assert load(study.path).trials[0].iterations == 1

    def test_a_trial_is_told_once(self, tmp_path):
        with tuning(tmp_path).samples(3).open() as study:
            trial = study.ask()
            study.tell(trial, loss=1)
            for again in (trial, trial.number, trial.id, "0:0"):
                with pytest.raises(ReportError, match="already ended"):
                    study.tell(again, loss=1)
            with pytest.raises(ReportError, match="already ended"):
                trial.report(loss=1)

    @pytest.mark.parametrize("wrong", [7, "7", "nobody", "0:5", -1])
    def test_a_trial_that_is_not_there(self, tmp_path, wrong):
        with tuning(tmp_path).samples(3).open() as study:
            study.ask()
            with pytest.raises(ReportError, match=r"do not include|no attempt"):
                study.tell(wrong, loss=1)

    def test_something_that_names_no_trial(self, tmp_path):
        with tuning(tmp_path).samples(3).open() as study, pytest.raises(ArgumentError):
            study.tell({"x": 1}, loss=1)

    @pytest.mark.parametrize("lease", [0, -1, math.nan, math.inf, "long"])
    def test_a_lease_is_a_number_of_seconds(self, tmp_path, lease):
        with pytest.raises(ArgumentError):
            tuning(tmp_path).open(lease=lease)

    def test_a_closed_study_says_how_to_open_it(self, tmp_path):
        study = tuning(tmp_path).samples(3).open()
        trial = study.ask()
        study.close()
        study.close()
        for call in (study.ask, lambda: trial.report(loss=1), lambda: study.tell(trial, loss=1)):
            with pytest.raises(TunedslError, match=r"closed.\n  help: experiment.open"):
                call()
        assert study.results.trials[0].status == "pending"

    def test_what_ask_and_tell_cannot_do_is_a_compile_error(self, tmp_path):
        with pytest.raises(CompileError, match="E069"):
            tuning(tmp_path).samples(2).parallel(2).order("logical").open()
        with pytest.raises(CompileError, match="E067"):
            tuning(tmp_path).isolate("process").open()
        with pytest.raises(CompileError, match="E030"):
            tuning(tmp_path).run("inline")

    def test_no_engine_runs_it(self, tmp_path):
        e = tuning(tmp_path).samples(1)
        with e.open(tmp_path / "run") as study:
            study.ask()
        with pytest.raises(TunedslError, match="ask and tell"):
            e.resume(tmp_path / "run")
        with pytest.raises(TunedslError, match="ask and tell"):
            Plan.from_json(study.plan.to_json()).run("inline")


class TestContinuing:
    def test_outstanding_trials_can_be_told_by_number(self, tmp_path):
        e, path = tuning(tmp_path).samples(3), tmp_path / "run"
        with e.open(path) as study:
            asked = [study.ask() for _ in range(2)]
        assert "2 trials are outstanding" in load(path).state
        with e.open(path) as study:
            assert [trial.config for trial in study.outstanding] == [trial.config for trial in asked]
            assert study.ask().number == 2  # a new one: others may hold the first two
            study.tell(1, loss=1)
            study.outstanding[0].report(loss=2)
        assert [trial.status for trial in load(path).trials] == ["pending", "completed", "pending"]

    def test_a_loop_begins_with_what_was_left_outstanding(self, tmp_path):
        e, path = tuning(tmp_path).samples(4), tmp_path / "run"
        with pytest.raises(ZeroDivisionError), e.open(path) as study:
            for trial in study:
                study.tell(trial, loss=1 / (1 - trial.number))
        with e.open(path) as study:
            assert [(trial.number, study.tell(trial, loss=1))[0] for trial in study] == [1, 2, 3]
        assert load(path).finished

    def test_another_experiment_is_refused_unless_it_amends(self, tmp_path):
        e, path = tuning(tmp_path).samples(1), tmp_path / "run"
        with e.open(path) as study:
            study.tell(study.ask(), loss=1)
        with pytest.raises(AmendError):
            e.samples(2).open(path)
        with e.samples(2).open(path, amend=True) as study:
            study.tell(study.ask(), loss=1)
            assert study.finished
        assert replay(path)

    def test_an_outstanding_trial_has_its_newest_checkpoint(self, tmp_path):
        e, path, saved = tuning(tmp_path).samples(1).checkpoint(every=1, keep=1), tmp_path / "run", tmp_path / "saved"
        saved.mkdir()
        with e.open(path) as study:
            study.ask().report(loss=1, checkpoint=saved)
        with e.open(path) as study:
            study._tell("0:0", {"loss": 2}, saved)  # of an asker that sends requests
            (trial,) = study.outstanding
            assert (trial.iteration, trial.checkpoint.name) == (2, "00000002")

    def test_an_unreadable_checkpoint_fails_its_trial_and_no_other(self, tmp_path):
        e, path, saved = tuning(tmp_path).samples(2).retry(-1), tmp_path / "run", tmp_path / "saved"
        saved.mkdir()
        with e.open(path) as study:
            trials = study.ask(), study.ask()
            trials[0].report(loss=1, checkpoint=saved)
        shutil.rmtree(path / "trials" / "00000" / "checkpoints" / "00000001")
        with e.open(path) as study:
            assert [trial.number for trial in study.outstanding] == [1]
            assert study._driver.state.trials[0].failures[FAILURE_KINDS.index("storage")] == 1
        with e.open(path) as study:
            assert [trial.number for trial in islice(study, 1)] == [1]

    def test_an_amendment_in_progress_widens_what_can_be_asked_for(self, tmp_path):
        e = tuning(tmp_path).samples(1)
        with e.open(tmp_path / "run") as study:
            assert study.ask() and study.ask() is None
            after = e.samples(3).compile("external")
            request = AmendRequest(study.plan.digest, live_changes(study.plan, after))
            send_request(tmp_path / "run", request)
            study._driver.requests._inbox._next = 0.0
            study.turn()
            assert study.plan.samples == 3
            assert study.ask() and study.ask() and study.ask() is None

    def test_a_finished_run_opens_with_nothing_to_ask_for(self, tmp_path):
        e, path = tuning(tmp_path).samples(1), tmp_path / "run"
        with e.open(path) as study:
            study.tell(study.ask(), loss=1)
        digest = load(path).journal.digest
        with e.open(path) as study:
            assert study.finished and list(study) == []
        assert load(path).journal.digest == digest

    def test_only_one_driver_at_a_time(self, tmp_path):
        e = tuning(tmp_path)
        with e.open(tmp_path / "run"), pytest.raises(JournalError, match="Another driver"):
            e.open(tmp_path / "run")

    def test_an_error_of_the_searcher_leaves_a_journal_to_continue(self, tmp_path, monkeypatch):
        e, path = tuning(tmp_path).samples(3), tmp_path / "run"
        with e.open(path) as study:
            kept = study.ask()
            with monkeypatch.context() as patch:
                patch.setattr(study._driver.searcher_session, "proposals", lambda *args: iter([1 / 0 for _ in "a"]))
                with pytest.raises(ZeroDivisionError):
                    study.ask()
            with pytest.raises(TunedslError, match="cannot be used"):
                study.tell(kept, loss=1)
        with e.open(path) as study:
            study.tell(kept.number, loss=1)
        assert replay(path)


class TestEnds:
    def test_a_budget_stops_what_is_outstanding(self, tmp_path):
        with tuning(tmp_path).budget(iterations=3).open() as study:
            trials = [study.ask() for _ in range(5)]
            assert [study.tell(trial, loss=1) for trial in trials] == [True] * 3 + [False] * 2
            assert not trials[4].report(loss=1) and study.finished
            assert list(study) == []
        assert "budget of 3 iterations" in load(study.path).state

    def test_a_budget_ends_while_a_proposal_is_open(self, tmp_path):
        with tuning(tmp_path).parallel(3).budget(iterations=1).open() as study:
            study.tell(study.ask(), loss=1)
            assert study.finished
        assert replay(study.path)

    def test_a_budget_of_seconds(self, tmp_path, clock):
        with tuning(tmp_path).budget(seconds=10).open() as study:
            early, late = study.ask(), study.ask()
            clock.now += 5
            assert study.tell(early, loss=1)
            clock.now += 6
            assert not study.tell(late, loss=1) and study.finished

    def test_alike_failures_suspend_the_run_and_it_can_be_opened_again(self, tmp_path):
        e, path = tuning(tmp_path).samples(20), tmp_path / "run"
        with e.open(path, quiet=True) as study:
            for trial in study:
                trial.fail("no such file")
        assert not load(path).finished and 0 < len(load(path).errors) < 20
        with e.open(path, quiet=True) as study:
            study.tell(study.ask(), loss=1)

    def test_a_user_stops_a_trial_and_pauses_the_run(self, tmp_path):
        with tuning(tmp_path).open() as study:
            one, two = study.ask(), study.ask()
            control.stop(study.path, one.number, wait=0)
            control.stop(study.path, "00001", wait=0)
            study.turn()
            while len(study.outstanding) > 0:
                study.turn()
            assert not study.tell(one, loss=1) and not two.report(loss=1)
            control.pause(study.path, wait=0)
            while study.ask() is not None:
                pass
            assert not study.finished

    def test_sinks_and_listeners_see_the_run(self, tmp_path):
        with tuning(tmp_path).samples(2).sinks(jsonl()).open() as study:
            for trial in study:
                study.tell(trial, loss=1.5)
        assert any(
            "1.5" in file.read_text() for file in Path(study.path).rglob("*.json*") if "journal" not in file.name
        )


class TestLeases:
    def test_a_trial_that_nobody_tells_is_asked_for_again(self, tmp_path, clock):
        with tuning(tmp_path).samples(1).open(lease=60) as study:
            first = study.ask()
            clock.now += 59
            first.report(loss=3.0)  # renews it
            clock.now += 59
            assert study.ask() is None
            clock.now += 2
            second = study.ask()
            assert (second.number, second.attempt) == (0, 1)
            with pytest.raises(ReportError, match="expired lease: attempt 1 has begun"):
                study.tell(first, loss=1.0)
            with pytest.raises(ReportError, match="expired lease"):
                study.tell("0:0", loss=1.0)
            study.tell(second, loss=2.0)
        failed = [event for event in load(study.path).journal.events() if isinstance(event, Failed)]
        assert [event.kind for event in failed] == ["lost"] and "lease of 60 s" in failed[0].message

    def test_a_late_tell_is_refused_before_anybody_asks_again(self, tmp_path, clock):
        with tuning(tmp_path).samples(2).open(lease=60) as study:
            trial = study.ask()
            clock.now += 61
            with pytest.raises(ReportError, match="the next ask returns it again"):
                study.tell(trial.number, loss=1.0)

    def test_a_lease_runs_on_while_no_driver_runs(self, tmp_path, clock):
        e, path = tuning(tmp_path).samples(1), tmp_path / "run"
        with e.open(path, lease=60) as study:
            trial = study.ask()
            clock.now += 30
            trial.report(loss=1.0)
        clock.now += 40
        with e.open(path) as study:  # the lease is the run's
            assert len(study.outstanding) == 1
        clock.now += 40
        with e.open(path) as study:
            again = study.ask()
            assert (again.attempt, again.known) == (1, 1)
        assert replay(path)

    def test_the_limits_of_timeout_hold_for_asked_trials(self, tmp_path, clock):
        with tuning(tmp_path).samples(2).timeout(100, idle=50).open(quiet=True) as study:
            trial = study.ask()
            clock.now += 40
            assert trial.report(loss=1)
            clock.now += 51
            with pytest.raises(ReportError, match="has failed"):
                trial.report(loss=1)
            trial = study.ask()
            for _ in range(2):
                clock.now += 45
                trial.report(loss=1)
            clock.now += 11
            study.turn()
        assert [error.kind for error in load(study.path).errors] == ["idle", "timeout"]

    def test_reports_have_the_time_since_the_trial_was_asked_for(self, tmp_path, clock):
        e, path = tuning(tmp_path).samples(1), tmp_path / "run"
        with e.open(path) as study:
            trial = study.ask()
            clock.now += 5
            trial.report(loss=1)
        clock.now += 10
        with e.open(path) as study:
            clock.now += 1
            study.tell(0, loss=1)
        assert list(load(path).trials[0].curve["time_total_s"]) == [5.0, 16.0]


class TestThreads:
    def test_threads_share_a_study(self, tmp_path):
        told: list[int] = []
        with tuning(tmp_path).samples(60).parallel(4).open() as study:

            def work() -> None:
                for trial in study:
                    told.append(trial.number)
                    study.tell(trial, loss=trial.config["x"])

            with ThreadPoolExecutor(4) as pool:
                for done in [pool.submit(work) for _ in range(4)]:
                    done.result()
            assert study.finished
        assert sorted(told) == list(range(60)) and replay(study.path)

    def test_a_loop_hands_trials_to_a_pool(self, tmp_path):
        with tuning(tmp_path).samples(20).parallel(3).open() as study, ThreadPoolExecutor(3) as pool:
            for trial in study:
                pool.submit(study.tell, trial, loss=trial.number)
        assert load(study.path).finished

    def test_ask_waits_for_a_tell_of_another_thread(self, tmp_path):
        with tuning(tmp_path).samples(2).parallel(1).open() as study:
            trial, got = study.ask(), []
            thread = threading.Thread(target=lambda: got.append(study.ask(wait=math.inf)))
            thread.start()
            study.tell(trial, loss=1)
            thread.join(60)
            assert got[0].number == 1


def test_the_journal_is_that_of_an_inline_run(tmp_path):
    def train(config):
        return {"loss": (config["x"] - 0.3) ** 2}

    e = (
        space(x=uniform(0, 1), by=choice(["a", "b"]))
        .trainable(train)
        .minimize("loss")
        .searcher(tpe())
        .samples(25)
        .parallel(1)
        .seed(3)
        .store(tmp_path)
    )
    inline = e.run("inline", quiet=True)
    with e.open() as study:
        for trial in study:
            study.tell(trial, train(trial.config))
    assert load(study.path).journal.digest == inline.journal.digest


def test_a_condition_on_metrics_ends_a_trial_in_tell(tmp_path):
    with tuning(tmp_path).stop(metric("loss") < 0.5).samples(1).open() as study:
        assert study.tell(study.ask(), loss=0.1)
    assert load(study.path).trials[0].status in ("completed", "stopped")


def test_a_study_and_its_trials_print_what_their_user_knows(tmp_path):
    with tuning(tmp_path).open(tmp_path / "run") as study:
        assert str(tmp_path / "run") in repr(study)
        assert "_root" not in repr(study.ask())

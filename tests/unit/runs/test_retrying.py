"""Reruns of failed trials: checkpoints, runs, code and messages."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.experiments import searching
from tests.unit.sinks.runs import Diary
from tunedsl import Experiment, asha, fifo, load, pbt, replay, report, resume, space, trial, uniform
from tunedsl.base.errors import JournalError, TunedslError
from tunedsl.export import export
from tunedsl.journal import Journal
from tunedsl.kernel import Amended, RetryRequested
from tunedsl.results import Results
from tunedsl.sinks import csv, jsonl

BROKEN: set[int] = set()
"""Numbers of the trials that fail."""


@pytest.fixture(autouse=True)
def broken() -> Any:
    BROKEN.clear()
    yield BROKEN
    BROKEN.clear()


class Walk:
    """Fails from its fifth step on while it is broken."""

    def setup(self, config: dict[str, Any]) -> None:
        self.x, self.step_, self.begun = config["x"], 0, 0

    def step(self) -> dict[str, Any]:
        self.step_ += 1
        if self.step_ >= 5 and trial().number in BROKEN:
            raise ValueError("broken from step 5 on")
        return {"loss": self.x / self.step_, "begun": self.begun}

    def save(self, folder: Path) -> None:
        (folder / "step").write_text(str(self.step_))

    def load(self, folder: Path) -> None:
        self.begun = self.step_ = int((folder / "step").read_text())


def fails_at_once(config: dict[str, Any]) -> None:
    if trial().number in BROKEN:
        raise ValueError("it is broken")
    report(loss=config["x"])


def plain(store: Path, trainable: Any = fails_at_once) -> Experiment:
    """Trials that no scheduler ends."""
    return searching(store, trainable).scheduler(fifo())


def six(store: Path) -> Experiment:
    """Six trials under PBT; those that are broken fail after their first interval, in which all were paused."""
    return (
        space(x=uniform(0, 1))
        .trainable(Walk)
        .minimize("loss")
        .scheduler(pbt(perturbation_interval=3, hyperparam_mutations={"x": [0.1, 0.9]}))
        .stop(training_iteration=8)
        .samples(6)
        .retry(0)
        .seed(3)
        .store(store)
    )


def three_fail(e: Experiment, **options: Any) -> Results:
    """Runs with every other trial failing."""
    BROKEN.update((0, 2, 4))
    results = e.run("inline", **{"quiet": True, **options})
    assert len(results.errors) == 3
    return results


def test_failures_after_a_promotion_are_failures_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = three_fail(six(tmp_path).sinks(Diary), quiet=False)
    assert [trial.status for trial in results.trials].count("failed") == len(results.errors) == 3
    assert {error.message for error in results.errors} == {"ValueError: broken from step 5 on"}
    said = capsys.readouterr().err
    assert "3 completed, 3 failed" in said and "3 of 6 trials failed: 3 crash" in said
    ends = [entry[2:] for entry in Diary.entries if entry[0] == "end"]
    assert ends.count(("failed", "crash: ValueError: broken from step 5 on")) == 3 and len(ends) == 6
    for error in results.errors:
        assert results.why(error.id).splitlines()[-1].startswith("failed with loss=")
        assert results[error.id].stop_reason == "crash: ValueError: broken from step 5 on"


def test_they_go_on_from_their_newest_checkpoints(tmp_path: Path) -> None:
    e = six(tmp_path)
    results = three_fail(e)
    failed = [error.id for error in results.errors]
    BROKEN.clear()
    again = e.resume(results.path, quiet=True, retry_failed=True)
    assert not again.errors and again.stats.statuses == {"completed": 6} and replay(again.path)
    for name in failed:
        assert again[name].iterations == 8 and again[name].metrics["begun"] >= 3
        assert "a user asked for failed trials to be run again" in again.why(name)
        assert "launched again from the checkpoint of iteration 3" in again.why(name)


def test_they_go_on_without_checkpoints_that_were_removed_since(tmp_path: Path) -> None:
    e = six(tmp_path)
    results = three_fail(e)
    first, second, _ = (error.id for error in results.errors)
    for name in (first, second):
        shutil.rmtree(results.path / "trials" / name / "checkpoints")
    BROKEN.clear()
    again = e.resume(results.path, quiet=True, retry_failed=True)
    assert not again.errors and replay(again.path)
    for name in (first, second):
        assert again[name].iterations == 8 and "launched again from the beginning" in again.why(name)


def test_without_a_checkpoint_they_begin_anew_and_only_they_do(tmp_path: Path) -> None:
    e = plain(tmp_path, fails_at_once).retry(0).samples(4)
    BROKEN.update((0, 1))
    results = e.run("inline", quiet=True)
    assert [trial.status for trial in results.trials] == ["failed", "failed", "completed", "completed"]
    BROKEN.clear()
    again = resume(results.path, quiet=True, retry_failed=True)
    assert again.stats.statuses == {"completed": 4} and again.stats.attempts == 6


def test_each_has_all_its_retries_again(tmp_path: Path) -> None:
    e = plain(tmp_path, fails_at_once).retry(crash=2).samples(1)
    BROKEN.add(0)
    results = e.run("inline", quiet=True)
    assert results.stats.attempts == 3
    again = e.resume(results.path, quiet=True, retry_failed=True)
    assert again.stats.attempts == 6 and again.errors


def test_a_run_without_failures_says_that_there_is_nothing_to_retry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    e = plain(tmp_path, fails_at_once).samples(2)
    results = e.run("inline", quiet=True)
    records = sum(1 for _ in results.journal.records())
    for call in (e.resume, resume):
        assert call(results.path, retry_failed=True).stats.statuses == results.stats.statuses
        assert "no trial has failed: there is nothing to retry" in capsys.readouterr().err
    assert sum(1 for _ in Journal(results.path).records()) == records, "nothing was written"


def test_a_used_up_budget_is_told_before_anything_is_written(tmp_path: Path) -> None:
    e = plain(tmp_path, fails_at_once).retry(0).samples(4).budget(iterations=2)
    BROKEN.add(0)
    results = e.run("inline", quiet=True)
    assert results.stats.statuses["failed"] == 1
    with pytest.raises(TunedslError, match=r"budget of 2 iterations is used up.\n  help: raise the budget"):
        e.resume(results.path, quiet=True, retry_failed=True)
    assert load(results.path).stats.statuses == results.stats.statuses
    BROKEN.clear()
    more = e.budget(iterations=10).resume(results.path, quiet=True, amend=True, retry_failed=True)
    assert more.finished and not more.errors and replay(more.path)


def test_fail_fast_is_no_reason_to_end_any_more(tmp_path: Path) -> None:
    e = plain(tmp_path, fails_at_once).retry(0).samples(6).parallel(1).fail_fast()
    BROKEN.add(1)
    results = e.run("inline", quiet=True)
    assert "fail_fast" in results.state and results.stats.ended == 2
    BROKEN.clear()
    again = e.resume(results.path, quiet=True, retry_failed=True)
    assert again.stats.statuses["completed"] >= 5 and not again.errors


def test_the_events_are_in_the_journal_before_anything_runs(tmp_path: Path) -> None:
    e = plain(tmp_path, fails_at_once).retry(0).samples(2)
    BROKEN.update((0, 1))
    path = e.run("inline", quiet=True).path
    e.retry(1).resume(path, quiet=True, amend=True, retry_failed=True)
    kinds = [type(event) for event in Journal(path).events()]
    assert kinds.index(Amended) + 1 == kinds.index(RetryRequested)
    assert load(path).errors and load(path).finished, "they failed again"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the module `corrected` and imports its current version."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(body: str) -> Any:
        (tmp_path / "corrected.py").write_text(f"from tunedsl import report\n\ndef train(config):\n    {body}\n")
        sys.modules.pop("corrected", None)
        importlib.invalidate_caches()
        return importlib.import_module("corrected").train

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield write
    sys.modules.pop("corrected", None)


def test_the_corrected_code_is_what_runs_again(tmp_path: Path, script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    e = plain(tmp_path / "store").retry(0).samples(3)
    path = e.trainable(script("raise ValueError('a bug')")).run("inline", quiet=True).path
    fixed = script("report(loss=config['x'])")
    with pytest.raises(JournalError, match="amend=True"):
        e.trainable(fixed).resume(path, quiet=True)
    again = e.trainable(fixed).resume(path, retry_failed=True)
    assert again.stats.statuses == {"completed": 3} and replay(path)
    assert "amended: trainable" in capsys.readouterr().err


def test_the_corrected_code_is_found_without_the_experiment_too(tmp_path: Path, script: Any) -> None:
    e = plain(tmp_path / "store").retry(0).samples(3)
    path = e.trainable(script("raise ValueError('a bug')")).run("inline", quiet=True).path
    script("report(loss=config['x'])")
    assert resume(path, quiet=True, retry_failed=True).stats.statuses == {"completed": 3} and replay(path)


def test_other_changes_still_have_to_be_asked_for(tmp_path: Path) -> None:
    e = plain(tmp_path, fails_at_once).retry(0).samples(2)
    path = e.run("inline", quiet=True).path
    with pytest.raises(JournalError, match="amend=True"):
        e.samples(3).resume(path, quiet=True, retry_failed=True)


def test_an_amendment_that_does_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    e = plain(tmp_path, fails_at_once).retry(0).samples(2)
    BROKEN.add(0)
    path = e.run("inline", quiet=True).path
    e.resume(path, amend=True)
    assert f"{path}: the experiment has not changed: there is nothing to amend" in capsys.readouterr().err
    e.retry(1).resume(path, amend=True)
    said = capsys.readouterr().err
    assert "the amendment starts no trial: all 2 trials have ended" in said and "--retry-failed" in said
    e.retry(1).samples(3).resume(path, amend=True)
    assert "runs no trial" not in capsys.readouterr().err


def test_sinks_hear_of_them_once_more_and_files_have_each_report_once(tmp_path: Path) -> None:
    e = six(tmp_path)
    results = three_fail(e)
    BROKEN.clear()
    again = e.resume(results.path, quiet=True, retry_failed=True)
    export(again.path, Diary)
    for error in results.errors:
        heard = [entry for entry in Diary.entries if entry[1:2] == (again[error.id].number,)]
        assert [entry[2] for entry in heard if entry[0] == "end"] == ["failed", "completed"]
        assert [entry[2] for entry in heard if entry[0] == "report"] == list(range(1, 9))
        before, after = (place for place, entry in enumerate(heard) if entry[0] == "end")
        assert "trial" in [entry[0] for entry in heard[before:after]]
    export(again.path, csv(), jsonl())
    for trial_ in again.trials:
        for name, head in (("progress.csv", 1), ("reports.jsonl", 0)):
            assert len((Path(trial_.path) / name).read_text().splitlines()) == trial_.iterations + head


def test_under_asha_they_are_compared_again(tmp_path: Path) -> None:
    e = searching(tmp_path, fails_later).scheduler(asha(max_t=9, reduction_factor=3)).retry(0).samples(9)
    BROKEN.update(range(3, 9))
    results = e.run("inline", quiet=True)
    failed = [error.id for error in results.errors]
    BROKEN.clear()
    again = e.resume(results.path, quiet=True, retry_failed=True)
    assert failed and not again.errors
    assert "stopped" in {again[name].status for name in failed}


def fails_later(config: dict[str, Any]) -> None:
    for step in range(1, 10):
        if step == 2 and trial().number in BROKEN:
            raise ValueError("it is broken")
        report(loss=config["x"] / step)

"""Function, generator and class trainables, and valid reports, through one session without an engine."""

from __future__ import annotations

import math
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunedsl.base.errors import ReportError
from tunedsl.journal import reported_values
from tunedsl.journal.records import Line, from_line, to_line
from tunedsl.kernel import Ended, Failed, Reported, Saved, Started
from tunedsl.schedulers.contract import At, Never
from tunedsl.stopping import iteration, metric
from tunedsl.worker import (
    Assignment,
    NoLock,
    Outbox,
    Session,
    Shipment,
    Trainable,
    metrics,
    report,
    report_batch,
    run_trial,
    trial,
)
from tunedsl.worker.messages import TrialStopped

INSIDE_ITSELF: dict[str, Any] = {}
INSIDE_ITSELF["a"] = INSIDE_ITSELF


def run(trainable: Any, form: str = "function", tmp_path: Path = Path("unused"), **changes: Any) -> list[Any]:
    """Runs one trial to its end in this thread; returns its events."""
    own = ("known", "iteration", "checkpoint", "config", "unreported")
    assigned = {name: changes.pop(name) for name in own if name in changes}
    shipment = Shipment(
        **{
            "trainable": trainable,
            "form": form,
            "data": {},
            "objects": {},
            "stop": None,
            "decision_points": Never(),
            "objectives": (),
            "save_every": None,
            "save_at_end": False,
            "save_at_decisions": False,
            "timeout": None,
            "root": str(tmp_path),
            "storage": str(tmp_path),
            **changes,
        }
    )
    fields = {"trial": 3, "name": "00003", "attempt": 0, "config": {"x": 0.5}, "seed": 11, "resources": {"cpu": 1.0}}
    outbox = Outbox()
    run_trial(Session(shipment, Assignment(**{**fields, **assigned}), outbox, NoLock()))
    return [message.event for message in outbox.take()]


def rows(events: list[Any]) -> list[dict[str, Any]]:
    found = []
    for event in events:
        if isinstance(event, Reported):
            for index in range(len(event.rows)):
                found.append(reported_values(event, index))
    return found


def by_report(config: dict[str, Any]) -> None:
    for step in range(3):
        report(loss=config["x"] + step)


def by_yield(config: dict[str, Any]) -> Any:
    for step in range(3):
        yield {"loss": config["x"] + step}


class ByClass(Trainable):
    cleaned = 0

    def setup(self, config: dict[str, Any], **data: Any) -> None:
        self.x, self.done = config["x"], 0

    def step(self) -> dict[str, float] | None:
        if self.done == 3:
            return None
        self.done += 1
        return {"loss": self.x + self.done - 1}

    def save(self, folder: Path) -> None:
        (folder / "done").write_text(str(self.done))

    def load(self, folder: Path) -> None:
        self.done = int((folder / "done").read_text())

    def cleanup(self) -> None:
        type(self).cleaned += 1


@pytest.mark.parametrize(("trainable", "form"), [(by_report, "function"), (by_yield, "generator"), (ByClass, "class")])
def test_all_forms_report_the_same(trainable, form):
    events = run(trainable, form)
    assert isinstance(events[0], Started)
    assert rows(events) == [{"loss": 0.5}, {"loss": 1.5}, {"loss": 2.5}]
    assert isinstance(events[-1], Ended) and events[-1].iteration == 3


def test_what_a_generator_returns_is_its_last_report():
    def train(config):
        yield {"loss": 2.0}
        return {"loss": 1.0}

    events = run(train, "generator")
    assert rows(events) == [{"loss": 2.0}, {"loss": 1.0}]
    assert events[-1].ends == "returned"


def test_a_returned_dict_is_the_last_report():
    (_, reported) = run(lambda config: {"loss": 1.0})
    assert reported.ends == "returned" and reported.last == 1 and rows([reported]) == [{"loss": 1.0}]


@pytest.mark.parametrize(("trainable", "form"), [(by_report, "function"), (by_yield, "generator"), (ByClass, "class")])
def test_the_stop_rule_ends_the_trial_at_exactly_that_iteration(trainable, form):
    cleaned = ByClass.cleaned
    events = run(trainable, form, stop=metric("loss") > 1)
    assert [event.ends for event in events if isinstance(event, Reported)] == ["rule"]
    assert rows(events) == [{"loss": 0.5}, {"loss": 1.5}]
    assert ByClass.cleaned - cleaned == (form == "class")


def test_cleanup_and_finally_run_when_a_trial_is_ended():
    seen = []

    def train(config):
        try:
            by_report(config)
        finally:
            seen.append("cleaned")

    run(train, stop=iteration(1))
    assert seen == ["cleaned"]


def test_an_error_in_cleanup_after_the_end_is_kept_in_a_file(tmp_path):
    class Untidy(ByClass):
        def cleanup(self):
            raise RuntimeError("left open")

    events = run(Untidy, "class", tmp_path, stop=iteration(1))
    assert rows(events) == [{"loss": 0.5}] and not [event for event in events if isinstance(event, Failed)]
    assert "left open" in (tmp_path / "trials" / "00003" / "cleanup-error.txt").read_text()


def test_numbers_of_all_kinds_are_metrics_and_the_rest_is_data():
    def train(config):
        report(a=np.float64(0.5), b=np.int64(3), c=np.array([2.0]), d=math.nan, e=-math.inf, f=True, g="text", h=[1, 2])

    (row,) = rows(run(train))
    assert math.isnan(row.pop("d"))
    assert row == {"a": 0.5, "b": 3, "c": 2.0, "e": -math.inf, "f": True, "g": "text", "h": [1, 2]}
    assert {type(value) for value in row.values()} == {float, int, bool, str, list}  # nothing of NumPy travels


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({3: 1.0}, "must be a string"),
        ({"training_iteration": 1}, "automatically"),
        ({"loss": object()}, "cannot be stored"),
        ([("loss", 1)], "mapping"),
        ({"loss": 10**400}, "larger than any float"),
        ({"path": "a\udcff"}, "'path' cannot be stored"),
        ({"a\udcff": 1.0}, "cannot be stored"),
        ({"a": {"n": 10**5000}}, "cannot be stored"),
        ({"a": INSIDE_ITSELF}, "nested too deeply"),
    ],
)
def test_what_is_no_report_is_a_typed_failure(bad, words):
    (_, failed) = run(lambda config: report(bad))
    assert failed.kind == "bad_report" and words in failed.message


def test_a_report_that_no_journal_could_have_fails_its_trial_and_not_the_run(monkeypatch):
    monkeypatch.setattr(metrics, "MAX_REPORT_BYTES", 100)
    (_, failed) = run(lambda config: report(blob="x" * 80, more="y" * 80))
    assert failed.kind == "bad_report" and "more than the limit of 100" in failed.message


def test_one_event_holds_no_more_than_one_record_can(monkeypatch):
    monkeypatch.setattr(report_batch, "MAX_DATA_BYTES", 100)
    monkeypatch.setattr(report_batch, "MAX_CELLS", 6)

    def train(config):
        for _ in range(4):
            report(text="x" * 60)
        for _ in range(4):
            report(a=1, b=2)

    found = [len(event.rows) for event in run(train) if isinstance(event, Reported)]
    assert found == [2, 2, 3, 1]


def test_whole_numbers_of_any_size_can_be_read_back():
    (_, reported, _) = events = run(lambda config: report(a=2**62, b=2**70, c=-(2**70)))
    assert rows(events) == [{"a": 2**62, "b": 2.0**70, "c": -(2.0**70)}]
    line = to_line(Line(1, e=reported))
    assert from_line(line[:-1], 1).e == reported


def test_the_users_own_traceback_is_kept_whole():
    def broken(config):
        raise ValueError("no such thing")

    (_, failed) = run(broken)
    assert failed.kind == "crash" and failed.message == "ValueError: no such thing"
    assert "in broken" in failed.traceback and "run_trial" not in failed.traceback


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Wordless(), "Wordless: (its text is not available: RuntimeError)"),
        (ValueError("a\udcff"), "ValueError: a\\udcff"),
        (ValueError("x" * 10**6), "characters ...]"),
    ],
)
def test_an_error_whose_text_is_none_fails_its_trial_like_any_other(error, words):
    def broken(config):
        raise error

    (_, failed) = run(broken)
    assert failed.kind == "crash" and words in failed.message and "in broken" in failed.traceback
    assert len(to_line(Line(1, e=failed))) < 50_000


def test_exit_in_user_code_does_not_end_the_worker():
    (_, failed) = run(lambda config: exit(3))
    assert failed.kind == "crash" and "SystemExit" in failed.message


def test_code_that_swallows_its_end_is_told_again_at_each_report():
    told = []

    def train(config):
        for step in range(1, 5):
            try:
                report(loss=float(step))
            except BaseException as error:
                told.append(type(error))

    events = run(train, stop=iteration(1))
    assert told == [TrialStopped] * 4 and rows(events) == [{"loss": 1.0}]


def test_a_report_from_a_foreign_thread_is_an_error():
    seen = []

    def elsewhere():
        try:
            report(loss=1.0)
        except ReportError as error:
            seen.append(str(error))

    def train(config):
        thread = threading.Thread(target=elsewhere, name="mine")
        thread.start()
        thread.join()

    run(train)
    assert "'mine'" in seen[0]


def test_outside_a_trial():
    with pytest.raises(ReportError, match="outside a trial"):
        report(loss=1.0)
    with pytest.raises(ReportError, match="outside a trial"):
        trial()


def test_a_trial_knows_itself(tmp_path):
    seen = []

    def train(config):
        info = trial()
        seen.append((info.id, info.number, info.seed, info.checkpoint, info.iteration, dict(info.resources)))
        assert not (tmp_path / "trials" / "00003").exists()
        (info.path / "notes.txt").write_text("mine")

    assert isinstance(run(train, tmp_path=tmp_path)[-1], Ended)
    assert seen == [("00003", 3, 11, None, 0, {"cpu": 1.0})]
    assert (tmp_path / "trials" / "00003" / "notes.txt").read_text() == "mine"


def test_each_trial_begins_from_its_own_seed():
    def train(config):
        return {"a": random.random(), "b": float(np.random.rand())}

    assert rows(run(train)) == rows(run(train))


def test_known_iterations_pass_in_silence():
    events = run(by_report, known=2, decision_points=At((1, 2)))
    assert [event.first for event in events if isinstance(event, Reported)] == [3]


def test_checkpoints_are_written_whole_and_loaded(tmp_path):
    events = run(ByClass, "class", tmp_path, save_every=2, save_at_end=True)
    (reported,) = [event for event in events if isinstance(event, Reported) and event.saved]
    assert (reported.last, reported.saved) == (2, "trials/00003/checkpoints/00000002")
    (at_end,) = [event for event in events if isinstance(event, Saved)]
    assert (at_end.iteration, at_end.folder) == (3, "trials/00003/checkpoints/00000003")
    folder = tmp_path / reported.saved
    assert [path.name for path in folder.parent.iterdir() if "part" in path.name] == []
    events = run(ByClass, "class", tmp_path, iteration=2, known=2, checkpoint=str(folder))
    assert rows(events) == [{"loss": 2.5}] and events[-1].iteration == 3


def test_a_functions_checkpoint_is_copied(tmp_path):
    def train(config):
        mine = trial().path / "mine"
        mine.mkdir()
        (mine / "weights").write_text("1")
        report(loss=1.0, checkpoint=mine)

    events = run(train, tmp_path=tmp_path)
    (_, reported, _) = events
    assert (tmp_path / reported.saved / "weights").read_text() == "1"


def test_the_timeout_is_seen_at_the_next_report():
    (_, failed) = run(by_report, timeout=1e-9)
    assert failed.kind == "timeout" and isinstance(failed, Failed)

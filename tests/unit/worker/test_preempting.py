"""A worker whose node will end: its trials leave with a checkpoint, and report no more."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.clocks import PATIENCE_SECONDS
from tests.unit.worker.test_workers import assign, heard, worker
from tunedsl import Trainable, report
from tunedsl.kernel import Ended, Failed, Reported, Started
from tunedsl.schedulers.contract import Every

GO = threading.Event()
STEPS: list[int] = []


class Counts(Trainable):
    def setup(self, config):
        self.done = 0

    def step(self):
        if self.done == 2:
            GO.wait(PATIENCE_SECONDS)
        self.done += 1
        STEPS.append(self.done)
        return {"loss": float(self.done)}

    def save(self, folder: Path):
        (folder / "done").write_text(str(self.done))


def failures(messages):
    return [message.event for message in messages if isinstance(message.event, Failed)]


def test_a_class_saves_at_its_next_report_and_queued_trials_leave_at_once(tmp_path):
    GO.clear()
    STEPS.clear()
    one = worker(Counts, tmp_path, form="class")
    one.push([assign(0), assign(1)])
    heard(one, lambda message: isinstance(message.event, Reported) and message.event.last == 2)
    one.preempt("its node is being drained")
    (queued,) = failures(heard(one, lambda message: isinstance(message.event, Failed)))
    assert (queued.trial, queued.kind, queued.saved) == (1, "preempted", "")
    GO.set()
    messages = heard(one, lambda message: message.trial == 0 and message.event is None)
    (left,) = failures(messages)
    assert (left.trial, left.kind, left.message) == (0, "preempted", "its node is being drained")
    assert (tmp_path / left.saved / "done").read_text() == "3" and STEPS == [1, 2, 3]
    assert [type(message.event) for message in messages] == [Reported, Failed, type(None)]


def test_a_trial_without_checkpoints_stays_as_long_as_its_node_does(tmp_path):
    go = threading.Event()

    def train(config):
        report(loss=1.0)
        go.wait(PATIENCE_SECONDS)
        report(loss=2.0)

    one = worker(train, tmp_path)
    one.push([assign(0)])
    heard(one, lambda message: isinstance(message.event, Started))
    one.preempt("its node is being drained")
    go.set()
    messages = heard(one, lambda message: isinstance(message.event, Ended))
    (ended,) = [message.event for message in messages if isinstance(message.event, Ended)]
    assert not failures(messages) and ended.iteration == 2


def test_a_trial_leaves_at_a_report_to_which_it_gives_a_checkpoint(tmp_path):
    go = threading.Event()
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "weights").write_text("7")

    def train(config):
        report(loss=1.0)
        go.wait(PATIENCE_SECONDS)
        report(loss=2.0, checkpoint=folder)
        raise AssertionError("the attempt is over")

    one = worker(train, tmp_path)
    one.push([assign(0)])
    heard(one, lambda message: isinstance(message.event, Started))
    one.preempt("its node is being drained")
    go.set()
    messages = heard(one, lambda message: isinstance(message.event, Failed))
    (left,) = failures(messages)
    reports = [message.event for message in messages if isinstance(message.event, Reported)]
    assert left.kind == "preempted" and left.saved == "" and reports[-1].saved.endswith("00000002")


def test_a_trial_that_waits_for_a_decision_leaves_without_it(tmp_path):
    GO.set()
    one = worker(Counts, tmp_path, form="class", decision_points=Every(1))
    one.push([assign(0)])
    heard(one, lambda message: isinstance(message.event, Reported) and message.event.waits)
    one.preempt("its node is being drained")
    (left,) = failures(heard(one, lambda message: isinstance(message.event, Failed)))
    assert left.kind == "preempted" and left.saved.endswith("00000001")

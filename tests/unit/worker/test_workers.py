"""A worker alone: time limits while its trial hangs, and cleanup after trials."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.clocks import PATIENCE_SECONDS, of_trials
from tests.unit.worker.test_forms import run as run_here
from tunedsl import report
from tunedsl.kernel import Failed, Reported
from tunedsl.schedulers.contract import Never
from tunedsl.worker import Assignment, Notice, Shipment, outbox
from tunedsl.worker import worker_cleanup as tidy
from tunedsl.worker.commands import Assign, Halt
from tunedsl.worker.worker import Worker
from tunedsl.worker.worker_cleanup import WorkerCleanup


def worker(trainable, tmp_path, **changes):
    plain = {"data": {}, "objects": {}, "stop": None, "decision_points": Never(), "objectives": ()}
    saving = {"save_every": None, "save_at_end": False, "save_at_decisions": False}
    look = changes.pop("tidy", False)
    places = {"root": str(tmp_path), "storage": str(tmp_path)}
    fields = {**plain, **saving, **places, "timeout": None, **changes}
    return Worker(Shipment(trainable=trainable, **{"form": "function", **fields}), cleans_up=look)


def assign(number):
    return Assign(Assignment(number, f"{number:05d}", 0, {"x": 0.5}, 1, {"cpu": 1.0}))


def heard(one, until):
    """All messages of a worker, up to the first that answers to `until`."""
    messages, deadline = [], time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        messages += one.drain(0.2)
        if any(until(message) for message in messages):
            return messages
    raise AssertionError(f"not heard among {messages}")


@pytest.mark.parametrize(("limit", "kind"), [({"timeout": 15}, "timeout"), ({"idle": 15}, "idle")])
def test_a_trial_that_hangs_is_failed_with_the_place_where_it_hangs(tmp_path, monkeypatch, limit, kind):
    clock, let_go = of_trials(monkeypatch), threading.Event()

    def train(config):
        report(loss=1.0)
        clock.pass_by(20) or let_go.wait(PATIENCE_SECONDS)  # on one line, after which the time limit is exceeded

    one = worker(train, tmp_path, **limit)
    one.push([assign(0), assign(1)])
    messages = heard(one, lambda message: isinstance(message.event, Failed))
    (failed,) = [message.event for message in messages if isinstance(message.event, Failed)]
    assert (
        failed.kind == kind
        and "let_go.wait(PATIENCE_SECONDS)" in failed.traceback
        and "/tunedsl/" not in failed.traceback
    )
    assert "00000" in one.replace
    let_go.set()
    heard(one, lambda message: message.event is None)
    assert not any(message.trial == 1 for message in one.drain(0.1)), "a worker to be replaced begins no other trial"
    one.shut()


def test_waiting_for_a_decision_is_no_time_of_the_trials(tmp_path, monkeypatch):
    from tunedsl.schedulers.contract import Every
    from tunedsl.worker.commands import Proceed

    def train(config):
        report(loss=1.0)

    clock = of_trials(monkeypatch)
    one = worker(train, tmp_path, idle=10, timeout=20, decision_points=Every(1))
    one.push([assign(0)])
    heard(one, lambda message: isinstance(message.event, Reported))
    while one._session._under_way:
        time.sleep(0.001)
    clock.pass_by(40)
    assert not one.drain(0.0)
    one.push([Proceed(0, 0)])
    messages = heard(one, lambda message: message.event is None)
    assert not any(isinstance(message.event, Failed) for message in messages) and not one.replace
    one.shut()


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Restores the process after a test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNEDSL_KEPT", "before")
    return tmp_path


def test_folder_and_environment_are_put_back(kept):
    one = WorkerCleanup()
    (kept / "other").mkdir()
    os.chdir(kept / "other")
    os.environ["TUNEDSL_KEPT"] = "changed"
    os.environ["TUNEDSL_NEW"] = "new"
    os.environ[os.fsdecode(b"TUNEDSL_\xff")] = "of no text"
    notices, why = one.clean_after("00003")
    assert Path.cwd() == kept and os.environ["TUNEDSL_KEPT"] == "before" and "TUNEDSL_NEW" not in os.environ
    assert not why and {notice.kind for notice in notices} == {"folder", "environment"}
    assert all("00003" in notice.text for notice in notices)
    assert r"TUNEDSL_\udcff" in notices[1].text
    os.environ["TUNEDSL_KEPT"] = "again"
    assert one.clean_after("00004") == ([], ""), "told once"
    assert os.environ["TUNEDSL_KEPT"] == "before"


def test_what_a_module_sets_when_it_is_imported_stays(kept, monkeypatch):
    one = WorkerCleanup()
    monkeypatch.setitem(sys.modules, "tunedsl_imported_by_a_trial", SimpleNamespace())
    monkeypatch.setenv("TUNEDSL_NEW", "of the module")
    assert one.clean_after("00000") == ([], "") and os.environ["TUNEDSL_NEW"] == "of the module"
    os.environ["TUNEDSL_NEW"] = "of a trial"
    one.clean_after("00001")
    assert os.environ["TUNEDSL_NEW"] == "of the module"


@pytest.mark.parametrize("daemon", [True, False])
def test_a_thread_that_runs_on_costs_the_worker(kept, daemon):
    one, over = WorkerCleanup(), threading.Event()
    thread = threading.Thread(target=lambda: over.wait(PATIENCE_SECONDS), name="left over", daemon=daemon)
    thread.start()
    notices, why = one.clean_after("00007")
    over.set()
    assert "'left over'" in why and notices[-1].kind == "replaced"
    thread.join()
    assert WorkerCleanup().clean_after("00008") == ([], "")


def test_a_thread_that_runs_on_is_seen_though_another_one_ended(kept):
    over, ends = threading.Event(), threading.Event()
    threading.Thread(target=ends.wait, args=(PATIENCE_SECONDS,), name="before").start()
    one = WorkerCleanup()
    ends.set()
    thread = threading.Thread(target=lambda: over.wait(PATIENCE_SECONDS), name="left over")
    thread.start()
    while any(other.name == "before" for other in threading.enumerate()):
        time.sleep(0.001)
    _, why = one.clean_after("00007")
    over.set()
    thread.join()
    assert "'left over'" in why


def test_a_thread_that_is_about_to_end_is_waited_for(kept, monkeypatch):
    monkeypatch.setattr(tidy, "THREAD_EXIT_SECONDS", PATIENCE_SECONDS)
    one = WorkerCleanup()
    threading.Thread(target=lambda: time.sleep(0.05)).start()
    assert one.clean_after("00000") == ([], "")


def test_threads_of_libraries_stay(kept):
    one, over = WorkerCleanup(), threading.Event()
    library = over.wait  # its code is the standard library's
    thread = threading.Thread(target=library, args=(PATIENCE_SECONDS,), daemon=True)
    thread.start()
    assert one.clean_after("00000") == ([], "")
    over.set()
    thread.join()


def test_memory_that_grows_costs_the_worker(kept, monkeypatch):
    held = {"bytes": 2**30}
    monkeypatch.setattr(tidy, "_resident", lambda: held["bytes"])
    monkeypatch.setattr(tidy, "MEMORY_SECONDS", 0.0)
    one = WorkerCleanup()
    assert one.clean_after("00000") == ([], "")
    held["bytes"] = 2 * 2**30
    assert one.clean_after("00001") == ([], "")
    held["bytes"] = 4 * 2**30
    assert "3.0 GiB more" in one.clean_after("00002")[1]


def test_memory_on_devices_is_given_back_or_costs_the_worker(kept, monkeypatch):
    held = {"allocated": 0, "reserved": 2**30}

    def empty():
        held["reserved"] = held["allocated"]

    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 1,
        memory_allocated=lambda device: held["allocated"],
        memory_reserved=lambda device: held["reserved"],
        empty_cache=empty,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(tidy, "MEMORY_SECONDS", 0.0)
    one = WorkerCleanup()
    assert one.clean_after("00000") == ([], "") and held["reserved"] == 0
    held.update(allocated=2**30, reserved=2**30)
    assert "1.0 GiB allocated on GPUs" in one.clean_after("00001")[1]


def test_a_worker_tells_what_it_put_back_and_goes_on(kept):
    seen = []

    def train(config):
        seen.append(os.getcwd())
        (kept / "here").mkdir(exist_ok=True)
        os.chdir(kept / "here")
        report(loss=1.0)

    one = worker(train, kept, tidy=True)
    one.push([assign(0), assign(1)])
    messages = heard(one, lambda message: message.trial == 1 and message.event is None)
    assert seen == [str(kept), str(kept)] and not one.replace
    assert [message.event.kind for message in messages if isinstance(message.event, Notice)] == ["folder"]
    one.shut()


@pytest.mark.parametrize("name", ["OutOfMemoryError", "ResourceExhaustedError"])
def test_a_device_that_is_full_is_out_of_memory(name):
    def train(config):
        raise type(name, (RuntimeError,), {})("CUDA out of memory")

    (_, failed) = run_here(train)
    assert failed.kind == "oom" and failed.resources == {"cpu": 1.0}


def test_the_traceback_has_only_frames_of_the_users(tmp_path):
    def helper():
        raise KeyError("first")

    def train(config):
        try:
            helper()
        except KeyError as error:
            report(loss=1.0)
            raise ValueError("second") from error

    failed = run_here(train)[-1]
    assert failed.traceback.count("in train") == 2 and "in helper" in failed.traceback
    assert "/tunedsl/trainable" not in failed.traceback


class TestBackpressure:
    """A trial that reports faster than its reports are fetched."""

    def test_it_waits_outside_of_its_time_limits_and_says_so(self, tmp_path, monkeypatch):
        monkeypatch.setattr(outbox, "MAX_BYTES", 4_000)
        clock = of_trials(monkeypatch)

        def train(config):
            for step in range(500):
                report(loss=float(step))

        one = worker(train, tmp_path, timeout=15, idle=15)
        one.push([assign(0)])
        full = threading.Event()
        wake = one.outbox.wake_fetch
        monkeypatch.setattr(one.outbox, "wake_fetch", lambda: (full.set() if one.outbox.is_full else None, wake()))
        rows, notices, ended = 0, [], False
        while not ended:
            if full.wait(0.1):
                clock.pass_by(20)
                full.clear()
            assert one.outbox.size < 4_500
            assert not one.watch()
            for message in one.outbox.take():
                rows += len(message.event.rows) if isinstance(message.event, Reported) else 0
                notices += [message.event.text] if isinstance(message.event, Notice) else []
                assert not isinstance(message.event, Failed)
                ended = ended or message.event is None
        assert rows == 500 and len(notices) > 5
        assert notices[0].startswith("trial 00000 waits: it reports faster than its reports are written")
        one.shut()

    def test_a_trial_that_waits_can_be_stopped(self, tmp_path, monkeypatch):
        monkeypatch.setattr(outbox, "MAX_BYTES", 4_000)
        full = threading.Event()

        def train(config):
            while True:
                report(loss=1.0)

        one = worker(train, tmp_path)
        wake = one.outbox.wake_fetch
        monkeypatch.setattr(one.outbox, "wake_fetch", lambda: (full.set() if one.outbox.is_full else None, wake()))
        one.push([assign(0)])
        assert full.wait(PATIENCE_SECONDS)
        one.push([Halt(0, 0)])
        heard(one, lambda message: message.event is None)
        one.shut()

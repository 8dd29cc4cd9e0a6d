"""Failures that only real processes can show: workers that hang, die, run out of memory, or are left unclean."""

from __future__ import annotations

import os
import signal
import threading
import time

from tunedsl import backoff, replay, report, space, trial, uniform
from tunedsl.kernel import Failed, SetResources


def experiment(train, store, samples=4):
    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(samples).parallel(2).seed(0).store(store)
    return e.order("arrival")


def kinds(results):
    return [(event.trial, event.kind) for event in results.journal.events() if isinstance(event, Failed)]


def test_a_worker_that_hangs_is_replaced(engine, tmp_path):
    def train(config):
        report(loss=1.0)
        if trial().number == 1:
            time.sleep(600)
        report(loss=0.5)

    results = experiment(train, tmp_path).timeout(idle=3).run(engine(), quiet=True)
    assert kinds(results) == [(1, "idle")]
    assert "time.sleep(600)" in results.errors[0].traceback
    assert [t.status for t in results.trials] == ["completed", "failed", "completed", "completed"]
    assert replay(results.path)


def test_each_trial_has_a_process_of_its_own(engine, tmp_path):
    def train(config):
        report(loss=1.0, pid=os.getpid())

    results = experiment(train, tmp_path, samples=3).isolate("process").run(engine(), quiet=True)
    assert len({t.metrics["pid"] for t in results.trials}) == 3


def test_a_worker_with_a_thread_left_over_is_replaced(engine, tmp_path, capsys):
    def train(config):
        if trial().number == 0:
            threading.Thread(target=lambda: time.sleep(600), name="runaway", daemon=True).start()
        os.chdir("/")
        report(loss=1.0, pid=os.getpid())

    results = experiment(train, tmp_path).parallel(1).run(engine())
    pids = [t.metrics["pid"] for t in results.trials]
    assert pids[0] != pids[1] and pids[1] == pids[2] == pids[3]
    told = capsys.readouterr().err
    assert "'runaway'" in told and "working directory" in told
    assert replay(results.path).digest == results.journal.digest


def test_a_trial_that_kills_its_workers_is_given_up(engine, tmp_path):
    def train(config):
        os.kill(os.getpid(), signal.SIGKILL)

    results = experiment(train, tmp_path, samples=1).retry(lost=-1, max_consecutive=1).run(engine(), quiet=True)
    assert kinds(results) == [(0, "lost"), (0, "lost")]
    assert "died 2 times in a row" in results.why(0)
    assert results.errors[0].message.startswith("its worker (pid ")


def test_a_trial_out_of_memory_is_given_more(engine, tmp_path):
    def train(config):
        if trial().resources["memory"] < 200e6:
            raise MemoryError
        report(loss=1.0, memory=trial().resources["memory"])

    e = (
        experiment(train, tmp_path, samples=1)
        .resources(cpu=1, memory="100MB")
        .retry(oom=2, grow=3, backoff=backoff(initial=0.1))
    )
    results = e.run(engine(), quiet=True)
    assert {t.metrics["memory"] for t in results.trials} == {300e6}
    allotted = [
        command for line in results.journal.records() for command in line.c if isinstance(command, SetResources)
    ]
    assert len(allotted) == 1 and replay(results.path)

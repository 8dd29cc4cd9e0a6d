"""Code that runs after its trial's end, in real workers: they are replaced, and other trials continue."""

from __future__ import annotations

import ctypes
import os
import threading
import time

from tunedsl import replay, report, space, trial, uniform
from tunedsl.kernel import Failed

LONG = 600


def three(train, store):
    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(3).parallel(1).seed(0).store(store)
    return e.stop(training_iteration=2).timeout(grace=2)


def run(engine, train, store):
    results = three(train, store).run(engine(), quiet=True)
    assert [t.status for t in results.trials] == ["completed"] * 3
    assert not [event for event in results.journal.events() if isinstance(event, Failed)], "the trial's result stays"
    assert replay(results.path).digest == results.journal.digest
    pids = [t.metrics["pid"] for t in results.trials]
    assert pids[0] != pids[1] == pids[2]


def test_a_finally_that_blocks_costs_the_worker_and_not_the_run(engine, tmp_path, capsys):
    def train(config):
        threading.Thread(target=time.sleep, args=(LONG,)).start()  # the process would not end by itself, either
        try:
            for _ in range(3):
                report(loss=1.0, pid=os.getpid())
        finally:
            if trial().number == 0:
                time.sleep(LONG)

    results = three(train, tmp_path).run(engine(), quiet=True)
    assert [t.status for t in results.trials] == ["completed"] * 3
    told = capsys.readouterr().err
    assert "trial 00000 kept running for 2 s after its end" in told and "time.sleep(LONG)" in told and __file__ in told
    assert "its worker was replaced" in told


def test_an_end_that_is_swallowed_for_ever_costs_the_worker(engine, tmp_path, capsys):
    def train(config):
        while True:
            try:
                report(loss=1.0, pid=os.getpid())
            except BaseException:
                if trial().number != 0:
                    raise

    run(engine, train, tmp_path)
    assert "swallowed TrialStopped each time" in capsys.readouterr().err


def test_a_cleanup_that_hangs_in_c_code_and_holds_pythons_lock(engine, tmp_path, capsys):
    class Holds:
        def setup(self, config):
            pass

        def step(self):
            time.sleep(1.1)  # the end of a trial that is shorter travels with others
            return {"loss": 1.0, "pid": os.getpid()}

        def cleanup(self):
            if trial().number == 0:
                ctypes.PyDLL(None).sleep(LONG)

    run(engine, Holds, tmp_path)
    told = capsys.readouterr().err
    assert (
        "trial 00000 kept running for more than 2 s after its end, in C code" in told and "killed and replaced" in told
    )

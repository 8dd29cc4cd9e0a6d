"""Engines with worker processes: the same journals as the other engines, and behavior that needs real processes."""

from __future__ import annotations

import enum
import os
import signal
import time

import numpy as np
import pandas as pd

from tests.experiments import Quadratic, breaks_at_times, searching
from tunedsl import grid, replay, report, space, trial, uniform
from tunedsl.backends import Recorded, SimulatedEngine


def test_logical_order_is_one_journal_on_every_engine(engine, tmp_path):
    e = searching(tmp_path, pause=0.01)
    digests = {e.run(engine(), quiet=True).journal.digest for _ in range(3)}
    inline = e.run(engine="inline", quiet=True)
    simulated = e.run(engine=SimulatedEngine(Recorded(inline.path)), quiet=True)
    assert digests == {inline.journal.digest} == {simulated.journal.digest}
    assert replay(inline.path)


def test_arrival_order_reaches_the_same_trials(engine, tmp_path):
    results = searching(tmp_path).order("arrival").run(engine(), quiet=True)
    assert len(results.trials) == 12 and all(t.status in ("completed", "stopped") for t in results.trials)
    assert replay(results.path).digest == results.journal.digest


def test_many_short_trials_share_few_workers(engine, tmp_path):
    e = space(x=uniform(0, 1)).trainable(process_of).minimize("loss").samples(200).parallel(2).seed(0).store(tmp_path)
    results = e.run(engine(), quiet=True)
    assert len(results.trials) == 200
    assert len({t.metrics["pid"] for t in results.trials}) <= 2


def process_of(config):
    return {"loss": config["x"], "pid": os.getpid()}


def test_data_is_shipped_once_and_passed_by_keyword(engine, tmp_path):
    def train(config, table):
        return {"loss": config["x"], "total": float(table.sum())}

    table = np.arange(2_000_000, dtype=np.float64)
    e = space(x=uniform(0, 1)).trainable(train).data(table=table).minimize("loss").samples(4).seed(0).store(tmp_path)
    assert {t.metrics["total"] for t in e.run(engine(), quiet=True).trials} == {float(table.sum())}


class Kind(enum.StrEnum):
    A = "a"
    B = "b"


class Level(enum.IntEnum):
    LOW = 1


def test_data_names_and_members_are_as_inline(engine, tmp_path):
    def train(config, table, frame, rows):
        refused = False
        try:
            table /= 16
        except ValueError:
            refused = True
        frame.loc[0, "a"] += 1
        rows.append(1)
        report(
            {np.str_("loss"): config["x"], "refused": refused, "a": frame["a"][0], "rows": len(rows)}, checkpoint=None
        )
        names = [type(config[name]).__name__ for name in ("kind", "level")]
        report(loss=config["x"], names=names, seen={config["x"]: (1, 2)})

    shared = {"table": np.full(3, 16.0), "frame": pd.DataFrame({"a": [0]}), "rows": []}
    e = space(x=uniform(0, 1), kind=grid(list(Kind)), level=Level.LOW).trainable(train).data(**shared).seed(0)
    e = e.minimize(np.str_("loss")).parallel(1).store(tmp_path).samples(2).order("logical")
    found = [e.run(each, quiet=True) for each in (engine(), "inline")]
    assert not any(results.errors for results in found), found[0].errors
    assert found[0].journal.digest == found[1].journal.digest and shared["rows"] == []
    for trial_of in found[0].trials:
        row = trial_of.metrics
        assert row["names"] == ["Kind", "Level"] and row["seen"] == {trial_of.config["x"]: (1, 2)}
        first = trial_of.curve.iloc[0]
        assert (first["refused"], first["a"], first["rows"]) == (1, 1, 1)


def test_a_run_that_only_fails_ends_and_is_resumed(engine, tmp_path):
    switch = tmp_path / "corrected"

    def train(config):
        if switch.exists():
            report(loss=config["x"])
        else:
            report(lost=config["x"])

    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(20).parallel(2).seed(0).store(tmp_path)
    results = e.run(engine(), quiet=True)
    assert {error.kind for error in results.errors} == {"bad_report"} and len(results.errors) == 5
    assert "5 trials failed with the same error" in results.state and "'lost'" in results.state
    switch.touch()
    again = e.resume(results.path, quiet=True)
    assert again.finished and len(again.trials) == 20 and len(again.errors) == 5


def test_a_worker_that_dies_is_replaced_and_its_trial_retried(engine, tmp_path):
    def train(config):
        report(loss=config["x"])
        if trial().attempt == 0 and trial().number == 1:
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)
        report(loss=config["x"] / 2)

    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(6).parallel(2).seed(0).store(tmp_path)
    results = e.run(engine(), quiet=True)
    assert [t.status for t in results.trials] == ["completed"] * 6
    assert all(t.iterations == 2 for t in results.trials)
    assert "lost" in results.why(1)
    assert replay(results.path)


def test_failures_carry_the_users_traceback(engine, tmp_path):
    results = searching(tmp_path, breaks_at_times).run(engine(), quiet=True)
    assert results.errors and "in breaks_at_times" in results.errors[0].traceback


def test_checkpoints_go_from_worker_to_storage(engine, tmp_path):
    results = searching(tmp_path, Quadratic).checkpoint(every=3).run(engine(), quiet=True)
    assert results.best.checkpoint is not None and (results.best.checkpoint / "done").read_text() == "9"

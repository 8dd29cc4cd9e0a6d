"""The callbacks of training frameworks: real trainings under ASHA, pauses, populations, retries and resumes.

Each framework is tested where it is installed.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.unit.integrations.frameworks import FRAMEWORKS, ITERATIONS, ROWS, Framework
from tunedsl import asha, hyperband, loguniform, pbt, report, space, trial
from tunedsl.integrations.reporting import select
from tunedsl.kernel import CopyCheckpoint
from tunedsl.worker.session import Session


@pytest.fixture(params=FRAMEWORKS, ids=[each.package for each in FRAMEWORKS])
def framework(request, monkeypatch) -> Framework:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip(request.param.package, exc_type=ImportError)
    return request.param  # type: ignore[no-any-return]


def experiment(framework: Framework, tmp_path: Path):
    return (
        space(lr=loguniform(1e-3, 0.3))
        .trainable(framework.train)
        .data(**ROWS)
        .minimize("loss")
        .samples(4)
        .seed(0)
        .store(str(tmp_path))
    )


def curves(results) -> list[list[float]]:
    return [list(each.curve["loss"]) for each in results.trials]


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.slow
def test_each_iteration_is_reported_and_asha_stops_trials(framework, tmp_path, quiet):
    stopping = experiment(framework, tmp_path).scheduler(asha(max_t=ITERATIONS, reduction_factor=3)).samples(6)
    results = stopping.run("inline", quiet=True)
    assert not results.errors
    statuses = {each.status for each in results.trials}
    assert statuses == {"completed", "stopped"}
    assert max(each.iterations for each in results.trials) == ITERATIONS
    assert all(np.isfinite(curve).all() for curve in curves(results))


@pytest.mark.slow
def test_pauses_continue_from_the_frameworks_own_checkpoint(framework, tmp_path, quiet):
    plain = experiment(framework, tmp_path / "plain").run("inline", quiet=True)
    pausing = (
        experiment(framework, tmp_path / "paused")
        .scheduler(hyperband(max_t=ITERATIONS, reduction_factor=3))
        .run("inline", quiet=True)
    )
    assert not plain.errors and not pausing.errors
    longest = max(range(4), key=lambda at: pausing.trials[at].iterations)
    assert pausing.trials[longest].iterations == ITERATIONS and pausing.trials[longest].checkpoints
    assert curves(pausing)[longest] == pytest.approx(curves(plain)[longest], rel=1e-3)


@pytest.mark.slow
def test_a_crash_is_retried_from_the_newest_checkpoint(framework, tmp_path, quiet, monkeypatch):
    plain = experiment(framework, tmp_path / "plain").samples(1).run("inline", quiet=True)
    seen: list[int] = []
    receive = Session.report

    def crash_once(self: Session, *args: Any, **more: Any) -> None:
        seen.append(self._reports.iteration + 1)
        if len(seen) == 6:
            raise RuntimeError("lost power")
        receive(self, *args, **more)

    monkeypatch.setattr(Session, "report", crash_once)
    retried = (
        experiment(framework, tmp_path / "retried").samples(1).checkpoint(every=2).retry(1).run("inline", quiet=True)
    )
    assert not retried.errors
    assert seen == [1, 2, 3, 4, 5, 6, 5, 6, 7, 8, 9]
    assert curves(retried)[0] == pytest.approx(curves(plain)[0], rel=1e-3)


@pytest.mark.slow
def test_a_population_copies_checkpoints(framework, tmp_path, quiet):
    if not framework.copies:
        pytest.skip("the framework refuses a checkpoint of other parameters")
    population = pbt(hyperparam_mutations={"lr": loguniform(1e-3, 0.3)}, perturbation_interval=3)
    ending = experiment(framework, tmp_path).scheduler(population).stop(training_iteration=ITERATIONS)
    results = ending.run("inline", quiet=True)
    assert not results.errors
    assert [each.iterations for each in results.trials] == [ITERATIONS] * 4
    copied = [
        command for line in results.journal.records() for command in line.c if isinstance(command, CopyCheckpoint)
    ]
    assert copied


def test_metrics_are_selected_and_renamed():
    found = {"val_loss": 0.5, "loss": 0.25}
    assert select(found, None) == found
    assert select(found, ["val_loss"]) == {"val_loss": 0.5}
    assert select(found, {"a": "loss"}) == {"a": 0.25}
    with pytest.raises(Exception, match=r"The framework has no metric 'val_los'\.\n  help: did you mean 'val_loss'"):
        select(found, ["val_los"])
    assert select(found, "val_loss") == {"val_loss": 0.5}, "a text is one name"
    with pytest.raises(Exception, match="help: it has computed none; give it data"):
        select({}, ["val_loss"])


def test_a_function_may_write_the_checkpoint(tmp_path):
    digits = load_digits()
    written: list[Path] = []

    def train(config):
        start = int((trial().checkpoint / "at").read_text()) if trial().checkpoint else 0
        for at in range(start + 1, 8):

            def save(folder, at=at):
                written.append(folder)
                (folder / "at").write_text(str(at))

            report(loss=digits.data[at].mean() * config["lr"], checkpoint=save)

    results = (
        space(lr=1.0)
        .trainable(train)
        .minimize("loss")
        .checkpoint(every=3)
        .store(str(tmp_path))
        .run("inline", quiet=True)
    )
    assert list(results.trials[0].checkpoints) == [3, 6] and len(written) == 2


def test_callbacks_say_when_they_are_used_outside_of_a_trial():
    pytest.importorskip("lightgbm")
    module = importlib.import_module("tunedsl.integrations.lightgbm")
    with pytest.raises(Exception, match="outside"):
        _ = module.ReportCallback().rounds

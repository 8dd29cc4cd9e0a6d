"""What-if: recorded curves under other policies, in Python and in the terminal."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands import call
from tunedsl import ArgumentError, CompileError, asha, fifo, load, metric, pbt, report, space, tpe, uniform
from tunedsl.experiment import Experiment
from tunedsl.results import Results
from tunedsl.schedulers import asha_promote
from tunedsl.stopping import best

MAX_T = 9


def train(config: dict[str, Any]) -> None:
    for step in range(1, MAX_T + 1):
        if config["x"] > 0.9 and step == 3:
            raise ValueError("too large")
        report(loss=config["x"] / step)


def experiment(store: Path) -> Experiment:
    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(20).seed(0).parallel(2)
    return e.stop(training_iteration=MAX_T).store(store)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return experiment(tmp_path_factory.mktemp("full")).run("inline", quiet=True)


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Results:
    e = experiment(tmp_path_factory.mktemp("cut")).scheduler(asha(max_t=MAX_T, reduction_factor=3))
    return e.run("inline", quiet=True)


def test_a_run_in_full_answers_every_question(full: Results) -> None:
    forecast = full.what_if(scheduler=asha(max_t=MAX_T, reduction_factor=3), parallel=1)
    assert not any(forecast.censored.values()) and forecast.known_seconds == math.inf
    assert "censored" not in str(forecast) and "known: the outcomes of 20 of 20 trials" in str(forecast)
    assert {outcome.status for outcome in forecast.outcomes} >= {"stopped", "completed"}
    assert len(forecast.outcomes) == len(full) and forecast.iterations < full.stats.iterations


def test_a_failed_trial_fails_again(full: Results) -> None:
    failed = [trial.number for trial in full if trial.status == "failed"]
    forecast = full.what_if(parallel=5)
    assert failed and [outcome.trial for outcome in forecast.outcomes if outcome.status == "failed"] == failed
    assert "failed trials fail again after the same iteration" in forecast.assumptions
    earlier = full.what_if(stop={"training_iteration": 2})
    assert all(outcome.status == "completed" and outcome.iterations == 2 for outcome in earlier.outcomes)


def test_figures_beyond_the_record_are_censored_and_bounded(cut: Results) -> None:
    forecast = cut.what_if(scheduler=fifo())
    assert all(forecast.censored.values()) and 0 <= forecast.known_seconds < math.inf
    whole = [outcome for outcome in forecast.outcomes if outcome.known]
    assert whole and all(outcome.iterations <= outcome.recorded for outcome in whole)
    beyond = [outcome for outcome in forecast.outcomes if not outcome.known]
    assert beyond and all(outcome.iterations > outcome.recorded for outcome in beyond)
    figures = {figure.name: figure for figure in forecast.figures}
    assert figures["best loss"].low is None and figures["best loss"].high == min(each.value for each in whole)
    assert figures["iterations"].low == sum(each.iterations for each in whole)
    assert figures["iterations"].high == figures["iterations"].low + MAX_T * len(beyond)
    assert "a trial that runs beyond its record repeats its last report" in forecast.assumptions
    assert "censored" in str(forecast) and ">censored</td>" in forecast._repr_html_()


def test_the_last_iteration_of_the_scheduler_stays_unless_another_one_comes(cut: Results) -> None:
    assert "training_iteration') >= 9" in repr(cut.what_if(scheduler=fifo()).plan.stop)
    shorter = cut.what_if(scheduler=asha(max_t=3, reduction_factor=3), stop=metric("loss") < 0)
    assert max(outcome.iterations for outcome in shorter.outcomes) == 3


def test_conditions_over_the_study_and_widths_are_replayed(full: Results) -> None:
    ended = full.what_if(until=best() < 0.1)
    assert ended.iterations < full.stats.iterations and not any(ended.censored.values())
    assert full.what_if(until=[best() < -1, lowest]).iterations < full.stats.iterations


def lowest(summary: Any) -> bool:
    return bool(summary.iterations > 30)


def test_a_scheduler_that_pauses_resumes_from_assumed_checkpoints(full: Results) -> None:
    forecast = full.what_if(scheduler=asha_promote(max_t=MAX_T, reduction_factor=3))
    assert not any(forecast.censored.values())
    assert "trials save a checkpoint at each decision" in forecast.assumptions


def test_another_configuration_in_mid_trial_is_censored(full: Results) -> None:
    scheduler = pbt(perturbation_interval=2, hyperparam_mutations={"x": uniform(0, 1)})
    forecast = full.what_if(scheduler=scheduler, parallel=20)
    assert any(forecast.censored.values())


def test_trials_that_never_started_are_unknown(tmp_path: Path) -> None:
    short = experiment(tmp_path).budget(iterations=30).run("inline", quiet=True)
    forecast = short.what_if(stop={"training_iteration": 1})
    assert forecast.censored["iterations"]


def test_a_searcher_that_learns_is_an_assumption(tmp_path: Path) -> None:
    learned = experiment(tmp_path).searcher(tpe()).run("inline", quiet=True)
    assert any(text.startswith("tpe proposes the recorded") for text in learned.what_if(parallel=1).assumptions)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scheduler": 3}, ArgumentError),
        ({"stop": best() < 1}, ArgumentError),
        ({"until": metric("loss") < 1}, ArgumentError),
        ({"parallel": 0}, ArgumentError),
        ({"scheduler": asha(max_t=1, grace_period=5)}, CompileError),
        ({"until": best("usd") < 1}, CompileError),
    ],
)
def test_wrong_policies_are_refused(full: Results, changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        full.what_if(**changes)


def test_in_the_terminal(cut: Results, tmp_path: Path) -> None:
    out = tmp_path / "picture.json"
    done = call("what-if", cut.path, "--set", "scheduler=asha(max_t=9, reduction_factor=2)", "--out", out)
    assert done.exit_code == 0 and "reduction_factor=2" in done.stdout
    names = [trace["name"] for trace in json.loads(out.read_text())["data"]]
    assert names == ["what happened", "what if", "what if, estimated"]
    data = json.loads(call("what-if", cut.path, "--set", "stop.training_iteration=1", "--json").stdout)
    assert data["known_seconds"] is None and len(data["outcomes"]) == 20
    assert {figure["name"]: figure["value"] for figure in data["figures"]}["iterations"] == 20
    refused = call("what-if", cut.path, "--set", "samples=3")
    assert refused.exit_code and "scheduler, stop, until, parallel" in refused.stderr
    assert call("what-if", cut.path, "--set", "until=best() < 0.1").exit_code == 0


def test_the_plot_shows_where_the_estimate_begins(full: Results, cut: Results) -> None:
    known = full.plot.what_if(full.what_if(parallel=1), over="seconds")
    assert [trace.line.dash for trace in known.data] == ["solid", "solid"]
    dashed = cut.plot.what_if(cut.what_if(scheduler=fifo()))
    assert [trace.line.dash for trace in dashed.data][-1] == "dash"
    with pytest.raises(ArgumentError, match="what_if"):
        full.plot.what_if(3)


def test_a_loaded_run_answers_too(full: Results) -> None:
    assert load(full.path).what_if(parallel=1).iterations == full.what_if(parallel=1).iterations


def test_a_replay_does_not_import_the_trainable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script_without_guard.py"
    script.write_text("def train(config):\n    return {'loss': config['x']}\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(script.stem)
    e = space(x=uniform(0, 1)).trainable(module.train).minimize("loss").samples(4).seed(0).store(tmp_path / "store")
    path = e.run("inline", quiet=True).path
    del sys.modules[script.stem]
    script.write_text("raise SystemExit('the script ran again')\n")
    assert load(path).what_if(parallel=2).iterations == 4

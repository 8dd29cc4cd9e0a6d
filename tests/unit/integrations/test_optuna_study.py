"""Import and export of Optuna's studies, without losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunedsl import asha, choice, loguniform, qrandint, randn, ref, report, space, tpe, uniform
from tunedsl.integrations import known_from_optuna, to_optuna
from tunedsl.searchers import with_results

optuna = pytest.importorskip("optuna")


def objective(trial: Any) -> float:
    x = trial.suggest_float("x", 0.0, 1.0)
    if x > 0.9:
        raise ValueError("too large")
    for step in range(3):
        trial.report(x + step, step)
    if x > 0.6:
        raise optuna.TrialPruned
    return float(x)


def train(config: dict[str, Any]) -> None:
    if config["x"] > 0.9:
        raise ValueError("too large")
    for step in range(9):
        report(loss=config["x"] + 1 / (step + 1))


def study(trials: int = 20) -> Any:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    made.optimize(objective, trials, catch=(ValueError,))
    return made


def test_a_study_is_known_with_how_each_trial_ended() -> None:
    there = study()
    results = known_from_optuna(there)
    assert len(results) == 20 and {result.status for result in results} == {"done", "stopped", "failed"}
    for trial, result in zip(there.trials, results, strict=True):
        assert result.config.copy() == trial.params
        if result.status == "stopped":
            assert result.values == (trial.params["x"] + 2,) and result.iteration == 3
    experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(3)
    assert not [item for item in experiment.searcher(with_results(tpe(), results)).check() if item.code.startswith("E")]


def test_an_experiment_is_a_study_with_names_values_ranges_and_ends(tmp_path: Path) -> None:
    params = space(
        x=uniform(0, 1), lr=loguniform(1e-4, 1e-1), n=qrandint(2, 8, 2), z=randn(), o=choice(["a", (1, 2)]),
        m=choice({"svm": space(c=uniform(0, 1)), "tree": space(d=qrandint(1, 5))}),
        w=uniform(0, 1).when(ref("x") > 0.5), twice=ref("x") * 2,
    )  # fmt: skip
    experiment = params.trainable(train).minimize("loss").samples(20).seed(1).scheduler(asha(max_t=9))
    results = experiment.store(str(tmp_path)).run("inline", quiet=True)
    there = to_optuna(results, f"sqlite:///{tmp_path / 'study.db'}")
    assert there.best_value == results.best.metrics["loss"] and len(there.trials) == 20
    assert {trial.state.name for trial in there.trials} == {"COMPLETE", "PRUNED", "FAIL"}
    for ours, theirs in zip(results.trials, there.trials, strict=True):
        assert theirs.params["x"] == ours.config["x"] and ("w" in theirs.params) == ("w" in ours.config)
        assert theirs.params["m"] in ours.config["m"] and len(theirs.intermediate_values) == ours.iterations
    assert set(optuna.importance.get_param_importances(there, params=["x", "lr", "n"])) == {"x", "lr", "n"}
    back = known_from_optuna(there)
    assert [result.config.copy()["m"] for result in back] == [trial.config["m"] for trial in results.trials]

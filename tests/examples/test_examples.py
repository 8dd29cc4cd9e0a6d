"""The examples on real data: their experiments have no errors, and a small part of each runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from sklearn.datasets import load_breast_cancer

from tunedsl.experiment import Experiment

FOLDER = Path(__file__).resolve().parents[2] / "examples"


INTEGRATIONS = {
    "boosting": "lightgbm", "xgboost_cancer": "xgboost", "catboost_wine": "catboost", "keras_digits": "keras",
    "lightning_digits": "lightning", "torch_distributed": "torch", "transformers_text": "transformers",
    "sklearn_search": "sklearn",
}  # fmt: skip
"""The library of an example by the example's name."""


def imported(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip(library, exc_type=ImportError)
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def check_it_runs(experiment: Experiment, folder: Path) -> None:
    assert not [str(item) for item in experiment.check() if item.code.startswith("E")]
    results = experiment.stop(training_iteration=3).store(str(folder)).run("inline", quiet=True)
    assert not results.errors and results.best.metrics


@pytest.mark.parametrize(("name", "library"), [
    ("digits", "sklearn"), ("torch_digits", "torch"), ("dry_run", "numpy"), ("command", "numpy"),
    ("custom_policy", "numpy"),
])  # fmt: skip
def test_it_runs(name: str, library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_it_runs(imported(name, library, monkeypatch).experiment.samples(3), tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the frameworks
@pytest.mark.parametrize("name", [name for name in INTEGRATIONS if name != "sklearn_search"])
def test_an_integration_runs(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_it_runs(imported(name, INTEGRATIONS[name], monkeypatch).experiment.samples(2), tmp_path)


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_an_integration_takes_at_most_30_lines(name: str) -> None:
    assert len((FOLDER / f"{name}.py").read_text().splitlines()) <= 30


def test_the_search_of_scikit_learn_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    search = importlib.import_module("sklearn_search").search.set_params(n_trials=2)
    assert search.fit(*load_breast_cancer(return_X_y=True)).best_score_ > 0.6


def test_ask_and_tell(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "ask_and_tell.py"), str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert ended.stdout.startswith("30 trials: ") and "'lr':" in ended.stdout

"""Training code written for Ray Tune runs unchanged."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tunedsl import pbt, space, uniform
from tunedsl.experiment import Experiment
from tunedsl.results import Results

tune = pytest.importorskip("ray.tune")
sessions = pytest.importorskip("ray.train._internal.session")


def train(config: dict[str, Any]) -> None:
    found = tune.get_checkpoint()
    start = 0
    if found:
        with found.as_directory() as folder:
            start = json.loads(Path(folder, "state.json").read_text())
    for epoch in range(start, 4):
        if epoch == 2 and not found:
            raise RuntimeError("once")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "state.json").write_text(json.dumps(epoch + 1))
            checkpoint = tune.Checkpoint.from_directory(folder)
            context = tune.get_context()
            row = {"loss": config["x"] / (epoch + 1), "name": context.get_trial_id(), "at": context.get_trial_dir()}
            tune.report(row, checkpoint=checkpoint)


def imports_inside(config: dict[str, Any]) -> None:
    from ray.tune import report

    report({"loss": config["x"]})


class Counts(tune.Trainable):  # type: ignore[misc,name-defined]
    def setup(self, config: dict[str, Any]) -> None:
        self.x, self.steps = config["x"], 0

    def step(self) -> dict[str, Any]:
        self.steps += 1
        return {"loss": self.x / self.steps, "before": self.iteration, "done": self.steps == 5}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.steps = checkpoint["steps"]


class Silent(tune.Trainable):  # type: ignore[misc,name-defined]
    def setup(self, config: dict[str, Any]) -> None: ...


def run(experiment: Experiment, store: Path) -> Results:
    return experiment.minimize("loss").seed(1).store(str(store)).run("inline", quiet=True)


def test_a_function_reports_saves_fails_and_goes_on(tmp_path: Path) -> None:
    results = run(space(x=uniform(0, 1)).samples(3).trainable(train).retry(1), tmp_path)
    assert [(trial.status, trial.iterations) for trial in results.trials] == [("completed", 4)] * 3
    best = results.best
    assert best.metrics["name"] == best.id and Path(str(best.metrics["at"])) == best.path.resolve()
    assert json.loads((best.checkpoint / "state.json").read_text()) == 4  # type: ignore[operator]


def test_the_session_of_ray_tune_is_given_back(tmp_path: Path) -> None:
    run(space(x=uniform(0, 1)).samples(2).trainable(imports_inside), tmp_path)
    assert sessions.get_session() is None


def test_a_class_says_done_and_returns_its_state(tmp_path: Path) -> None:
    results = run(space(x=uniform(0, 1)).samples(2).trainable(Counts).checkpoint(every=1), tmp_path)
    assert [(trial.status, trial.iterations) for trial in results.trials] == [("completed", 5)] * 2
    assert all(trial.metrics["before"] == 4 and "done" not in trial.metrics for trial in results.trials)


def test_a_class_takes_a_donors_state_over(tmp_path: Path) -> None:
    scheduler = pbt(perturbation_interval=2, hyperparam_mutations={"x": uniform(0, 1)})
    results = run(space(x=uniform(0, 1)).samples(4).trainable(Counts).scheduler(scheduler).parallel(1), tmp_path)
    assert not results.errors and any(trial.iterations < 5 for trial in results.trials), "no trial took over"


def test_what_a_class_lacks_is_said() -> None:
    (found,) = [item for item in space(x=uniform(0, 1)).trainable(Silent).check() if item.code == "E032"]
    assert "has no method step" in str(found)
    needs = space(x=uniform(0, 1)).trainable(Silent).minimize("loss").scheduler(pbt(hyperparam_mutations={"x": [1, 2]}))
    assert any("save" in str(item) for item in needs.check())

"""A run with hostile texts in the files of sinks and trackers: read by their own readers, inside their own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.hostile import TEXT, hostile_run
from tunedsl import load
from tunedsl.base.errors import ArgumentError
from tunedsl.export import export
from tunedsl.sinks import comet, mlflow, tensorboard, wandb


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_run(tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("hostile"))


def exported(run: Path, tmp_path: Path, sink: Any) -> Path:
    """The folder of an export, next to which nothing else was written."""
    before, out = sorted(run.rglob("*")), tmp_path / "inside" / "out"
    export(run, sink, out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["inside"] and sorted(run.rglob("*")) == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    return out


def test_tensorboard(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tests.unit.sinks.test_tensorboard import params, scalars

    out = exported(run, tmp_path, tensorboard())
    for trial in load(run).trials:
        folder = out / "trials" / trial.id
        assert scalars(folder, f"{TEXT} metric") == [(1, 1.0)] and scalars(folder, "text") == []
        assert params(folder)["kind"] == trial.config["kind"]


@pytest.mark.slow
def test_tensorboard_itself(run: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = exported(run, tmp_path, tensorboard())
    for trial in load(run).trials:
        reader = accumulator.EventAccumulator(str(out / "trials" / trial.id)).Reload()
        assert set(reader.Tags()["scalars"]) == {"loss", "time_total_s", f"{TEXT} metric"}
        assert not any(reader.Tags()[kind] for kind in ("images", "audio", "histograms", "graph"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of its database
def test_mlflow(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    uri = f"sqlite:///{tmp_path}/inside/mlflow.db"
    export(run, mlflow(uri), out=tmp_path / "inside" / "out")
    client = tracking.MlflowClient(uri)
    (experiment,) = [item for item in client.search_experiments() if item.name != "Default"]
    found = {item.data.tags["tunedsl.trial"]: item for item in client.search_runs([experiment.experiment_id])}
    for trial in load(run).trials:
        data = found[trial.id].data
        (name,) = set(data.metrics) - {"loss", "time_total_s", "training_iteration"}
        assert name.endswith("_.._etc_passwd metric") and name.startswith("_HYPERLINK_1___img src_x onerror_alert")
        assert data.params["kind"] == trial.config["kind"]
        assert set(data.tags) <= {"mlflow.runName", "tunedsl.run", "tunedsl.trial", "tunedsl.status", "tunedsl.error"}
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]


@pytest.mark.slow
@pytest.mark.parametrize("make", [wandb, comet], ids=["wandb", "comet"])
def test_trackers_offline(run: Path, tmp_path: Path, make: Any) -> None:
    pytest.importorskip({wandb: "wandb", comet: "comet_ml"}[make])
    out = exported(run, tmp_path, make("digits"))
    kinds = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert kinds & {".wandb", ".zip"} and not kinds & {".html", ".py", ".sh"}


def test_a_password_in_the_address_of_a_tracker_is_refused() -> None:
    """The journal has the sinks of its run."""
    with pytest.raises(ArgumentError, match="contains a password"):
        mlflow("https://user:secret@host/mlflow")
    mlflow("https://user@host/mlflow")

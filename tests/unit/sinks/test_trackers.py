"""Trackers' own clients and readers find every trial, parameter and metric, without a network."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sinks.runs import odd_ones, population
from tunedsl.export import export
from tunedsl.results import Results, TrialResult
from tunedsl.sinks import comet, mlflow, wandb

pytestmark = pytest.mark.slow


def rows(trial: TrialResult, metric: str) -> list[tuple[int, float]]:
    """A metric's reports, those that were made."""
    curve = trial.curve
    first = 2 if metric == "late, with a comma" else 1
    pairs = zip(curve["training_iteration"], curve[metric], strict=True)
    return [(int(step), float(value)) for step, value in pairs if step >= first]


def same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> None:
    assert [step for step, _ in found] == [step for step, _ in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        assert one == pytest.approx(other, nan_ok=True)


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    results = odd_ones(tmp_path).sinks(mlflow(uri)).run("inline", quiet=True)
    client = tracking.MlflowClient(uri)
    experiment = client.get_experiment_by_name("odd")

    def check() -> None:
        runs = {run.data.tags["tunedsl.trial"]: run for run in client.search_runs([experiment.experiment_id])}
        assert set(runs) == {trial.id for trial in results.trials}
        for trial in results.trials:
            run = runs[trial.id]
            assert run.info.status == ("FAILED" if trial.error else "FINISHED")
            assert run.data.params["x"] == str(trial.config["x"])
            assert run.data.params["model"] == next(iter(trial.config["model"]))
            for metric in ("loss", "time_total_s", "big"):
                history = client.get_metric_history(run.info.run_id, metric)
                same(sorted((item.step, item.value) for item in history), rows(trial, metric))
            late = {item.step: item.value for item in client.get_metric_history(run.info.run_id, "late_ with a comma")}
            assert set(late) == {2, 3, 4} and not math.isfinite(late[2])
            assert run.data.metrics["val/deep/n"] == 4
            assert run.data.tags["tunedsl.status"] == ("failed" if trial.error else "completed")

    check()
    export(results.path, mlflow(uri))  # continues in the same runs, without new data
    check()


def test_mlflow_has_the_schedule_of_a_population(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.chdir(tmp_path)
    results = population(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    export(results.path, mlflow(uri, experiment="pbt"))
    client = tracking.MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name("pbt").experiment_id])
    last = {run.data.tags["tunedsl.trial"]: run.data.metrics.get("config/x") for run in found}
    assert any(last.values())
    for trial in results.trials:
        assert last[trial.id] in (None, pytest.approx(trial.config["x"]))


def leveldb_records(content: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format: blocks of 32 KiB, parts with checksum, length and kind."""
    assert content[:4] == b":W&B"
    at, whole = 7, b""
    while at + 7 <= len(content):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def test_wandb(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    results = odd_ones(tmp_path).sinks(wandb("digits")).run("inline", quiet=True)
    export(results.path, wandb("digits"))  # delivered again, but recorded once
    folders = list((results.path / "wandb").glob("offline-run-*"))
    assert len(folders) == len(results.trials)
    for trial in results.trials:
        (file,) = (results.path / "wandb").glob(f"offline-run-*-{trial.id}/*.wandb")
        config: dict[str, Any] = {}
        history: list[dict[str, Any]] = []
        for data in leveldb_records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "run":
                assert (record.run.project, record.run.display_name) == ("digits", trial.id)
                config.update({item.key: json.loads(item.value_json) for item in record.run.config.update})
            elif record.WhichOneof("record_type") == "history":
                items = record.history.item
                history.append({item.key or "/".join(item.nested_key): item.value_json for item in items})
        assert config["x"] == trial.config["x"] and config["model"] == next(iter(trial.config["model"]))
        same([(int(row["_step"]), float(row["loss"])) for row in history], rows(trial, "loss"))
        assert "late, with a comma" not in history[0]


def test_comet(tmp_path: Path) -> None:
    pytest.importorskip("comet_ml")
    results = odd_ones(tmp_path).sinks(comet("digits")).run("inline", quiet=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for archive in (results.path / "comet").glob("*.zip"):
        with zipfile.ZipFile(archive) as file:
            messages = [json.loads(line) for line in file.read("messages.json").splitlines()]
            assert json.loads(file.read("experiment.json"))["project_name"] == "digits"
        name = next(m["payload"]["value"] for m in messages if m["payload"].get("key") == "Name")
        found[name] = messages
    assert set(found) == {trial.id for trial in results.trials}
    for trial in results.trials:
        losses = [
            (message["payload"]["metric"]["step"], float(message["payload"]["metric"]["metricValue"]))
            for message in found[trial.id]
            if message["type"] == "metric_msg" and message["payload"]["metric"]["metricName"] == "loss"
        ]
        same(losses, rows(trial, "loss"))
        given = [m["payload"]["param"] for m in found[trial.id] if m["type"] == "parameter_msg"]
        assert {"x": trial.config["x"]} in [{p["paramName"]: p["paramValue"]} for p in given]


def test_none_of_them_prints_on_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("wandb")
    pytest.importorskip("comet_ml")
    results: Results = odd_ones(tmp_path).sinks(wandb(), comet()).run("inline", quiet=True)
    assert len(results.trials) == 4
    assert capfd.readouterr() == ("", "")

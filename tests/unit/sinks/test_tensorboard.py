"""TensorBoard's own reader finds each trial's scalars and hyperparameters in what was written."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sinks.runs import halving, odd_ones, population
from tunedsl.export import export
from tunedsl.results import Results
from tunedsl.sinks import tensorboard

pytest.importorskip("tensorboardX")

from tensorboardX.proto import event_pb2, plugin_hparams_pb2
from tensorboardX.record_writer import masked_crc32c


def records(file: Path) -> list[Any]:
    """The events of a file, its checksums checked."""
    found, content = [], file.read_bytes()
    while content:
        head, body = content[:8], content[12 : 12 + struct.unpack("<Q", content[:8])[0]]
        tail = content[12 + len(body) : 16 + len(body)]
        assert struct.unpack("<I", content[8:12])[0] == masked_crc32c(head)
        assert struct.unpack("<I", tail)[0] == masked_crc32c(body)
        found.append(event_pb2.Event.FromString(body))
        content = content[16 + len(body) :]
    return found


def events(folder: Path) -> list[Any]:
    return [event for file in sorted(folder.glob("events.*")) for event in records(file)]


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [
        (event.step, value.simple_value)
        for event in events(folder)
        for value in event.summary.value
        if value.tag == tag and not value.metadata.plugin_data.plugin_name
    ]


def hparams(folder: Path, kind: str) -> Any:
    """The first record of a kind, as TensorBoard takes it."""
    for event in events(folder):
        for value in event.summary.value:
            if value.tag == f"_hparams_/{kind}":
                data = plugin_hparams_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
                return getattr(data, kind)
    return None


def params(folder: Path) -> dict[str, Any]:
    start = hparams(folder, "session_start_info")
    return {name: getattr(item, item.WhichOneof("kind")) for name, item in start.hparams.items()}


def same(found: list[tuple[int, float]], results: Results, trial: Any, metric: str) -> None:
    curve = trial.curve
    expected = [
        (int(step), float(value))
        for step, value in zip(curve["training_iteration"], curve[metric], strict=True)
        if metric != "late, with a comma" or step >= 2
    ]
    assert [step for step, _ in found] == [step for step, _ in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-6, nan_ok=True)


def test_scalars_and_hyperparameters_by_trial(tmp_path: Path) -> None:
    results = odd_ones(tmp_path).sinks(tensorboard()).run("inline", quiet=True)
    for trial in results.trials:
        for metric in ("loss", "big", "time_total_s", "late, with a comma"):
            same(scalars(trial.path, metric), results, trial, metric)
        assert scalars(trial.path, "val/deep/n") == [(3, 3.0), (4, 4.0)]
        found = params(trial.path)
        model = trial.config["model"]
        assert found["x"] == trial.config["x"] and found["model"] == next(iter(model))
        assert found["layers"] == ("[8, 8]" if len(trial.config["layers"]) == 2 else "[16]")
        inner = {f"model/{name}/{key}": item for name, part in model.items() for key, item in part.items()}
        assert {name: item for name, item in found.items() if name.startswith("model/")} == inner
        assert hparams(trial.path, "session_end_info").status == (2 if trial.error else 1)
    assert math.isnan(scalars(results.trials[0].path, "late, with a comma")[0][1])


def test_a_second_export_takes_the_first_one_away_and_no_other_files(tmp_path: Path) -> None:
    results = halving(tmp_path).run("inline", quiet=True)
    export(results.path, tensorboard())
    own = results.trials[0].path / "events.out.tfevents.1.my-own"
    own.write_bytes(b"")
    before = {trial.id: scalars(trial.path, "loss") for trial in results.trials}
    export(results.path, tensorboard())
    assert {trial.id: scalars(trial.path, "loss") for trial in results.trials} == before and own.exists()


def test_where_configurations_change_the_last_one_counts_and_all_are_scalars(tmp_path: Path) -> None:
    results = population(tmp_path)
    export(results.path, tensorboard())
    changed = 0
    for trial in results.trials:
        assert params(trial.path)["x"] == trial.config["x"]
        schedule = scalars(trial.path, "config/x")
        changed += len(schedule)
        assert not schedule or schedule[-1][1] == pytest.approx(trial.config["x"])
        same(scalars(trial.path, "loss"), results, trial, "loss")
    assert changed


def test_tensorboard_reads_it(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    results = population(tmp_path)
    export(results.path, tensorboard(), out=tmp_path / "out")
    for trial in results.trials:
        reader = accumulator.EventAccumulator(str(tmp_path / "out" / "trials" / trial.id)).Reload()
        same([(item.step, item.value) for item in reader.Scalars("loss")], results, trial, "loss")
        content = reader.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        start = plugin_hparams_pb2.HParamsPluginData.FromString(content).session_start_info
        assert start.hparams["x"].number_value == trial.config["x"]

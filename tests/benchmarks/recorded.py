"""Recorded and surrogate learning curves as matrices: one row for each configuration, lower is better.

Sources: TaskSet (releaunifreiburg/DPL), LCBench by the surrogate of slds-lmu/yahpo_data, and the submissions of
AlgoPerf (mlcommons/submissions_algorithms), all Apache-2.0. Each second task of a source is for development, the
others are reported.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Split = Literal["development", "reported"]

LCBENCH_TASKS = 12
LCBENCH_INPUTS = (
    "epoch",
    "batch_size",
    "learning_rate",
    "momentum",
    "weight_decay",
    "num_layers",
    "max_units",
    "max_dropout",
)
"""The order in which the surrogate was trained on them."""
CONFIGURATIONS = 300


@attrs.frozen
class Task:
    """Curves of one workload; `curves` has the shape (configurations, iterations)."""

    source: str
    name: str
    split: Split
    curves: Floats

    @property
    def epochs(self) -> int:
        return self.curves.shape[1]

    def regret(self, loss: float) -> float:
        """0 for the best configuration at its end, 1 for the median one."""
        ends = self.curves[:, -1]
        return float((loss - ends.min()) / max(np.median(ends) - ends.min(), 1e-12))


def tasks(folder: str | Path, split: Split) -> list[Task]:
    """The tasks of a split; empty without the data."""
    root = Path(folder)
    found = []
    for source, load in (("algoperf", _algoperf), ("taskset", _taskset), ("lcbench", _lcbench)):
        for number, (name, curves) in enumerate(load(root)):
            part: Split = "reported" if number % 2 else "development"
            if part == split:
                found.append(Task(source, name, part, curves))
    return found


def _algoperf(root: Path) -> Iterator[tuple[str, Floats]]:
    file = root / "algoperf" / "curves.json.gz"
    if not file.exists():
        return
    for name, trials in sorted(json.loads(gzip.decompress(file.read_bytes())).items()):
        values = [[row[3] for row in trial["curve"]] for trial in trials]
        length = int(np.quantile([len(each) for each in values], 0.4))
        curves = np.array([each[:length] for each in values if len(each) >= length], float)
        curves = curves[np.isfinite(curves).all(axis=1)]
        if length >= 7 and len(curves) >= 10:
            yield name, curves


def _taskset(root: Path) -> Iterator[tuple[str, Floats]]:
    for file in sorted((root / "taskset").glob("*.npz")):
        curves = np.load(file)["valid"].astype(float)
        worst = np.nanmax(np.where(np.isfinite(curves), curves, np.nan))
        yield file.stem, np.where(np.isfinite(curves), curves, worst)


def _lcbench(root: Path) -> Iterator[tuple[str, Floats]]:
    folder = root / "yahpo" / "lcbench"
    if not (folder / "model.onnx").exists():
        return
    import onnxruntime

    codes = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]
    params = json.loads((folder / "config_space.json").read_text())["hyperparameters"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    for task in params[0]["choices"][:LCBENCH_TASKS]:
        by_name = {each["name"]: each for each in params}
        yield f"lcbench {task}", _accuracy_curves(session, codes[task], [by_name[name] for name in LCBENCH_INPUTS])


def _accuracy_curves(session: Any, task: int, params: list[dict[str, Any]]) -> Floats:
    """The validation error of random configurations at each epoch."""
    draws = np.random.default_rng(task)
    epochs = next(int(each["upper"]) for each in params if each["name"] == "epoch")
    columns = []
    for each in params:
        low, high = float(each["lower"]), float(each["upper"])
        drawn = draws.uniform(size=CONFIGURATIONS)
        column = np.exp(np.log(low) + drawn * np.log(high / low)) if each["log"] else low + drawn * (high - low)
        columns.append(np.round(column) if each["type"] == "uniform_int" else column)
    rows = np.repeat(np.stack(columns, axis=1), epochs, axis=0).astype(np.float32)
    at = [each["name"] for each in params].index("epoch")
    rows[:, at] = np.tile(np.arange(1, epochs + 1), CONFIGURATIONS)
    inputs = [each.name for each in session.get_inputs()]
    kinds = np.full((len(rows), 1), task, np.int32)
    outputs = session.run(None, dict(zip(inputs, (kinds, rows), strict=True)))
    found: Floats = 100.0 - np.asarray(outputs[0], float)[:, 1].reshape(CONFIGURATIONS, epochs)
    return found

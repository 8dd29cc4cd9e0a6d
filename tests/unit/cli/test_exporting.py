"""`tunedsl export` and `tunedsl logs`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.commands import call
from tests.unit.sinks.runs import odd_ones
from tunedsl import report
from tunedsl.sinks import csv, tensorboard


def talks(config: dict[str, Any]) -> None:
    if config["x"]:
        print("hello from", config["x"])
    report(loss=1.0)


def test_a_finished_experiment_is_exported(tmp_path: Path) -> None:
    results = odd_ones(tmp_path).run("inline", quiet=True)
    assert call("export", results.path, "--to", "csv", "--to", "jsonl", "--out", tmp_path / "out").exit_code == 0
    files = {file.name for file in (tmp_path / "out" / "trials" / "00000").iterdir()}
    assert files == {"params.json", "progress.csv", "reports.jsonl"}
    assert not (results.path / "trials").exists()
    results.export(csv())
    assert (results.best.path / "progress.csv").exists()  # type: ignore[operator]  # a local folder


def test_what_is_wrong_with_an_export_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = odd_ones(tmp_path).run("inline", quiet=True)
    done = call("export", results.path, "--to", "tensorbord")
    assert done.exit_code == 2 and "did you mean 'tensorboard'?" in done.output
    done = call("export", results.path, "--to", "mlflow", "-o", "uri=x")
    assert done.exit_code == 2 and "has no argument 'uri'" in done.output
    done = call("export", results.path, "--to", "csv", "-o", "oops")
    assert done.exit_code == 2 and "'oops' is not NAME=VALUE" in done.output
    from tunedsl.sinks import registry

    lacking = registry.SinkKind(
        "tensorboard", "nowhere:Writer", registry.PackageRequirement("nowhere", "nowhere", "1"), "tensorboard"
    )
    monkeypatch.setitem(registry._kinds, type(tensorboard()), lacking)
    done = call("export", results.path, "--to", "tensorboard")
    assert done.exit_code == 2 and "pip install 'tunedsl[tensorboard]'" in done.output


def test_a_trials_output_is_printed(tmp_path: Path) -> None:
    results = odd_ones(tmp_path).trainable(talks).log_to_file().run("inline", quiet=True)
    assert call("logs", results.path, "1").output == call("logs", results.path, "00001").output == "hello from 1\n"
    assert call("logs", results.path, "1", "--follow").output == "hello from 1\n"
    nothing = call("logs", results.path, "1", "--err")
    assert nothing.exit_code == 0 and "trial 00001 has written nothing to stderr.log" in nothing.output
    unknown = call("logs", results.path, "000O1")
    assert unknown.exit_code == 2 and "did you mean '00001'?" in unknown.output


def test_a_trial_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    done = call("logs", odd_ones(tmp_path).run("inline", quiet=True).path, "77")
    assert done.exit_code == 2 and "do not include '77'" in done.output and "00000" not in done.output
    done = call("logs", next(tmp_path.glob("*/journal.jsonl")).parent, "0000l")
    assert "did you mean '0000" in done.output


def test_without_files_it_says_where_output_is(tmp_path: Path) -> None:
    quiet = odd_ones(tmp_path).trainable(talks)
    done = call("logs", quiet.run("inline", quiet=True).path, "1")
    assert "without .log_to_file(True)" in done.output
    done = call("logs", quiet.log_to_file(False).run("inline", quiet=True).path, "1")
    assert done.exit_code == 2 and "log_to_file(False)" in done.output


def test_a_running_trial_is_followed_to_its_end(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from tests.unit.sinks.runs import odd_ones
from tunedsl import report
def train(config):
    while config["x"] and not Path({str(tmp_path / "seen")!r}).exists():
        time.sleep(0.01)
    for step in range(6):
        print("line", step)
        time.sleep(0.1)
    report(loss=1.0)
odd_ones(Path({str(tmp_path)!r})).trainable(train).log_to_file().run("inline", quiet=True)
"""
    runs = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not list(tmp_path.glob("*/trials/00000/stdout.log")) and time.monotonic() < deadline:
            time.sleep(0.05)
        (folder,) = tmp_path.iterdir()
        done = call("logs", folder, "0", "--follow")
        (tmp_path / "seen").touch()
        assert done.output == "".join(f"line {step}\n" for step in range(6))
        assert runs.poll() is None  # three more trials are to come
    finally:
        (tmp_path / "seen").touch()
        runs.wait(PATIENCE_SECONDS)

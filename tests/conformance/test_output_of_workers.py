"""Trials' output and sinks beside trials in pooled workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tunedsl import grid, report, space
from tunedsl.sinks import csv, jsonl


def test_each_trial_of_a_pooled_worker_has_its_own_output(
    engine: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def talks(config: dict[str, Any]) -> None:
        print("by python", config["x"], os.getpid())
        os.write(1, b"by descriptor %d\n" % config["x"])
        subprocess.run(f"echo by subprocess {config['x']}", shell=True, check=True)
        sys.stderr.write(f"wrong {config['x']}\n")
        report(loss=1.0)

    base = space(x=grid(list(range(6)))).trainable(talks).minimize("loss").parallel(2).seed(0).store(tmp_path)
    results = base.log_to_file("all.log").sinks(csv(), jsonl()).run(engine(), quiet=True)
    workers = set()
    for trial in results.trials:
        x = trial.config["x"]
        lines = (trial.path / "all.log").read_text().splitlines()
        workers.add(lines[0].split()[-1])
        assert lines[0].startswith(f"by python {x} ")
        assert lines[1:] == [f"by descriptor {x}", f"by subprocess {x}", f"wrong {x}"]
        (row,) = (trial.path / "reports.jsonl").read_text().splitlines()
        assert json.loads(row)["loss"] == 1.0 and (trial.path / "progress.csv").exists()
    assert len(workers) <= 2
    results = base.run(engine(), quiet=True)
    for trial in results.trials:
        assert (trial.path / "stdout.log").read_text().startswith(f"by python {trial.config['x']} ")
        assert (trial.path / "stderr.log").read_text() == f"wrong {trial.config['x']}\n"
    assert "python" not in "".join(capfd.readouterr())

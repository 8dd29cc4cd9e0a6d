"""Workers find the modules that the driver finds: beside the script, in the working directory, on its path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.test_importing import best, package, write
from tunedsl import load, report, space, uniform

PACKAGE = Path(__file__).resolve().parents[2]
COMMAND = f"import sys; sys.path[:1] = [{str(PACKAGE)!r}]; from tunedsl.cli import main; main()"
"""The installed command: the working directory is not on its path."""

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]


def python(*words: str, cwd: Path) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    environment = {**os.environ, "RAY_ADDRESS": address, "PYTHONPATH": str(PACKAGE)}
    ended = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_a_script_finds_its_siblings_by_the_command_and_by_itself(tmp_path):
    imports = "from scratch_sibling import scratch_sibling"
    file = write(tmp_path / "project", "scratch_tune.py", imports, tmp_path / "runs")
    (tmp_path / "elsewhere").mkdir()
    python("-c", COMMAND, "run", str(file), "--quiet", cwd=tmp_path / "elsewhere")
    assert 10 <= best(tmp_path / "runs") <= 11

    file.write_text(
        file.read_text().replace("runs", "own") + "if __name__ == '__main__':\n    experiment.run(quiet=True)\n"
    )
    python("../project/scratch_tune.py", cwd=tmp_path / "elsewhere")
    assert 10 <= best(tmp_path / "own") <= 11


def test_a_module_of_a_package_finds_its_siblings(tmp_path):
    project = package(tmp_path / "project", tmp_path / "runs")
    python("-c", COMMAND, "run", "-m", "scratch_pkg.sub.scratch_tune", "--quiet", cwd=project)
    assert 10 <= best(tmp_path / "runs") <= 11
    (folder,) = (tmp_path / "runs").iterdir()
    assert load(folder).finished


def test_what_comes_onto_the_path_after_ray_began_is_found_and_found_first(tmp_path, monkeypatch):
    """Ray gives its workers the path of the moment when this process joined."""
    (tmp_path / "scratch_late.py").write_text("class Late:\n    value = 4\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from scratch_late import Late

    def train(config, late):
        import scratch_late

        report(loss=late.value, same=type(late) is scratch_late.Late, first=sys.path[0])

    made = space(x=uniform(0, 1)).trainable(train).data(late=Late()).minimize("loss").store(tmp_path / "runs")
    results = made.run(quiet=True)
    assert not results.errors, results.errors[0]
    metrics = results.best.metrics
    assert (metrics["loss"], metrics["same"], metrics["first"]) == (4, True, str(tmp_path))

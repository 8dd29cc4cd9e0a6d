"""A real driver in its own process: it receives requests, excludes a second driver, and is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS
from tunedsl import control, load, replay, resume
from tunedsl.base.errors import JournalError
from tunedsl.journal import Journal, has_driver

SCRIPT = """
import itertools, time
from pathlib import Path
from tunedsl import report, space, uniform

folder = Path({folder!r})

def train(config):
    (folder / "trains").touch()
    for step in itertools.count(1):
        while (folder / "silent").exists():
            time.sleep(0.01)
        if step > 3 and (folder / "enough").exists():
            break
        time.sleep(0.01)
        report(loss=config["x"] + 1 / step)

asked = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(3).parallel(2)
experiment = asked.seed(0).store(folder / "runs")

if __name__ == "__main__":
    experiment.run(engine="inline", quiet=True)
"""


class Driver:
    """A script that runs, and the folder of its experiment.

    Its trials run until that folder has a file `enough`, and report nothing while it has a file `silent`.
    """

    def __init__(self, folder: Path) -> None:
        self.script = folder / "controlled.py"
        self.script.write_text(SCRIPT.format(folder=str(folder)))
        self.process = subprocess.Popen(
            [sys.executable, str(self.script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._folder = folder

    def path(self, text: bytes) -> Path:
        """The experiment's folder, once `text` is in its journal."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            for file in self._folder.glob("runs/*/journal.jsonl"):
                if text in file.read_bytes():
                    return file.parent
            time.sleep(0.02)
        raise AssertionError(self.process.communicate())

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, out, err


@pytest.fixture
def drivers() -> Iterator[list[Driver]]:
    begun: list[Driver] = []
    yield begun
    for driver in begun:
        if driver.process.poll() is None:
            driver.process.kill()
            driver.process.wait()


@pytest.mark.slow
def test_a_run_is_added_to_stopped_in_part_paused_and_resumed_from_outside(tmp_path, drivers):
    driver = Driver(tmp_path)
    drivers.append(driver)
    path = driver.path(b'["reported",')
    with pytest.raises(JournalError, match=rf"Another driver .*: process {driver.process.pid} on "):
        resume(path, engine="inline", quiet=True)
    assert load(path).state == "running"

    assert control.add(path, {"x": 0.125}).startswith("trial added-00000 is added")
    assert control.stop(path, 0).startswith("trial 00000 is stopped after iteration ")
    assert control.stop(path, 0).startswith("trial 00000 has already ended")
    with pytest.raises(control.RequestRefused, match="do not include 'nobody'"):
        control.stop(path, "nobody")
    (path / "requests" / "evil.json").write_text("import os")
    assert control.pause(path).startswith("paused with 2 unfinished trials")
    code, out, err = driver.end()
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == f"  help: tunedsl resume {path}" and "Traceback" not in err
    assert not has_driver(path / "journal.jsonl") and not (path / "requests" / "evil.json").exists()
    assert load(path).state.startswith("interrupted: paused: requested by ")

    (tmp_path / "enough").touch()
    command = [sys.executable, "-m", "tunedsl", "resume", str(path), "--quiet"]
    resumed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert resumed.returncode == 0, resumed.stderr
    results = load(path)
    assert results.finished and replay(path)
    assert {trial.id: trial.status for trial in results.trials} == {
        "00000": "stopped",
        "00001": "completed",
        "00002": "completed",
        "added-00000": "completed",
    }
    first, *others = ["a user requested it" in results.why(trial.id) for trial in results.trials]
    assert first and not any(others)
    ids = [trial.id for trial in results.trials if trial.config == {"x": 0.125}]
    assert ids == ["added-00000"]


@pytest.mark.slow
def test_ctrl_c_in_a_script_ends_it_with_130_and_says_how_to_go_on(tmp_path, drivers):
    driver = Driver(tmp_path)
    drivers.append(driver)
    path = driver.path(b'["reported",')
    driver.process.send_signal(signal.SIGINT)
    code, _, err = driver.end()
    assert code == 130
    assert err.splitlines()[-1] == f"  help: tunedsl resume {path}"
    assert "Traceback" not in err
    assert Journal(path).digest == replay(path).digest


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once_what_does_not_report(tmp_path, drivers):
    (tmp_path / "silent").touch()
    driver = Driver(tmp_path)
    drivers.append(driver)
    path = driver.path(b'["proposed",')
    while not (tmp_path / "trains").exists():
        time.sleep(0.01)
    driver.process.send_signal(signal.SIGINT)
    assert driver.process.stderr is not None
    said = next(line for line in driver.process.stderr if line.strip())
    assert "press Ctrl+C again to end at once" in said, "a first one waits for the next report"
    driver.process.send_signal(signal.SIGINT)
    code, _, err = driver.end()
    assert code == 130 and err.splitlines()[-1].startswith("  help: ")
    assert replay(path) and not has_driver(path / "journal.jsonl")

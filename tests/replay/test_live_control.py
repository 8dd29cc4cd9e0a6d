"""A real driver in a process of its own: asked from outside, held against a second one, interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunedsl import control, load, replay, resume
from tunedsl.base.errors import JournalError
from tunedsl.journal import Journal, is_held

SCRIPT = """
import time
from tunedsl import report, space, uniform

def train(config):
    for step in range(1, {steps} + 1):
        time.sleep({pause})
        report(loss=config["x"] + 1 / step)

experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(3).parallel(2).seed(0).store({store!r})

if __name__ == "__main__":
    experiment.run(engine="inline", quiet=True)
"""


class Driver:
    """A script that runs, and the folder of its experiment."""

    def __init__(self, folder: Path, steps: int, pause: float) -> None:
        self.script = folder / "controlled.py"
        self.script.write_text(SCRIPT.format(steps=steps, pause=pause, store=str(folder / "runs")))
        self.process = subprocess.Popen(
            [sys.executable, str(self.script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._folder = folder

    def path(self, text: bytes) -> Path:
        """The experiment's folder, once `text` is in its journal."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            for file in self._folder.glob("runs/*/journal.jsonl"):
                if text in file.read_bytes():
                    return file.parent
            time.sleep(0.02)
        raise AssertionError(self.process.communicate())

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=30)
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
    driver = Driver(tmp_path, steps=60, pause=0.01)
    drivers.append(driver)
    path = driver.path(b'["reported",')
    with pytest.raises(JournalError, match=rf"another driver .*: process {driver.process.pid} on "):
        resume(path, engine="inline", quiet=True)
    assert load(path).state == "running"

    assert control.add(path, {"x": 0.125}).startswith("trial added-00000 is added")
    assert control.stop(path, 0).startswith("trial 00000 is stopped after iteration ")
    assert control.stop(path, 0).startswith("trial 00000 is over already")
    with pytest.raises(control.Refused, match="no trial 'nobody'"):
        control.stop(path, "nobody")
    (path / "requests" / "evil.json").write_text("import os")
    assert control.pause(path).startswith("paused with 2 trials under way")
    code, out, err = driver.end()
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == f"paused; to go on: tunedsl resume {path}" and "Traceback" not in err
    assert not is_held(path / "journal.jsonl") and not (path / "requests" / "evil.json").exists()
    assert load(path).state.startswith("interrupted: paused: asked for by ")

    command = [sys.executable, "-m", "tunedsl", "resume", str(path), "--quiet"]
    resumed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert resumed.returncode == 0, resumed.stderr
    results = load(path)
    assert results.finished and replay(path)
    assert {trial.id: trial.iterations == 60 for trial in results.trials} == {
        "00000": False, "00001": True, "00002": True, "added-00000": True
    }  # fmt: skip
    ids = [trial.id for trial in results.trials if trial.config == {"x": 0.125}]
    assert ids == ["added-00000"]


@pytest.mark.slow
def test_ctrl_c_in_a_script_ends_it_with_130_and_says_how_to_go_on(tmp_path, drivers):
    driver = Driver(tmp_path, steps=200, pause=0.02)
    drivers.append(driver)
    path = driver.path(b'["reported",')
    driver.process.send_signal(signal.SIGINT)
    code, _, err = driver.end()
    assert code == 130
    assert err.splitlines()[-1] == f"interrupted; to go on: tunedsl resume {path}"
    assert "Traceback" not in err
    assert Journal(path).digest == replay(path).digest


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once_what_does_not_report(tmp_path, drivers):
    driver = Driver(tmp_path, steps=1, pause=60)
    drivers.append(driver)
    path = driver.path(b'["proposed",')
    time.sleep(0.5)  # the trial has its turn now, and keeps it
    driver.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert driver.process.poll() is None, "a first one waits for the next report"
    began = time.monotonic()
    driver.process.send_signal(signal.SIGINT)
    code, _, err = driver.end()
    assert code == 130 and time.monotonic() - began < 30, "its step takes a minute"
    assert "once more to end at once" in err and err.splitlines()[-1].startswith("interrupted; to go on: ")
    assert replay(path) and not is_held(path / "journal.jsonl")

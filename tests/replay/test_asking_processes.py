"""Processes that ask one run at once, without a driver of its own, and one of them is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS
from tunedsl import asha, load, replay, space, uniform
from tunedsl.kernel import Failed

ASKER = """
import sys
from pathlib import Path
from tunedsl.journal.requests import RequestRefused, TellRequest
from tunedsl.runs import asking

path, mark = Path(sys.argv[1]), Path(sys.argv[2])
while True:
    trial = asking.ask(path, wait=60).data
    if trial.get("over"):
        break
    mark.touch()
    try:
        for step in range(1, 4):
            told = TellRequest(trial["trial"], {"loss": trial["config"]["x"] + 1 / step}, ends=step == 3)
            if not asking.tell(path, told).data["continue"]:
                break
    except RequestRefused as error:  # its lease has expired
        assert "lease" in str(error) or "already ended" in str(error), error
"""


@pytest.mark.slow
def test_several_processes_ask_one_run_and_one_is_killed(tmp_path):
    path = tmp_path / "run"
    e = space(x=uniform(0, 1)).minimize("loss").scheduler(asha(max_t=3, grace_period=1)).samples(20).retry(lost=-1)
    e.open(path, lease=5.0, quiet=True).close()
    marks = [tmp_path / f"asked-{number}" for number in range(3)]
    askers = [
        subprocess.Popen([sys.executable, "-c", ASKER, str(path), str(mark)], stderr=subprocess.PIPE, text=True)
        for mark in marks
    ]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not marks[0].exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    askers[0].kill()
    for asker in askers:
        _, said = asker.communicate(timeout=PATIENCE_SECONDS)
        assert asker.returncode == (-9 if asker is askers[0] else 0), said
    results = load(path)
    assert results.finished and replay(path)
    assert [trial.number for trial in results.trials] == list(range(20))
    assert {trial.status for trial in results.trials} <= {"completed", "stopped"}
    lost = [event for event in results.journal.events() if isinstance(event, Failed)]
    assert {event.kind for event in lost} <= {"lost"}
    assert not list(Path(path, "requests").glob("*.json")), "every request was answered"


def test_a_process_that_is_killed_with_eight_outstanding(tmp_path):
    path = tmp_path / "run"
    script = (
        "import os, sys\n"
        "from tunedsl import space, uniform\n"
        "e = space(x=uniform(0, 1)).minimize('loss').samples(10).seed(0)\n"
        "study = e.open(sys.argv[1], quiet=True)\n"
        "trials = [study.ask() for _ in range(8)]\n"
        "study.tell(trials[5], loss=5)\n"
        "study.tell(trials[2], loss=2)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], timeout=PATIENCE_SECONDS, check=False)
    assert ended.returncode == -9
    e = space(x=uniform(0, 1)).minimize("loss").samples(10).seed(0)
    with e.open(path, quiet=True) as study:
        assert [trial.number for trial in study.outstanding] == [0, 1, 3, 4, 6, 7]
        for trial in study:
            study.tell(trial, loss=trial.number)
        assert study.finished
    assert [trial.metrics["loss"] for trial in load(path).trials] == list(range(10)) and replay(path)

"""Clusters that start, stop and are missing, each in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS
from tunedsl import load
from tunedsl.journal import Journal
from tunedsl.kernel import Failed

pytestmark = pytest.mark.slow

EXPERIMENT = """
import os, time
from pathlib import Path
from tunedsl import report, space, uniform

HERE = Path({store!r})

def train(config):
    for step in range(4):
        report(loss=config["x"] / (step + 1))
        if step == 1 and (HERE / "hold").exists():
            (HERE / "running").touch()
            time.sleep(600)

def experiment(**more):
    return space(x=uniform(0, 1), **more).trainable(train).minimize("loss").samples(12).seed(0).store(HERE)
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of processes with a Ray of their own; ends the processes that remain."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as short:  # the paths of sockets may not be long
        code = Path(__file__).parents[2]
        (tmp_path / "tuned_here.py").write_text(EXPERIMENT.format(store=str(tmp_path)))
        plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        yield {
            **plain,
            "RAY_TMPDIR": short,
            "RAY_AUTH_MODE": "disabled",
            "PYTHONPATH": f"{code}{os.pathsep}{tmp_path}",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        end(short)


def of_ray(folder: str) -> list[int]:
    """The processes of the clusters that have their files in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if f"{folder}/ray".encode() in words:
            found.append(int(entry.name))
    return found


def end(folder: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (processes := of_ray(folder)) and time.monotonic() < deadline:
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def head(env: dict[str, str]) -> str:
    """Starts a cluster as a user does; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["ray", "start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    subprocess.run(
        [*words, "--disable-usage-stats"], env=env, check=True, capture_output=True, timeout=PATIENCE_SECONDS
    )
    return (Path(env["RAY_TMPDIR"]) / "ray" / "ray_current_cluster").read_text().strip()


def python(env: dict[str, str], code: str) -> subprocess.Popen[str]:
    lines = f"from tuned_here import experiment\n{code}"
    words = [sys.executable, "-c", lines]
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_cluster_that_is_gone_pauses_the_run_and_its_leftover_is_no_cluster(own, tmp_path):
    address = head(own)
    (tmp_path / "hold").touch()
    run = python(own, "experiment().run()")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (tmp_path / "running").exists():
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.05)
    end(own["RAY_TMPDIR"])
    _, told = run.communicate(timeout=PATIENCE_SECONDS)
    (path,) = tmp_path.glob("train-*")
    assert f"joining the Ray cluster at {address}" in told and "2 workers, each of which needs CPU=1" in told
    assert "has not answered" in told or "on this machine, which connects it to" in told
    assert "paused.\n  help: " in told and str(path) in told
    assert "Traceback" not in told and "RaySystemError" not in told
    failed = [event for event in Journal(path).events() if isinstance(event, Failed)]
    assert len(failed) <= 2, "only what ran can be lost"

    (tmp_path / "hold").unlink()
    again = python(own, f"experiment().resume({str(path)!r})")
    _, told = again.communicate(timeout=PATIENCE_SECONDS)
    assert again.returncode == 0, told
    assert f"nothing answers at {address}" in told and "starting Ray on this machine" in told
    assert [t.status for t in load(path).trials] == ["completed"] * 12


def test_runs_in_threads_share_one_ray(own):
    code = """
from concurrent.futures import ThreadPoolExecutor
def run(number):
    order = "logical" if number % 2 else "arrival"
    return experiment(run=number).order(order).parallel(2).run(quiet=True)
with ThreadPoolExecutor(4) as threads:
    done = list(threads.map(run, range(4)))
print([sum(t.status == "completed" for t in results.trials) for results in done])
"""
    run = python(own, code)
    said, told = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0, told
    assert json.loads(said) == [12] * 4


def test_shares_of_devices_are_counted_as_ray_places_them(own):
    code = """
import logging, ray
from tunedsl.base.errors import ResourceError
from tunedsl.kernel import CapacityChanged
ray.init(num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
shared = experiment().resources(cpu=0.5, gpu=0.6)
results = shared.run(quiet=True, address="auto")
print([event.width for event in results.journal.events() if isinstance(event, CapacityChanged)])
in_order = shared.parallel(2).order("logical").run(quiet=True, address="auto")
print([sum(t.status == "completed" for t in in_order.trials)])
try:
    shared.parallel(3).order("logical").run(quiet=True, address="auto")
except ResourceError as error:
    print([str(error)])
uneven = experiment().resources(lambda config: {"cpu": 0.5, "gpu": 0.6 if config["x"] < 2 else 0.5})
try:
    uneven.parallel(3).order("logical").run(quiet=True, address="auto")
except ResourceError as error:
    print([str(error)])
"""
    run = python(own, code)
    said, told = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0, told
    width, logical, fixed, uneven = said.splitlines()
    assert (width, logical) == ("[2]", "[12]")
    assert "exceeds the 2 trials" in fixed and "no room for 3 x CPU=0.5, GPU=0.6" in uneven

"""The local engine: starting, ending and killing its processes, and the devices that they see."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.experiments import searching
from tests.replay.killing import acknowledged, check, folder_of, is_worker, kill_until_done, wait_for_progress
from tests.victim import VICTIMS
from tunedsl import load, replay, report, space, trial, uniform
from tunedsl.backends import LocalEngine
from tunedsl.backends.local import backend
from tunedsl.backends.local import machine as machines
from tunedsl.base.errors import ArgumentError, CompileError, ResourceError, TunedslError
from tunedsl.kernel import Failed, Started

PACKAGE = Path(__file__).resolve().parents[2]


def experiment(train, store, samples=4):
    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(samples).seed(0).store(store)
    return e.order("arrival")


def is_alive(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_until(condition) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def workers_of(folder: Path) -> set[int]:
    return {int(event.worker.rpartition("/")[2]) for event in acknowledged(folder) if isinstance(event, Started)}


# Ends of processes


@pytest.mark.parametrize("name", ["asha", "pbt"])
def test_kills_of_driver_and_workers_change_nothing(tmp_path, name):
    counts = kill_until_done(tmp_path, "local", 4, 1, None, name, ["driver", "worker"])
    assert counts["driver"] + counts["worker"] == 4
    assert wait_until(lambda: not any(map(is_worker, workers_of(folder_of(tmp_path)))))


BUSY = """
import ctypes, os, subprocess, sys, time
from pathlib import Path
from tunedsl import report, space, uniform

def train(config):
    child = subprocess.Popen(["sleep", "600"])
    report(loss=1.0)
    Path(sys.argv[1], f"{os.getpid()}.pid").write_text(f"{os.getpid()} {child.pid}")
    if HOLDS:
        ctypes.PyDLL(None).sleep(600)  # holds Python's lock: no other thread of the process runs
    time.sleep(600)

HOLDS = sys.argv[2] == "holds"
e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(1).store(sys.argv[1] + "/runs")
e.run(engine="local", quiet=True)
"""


def run_busy(folder: Path, how: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A driver whose only trial never ends, the trial's process and the child of that."""
    (folder / "busy.py").write_text(BUSY.replace("sys.argv[1]", repr(str(folder))))
    driver = subprocess.Popen(
        [sys.executable, str(folder / "busy.py"), str(folder), how],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_until(lambda: any(file.read_text() for file in folder.glob("*.pid")))
    (file,) = folder.glob("*.pid")
    return driver, [int(pid) for pid in file.read_text().split()]


@pytest.mark.parametrize("how", ["sleeps", "holds"])
def test_a_killed_driver_leaves_no_process(tmp_path, how):
    (tmp_path / "busy.py").touch()
    driver, pids = run_busy(tmp_path, how)
    assert all(map(is_alive, pids))
    driver.kill()
    driver.communicate()
    assert wait_until(lambda: not any(map(is_alive, pids)))


def test_ctrl_c_reaches_the_driver_alone_and_ends_all(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.victim", "pbt", str(tmp_path), "local"],
        cwd=PACKAGE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for_progress(tmp_path, 12, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    folder = folder_of(tmp_path)
    assert process.returncode == 130 and said.splitlines()[-1].endswith(f"tunedsl resume {folder}"), said
    assert "Traceback" not in said
    assert workers_of(folder) and not any(map(is_worker, workers_of(folder)))
    assert not any(isinstance(event, Failed) for event in acknowledged(folder))
    VICTIMS["pbt"](tmp_path).resume(engine="inline", quiet=True)
    check(folder, "pbt", tmp_path)


def test_what_a_lost_worker_has_started_ends_with_it(tmp_path):
    def train(config):
        if trial().attempt == 0:
            child = subprocess.Popen(["sleep", "600"])
            report(loss=1.0, child=child.pid)
            os.kill(os.getpid(), signal.SIGKILL)
        report(loss=0.5, child=0)

    results = experiment(train, tmp_path, samples=1).retry(lost=1).run("local", quiet=True)
    (failed,) = [event for event in results.journal.events() if isinstance(event, Failed)]
    assert failed.kind == "lost" and "was killed by SIGKILL" in failed.message
    child = int(results.trials[0].curve["child"].iloc[0])
    assert wait_until(lambda: not is_alive(child))


def test_a_crash_in_c_code_says_where(tmp_path):
    def train(config):
        ctypes.string_at(0)

    results = experiment(train, tmp_path, samples=1).retry(0).run("local", quiet=True)
    (error,) = results.errors
    assert error.kind == "lost" and "SIGSEGV" in error.message
    assert "Fatal Python error" in error.traceback and "in train" in error.traceback


def test_an_exit_is_told_with_its_code(tmp_path):
    def train(config):
        os._exit(3)

    results = experiment(train, tmp_path, samples=1).retry(0).run("local", quiet=True)
    assert "exited with code 3" in results.errors[0].message


def test_a_kill_that_the_kernel_counts_is_out_of_memory(tmp_path, monkeypatch):
    """The count that grows is replaced: the worker is killed as by the kernel, and the machine stays well."""
    from tunedsl.backends.local import pooled_process

    kills = iter(range(100))
    monkeypatch.setattr(pooled_process, "count_oom_kills", lambda: next(kills))

    def train(config):
        os.kill(os.getpid(), signal.SIGKILL)

    results = experiment(train, tmp_path, samples=1).retry(0).run("local", quiet=True)
    assert results.errors[0].kind == "oom"


# Starting


SCRIPT = """
import os, threading, time
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
from tunedsl import report, space, uniform

with open({log!r}, "a") as log:
    log.write("ran\\n")
factor = 2.0

def scaled(x):
    return factor * x

train = lambda config: report(loss=scaled(config["x"]), cwd=os.getcwd(), main=__name__)
results = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(6).seed(0).store({store!r}).run("local")
assert not results.errors, results.errors
"""


def test_a_script_without_a_guard_runs_once(tmp_path):
    file, log = tmp_path / "script.py", tmp_path / "log"
    file.write_text(SCRIPT.format(log=str(log), store=str(tmp_path / "runs")))
    done = subprocess.run(
        [sys.executable, str(file)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert log.read_text() == "ran\n"
    (folder,) = (tmp_path / "runs").iterdir()
    results = load(folder)
    assert results.finished and {t.metrics["cwd"] for t in results.trials} == {str(tmp_path)}


def test_workers_find_what_the_driver_finds(tmp_path, monkeypatch):
    (tmp_path / "scratch_local.py").write_text("class Late:\n    value = 4\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from scratch_local import Late

    def train(config, late):
        import scratch_local

        report(loss=late.value, same=type(late) is scratch_local.Late, first=sys.path[0])

    results = experiment(train, tmp_path / "runs", samples=1).data(late=Late()).run("local", quiet=True)
    assert not results.errors, results.errors
    metrics = results.best.metrics
    assert (metrics["loss"], metrics["same"], metrics["first"]) == (4, True, str(tmp_path))


def test_workers_that_cannot_start_say_why(tmp_path):
    class Breaks:
        def __reduce__(self):
            return int, ("no number",)

    with pytest.raises(TunedslError, match=r"(?s)The workers cannot start:.*invalid literal for int.*no number"):
        experiment(lambda config, it: {"loss": 1.0}, tmp_path).data(it=Breaks()).run("local", quiet=True)


def test_runs_in_threads_share_the_machine(tmp_path, monkeypatch):
    """Each of them needs all four CPUs, so the second one waits."""
    busy, most, lock = [0], [0], threading.Lock()

    class Counting(machines.Machine):
        def take(self, resources):
            grant = super().take(resources)
            with lock:
                busy[0] += grant is not None
                most[0] = max(most[0], busy[0])
            return grant

        def give_back(self, grant):
            with lock:
                busy[0] -= 1
            super().give_back(grant)

    machine, found = Counting(4, 2**40), []
    monkeypatch.setattr(backend, "this_machine", lambda cpus: machine)

    def run(number):
        e = searching(tmp_path / str(number)).parallel(4).order("logical")
        found.append(e.run("local", quiet=True))

    runs = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join(PATIENCE_SECONDS)
    assert len(found) == 2 and found[0].journal.digest == found[1].journal.digest
    assert most[0] == 4 and busy[0] == 0


# Resources


def seen(config):
    report(
        loss=config["x"],
        gpus=os.environ["CUDA_VISIBLE_DEVICES"],
        threads=os.environ["OMP_NUM_THREADS"],
        group=f"{os.getpid()}",
    )
    time.sleep(0.2)


def test_each_trial_sees_its_devices_only(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    base = experiment(seen, tmp_path, samples=8)
    whole = base.resources(cpu=0, gpu=1).run("local", quiet=True)
    assert {t.metrics["gpus"] for t in whole.trials} == {"4", "7"} and whole.trials[0].metrics["threads"] == "1"
    both = base.resources(cpu=2, gpu=2).run(LocalEngine(cpus=2), quiet=True)
    assert {(t.metrics["gpus"], t.metrics["threads"]) for t in both.trials} == {("4,7", "2")}
    shares = base.resources(cpu=0, gpu=0.5).run("local", quiet=True)
    by_worker = {t.metrics["group"]: t.metrics["gpus"] for t in shares.trials}
    assert sorted(by_worker.values()) == ["4", "4", "7", "7"], "each device is full before the next one is used"
    none = base.run("local", quiet=True)
    assert {t.metrics["gpus"] for t in none.trials} == {""}


def test_trials_with_different_resources_take_turns(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    e = experiment(seen, tmp_path, samples=10).resources(lambda config: {"cpu": 1, "gpu": int(config["x"] < 0.5)})
    results = e.run(LocalEngine(cpus=2), quiet=True)
    assert {t.status for t in results.trials} == {"completed"}
    assert all(t.metrics["gpus"] == ("0" if t.config["x"] < 0.5 else "") for t in results.trials)


def test_what_this_machine_lacks_is_refused_by_check(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    base = experiment(seen, tmp_path)
    assert not base.resources(gpu=1).check("local")
    refused = {
        "resources.gpu": base.resources(gpu=2),
        "resources.tpu": base.resources(custom={"tpu": 1}),
        "resources.cpu": base.resources(cpu=4096),
        "resources.bundles": base.resources(bundles=[{"cpu": 1}] * 2, strategy="STRICT_SPREAD"),
    }
    for subject, wrong in refused.items():
        (found,) = wrong.check("local")
        assert (found.code, found.subject) == ("E060", subject)
        with pytest.raises(CompileError):
            wrong.run("local", quiet=True)


def test_too_many_trials_in_logical_order_are_refused(tmp_path):
    with pytest.raises(ResourceError, match="this machine has room for 4"):
        experiment(seen, tmp_path).parallel(8).order("logical").run(LocalEngine(cpus=4), quiet=True)


def test_a_run_is_resumed_on_its_engine(tmp_path):
    e = searching(tmp_path).parallel(2)
    results = e.budget(trials=3).run("local", quiet=True)
    opened = [line for line in (results.path / "journal.jsonl").read_text().splitlines() if '"opened"' in line]
    assert '"engine":"local"' in opened[0].replace(" ", "")
    again = e.resume(results.path, quiet=True, amend=True)
    text = (results.path / "journal.jsonl").read_text()
    assert again.finished and text.count('"engine":"local"') == 2, json.dumps(opened)
    assert replay(again.path).digest == again.journal.digest


def test_an_address_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="address must be None with the engine"):
        searching(tmp_path).run("local", address="auto", quiet=True)

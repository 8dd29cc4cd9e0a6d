"""Resuming an experiment of 10,000 finished trials: time until the first new trial starts, compared with Ray Tune.

    python -m tests.benchmarks.resuming

Both resume on Ray in a new process, in which Ray runs and everything is imported. Measured is the time from
the call that restores to the first line of a new trial's own code. Here 10,000 trials are really run, and the driver is
killed. Ray Tune would need twenty minutes for that: there some are run, the driver is killed, and the newest state that
it has written gets copies of finished trials, each by its own id, as it would have written them.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import show
from tunedsl.driver.driver import Listener

FINISHED = 10_000
MARK = "TUNEDSL_BENCHMARK_MARK"


def train(config: dict[str, Any]) -> dict[str, float]:
    mark = os.environ.get(MARK, "")
    if mark and not os.path.exists(mark):
        Path(mark).write_text(repr(time.time()))
    return {"loss": config["x"]}


def start_ray(mark: str = "") -> None:
    import ray

    environment = {MARK: mark, "PYTHONPATH": os.pathsep.join(sys.path)}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": environment},
    )


# tunedsl


def ours(store: str) -> Any:
    from tunedsl import space, uniform

    experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2 * FINISHED)
    return experiment.parallel(2).seed(0).store(store)


class Die(Listener):
    """Kills the driver once the given number of trials has ended and is in the journal."""

    def on_event(self, event: Any, commands: Any, state: Any) -> None: ...
    def close(self, state: Any) -> None: ...

    def on_wait(self, state: Any) -> None:
        if state.ended >= FINISHED:
            os.kill(os.getpid(), signal.SIGKILL)


def begin_ours(store: str) -> None:
    start_ray()
    ours(store).run(listeners=[Die()], quiet=True)


def restore_ours(store: str, mark: str) -> None:
    import tunedsl.backends.ray  # noqa: F401  # as Ray Tune's are

    start_ray(mark)
    experiment = ours(store)
    print(repr(time.time()), flush=True)
    experiment.resume(quiet=True, listeners=[Leave(mark)])


class Leave(Die):
    """Ends the process once a new trial has begun."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def on_wait(self, state: Any) -> None:
        if os.path.exists(self.mark):
            os._exit(0)


# Ray Tune


def begin_theirs(store: str) -> None:
    from ray import tune

    start_ray()
    config = tune.TuneConfig(num_samples=2 * FINISHED, metric="loss", mode="min", max_concurrent_trials=2)
    run = tune.RunConfig(name="theirs", storage_path=store, verbose=0)
    tune.Tuner(train, param_space={"x": tune.uniform(0, 1)}, tune_config=config, run_config=run).fit()


def restore_theirs(store: str, mark: str) -> None:
    from ray import tune

    start_ray(mark)
    print(repr(time.time()), flush=True)
    tune.Tuner.restore(f"{store}/theirs", train).fit()


def fill(folder: Path) -> int:
    """Adds copies of finished trials to the newest state; returns the number of its trials."""
    newest = max(folder.glob("experiment_state-*.json"))
    state = json.loads(newest.read_text())
    found = [(json.loads(trial), json.loads(metadata)) for trial, metadata in state["trial_data"]]
    finished = [pair for pair in found if pair[0]["status"] == "TERMINATED"]
    for number in range(FINISHED - len(finished)):
        trial, metadata = copy.deepcopy(finished[number % len(finished)])
        old, new = trial["trial_id"], f"c0ffe_{number:05d}"
        trial = json.loads(json.dumps(trial).replace(old, new))
        found.append((trial, json.loads(json.dumps(metadata).replace(old, new))))
    state["trial_data"] = [[json.dumps(trial), json.dumps(metadata)] for trial, metadata in found]
    newest.write_text(json.dumps(state))
    return len(found)


# Both


def call(role: str, *words: str, wait: float = 600.0) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "TUNE_GLOBAL_CHECKPOINT_S": "1",
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    }
    command = [sys.executable, "-m", "tests.benchmarks.resuming", role, *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True
    )


def end(process: subprocess.Popen[str]) -> None:
    """Kills the process and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until_first_trial(role: str, store: str) -> float:
    mark = f"{store}/mark-{role}"
    process = call(role, store, mark)
    try:
        assert process.stdout is not None
        began = float(process.stdout.readline())
        deadline = time.time() + 300
        while not os.path.exists(mark) and time.time() < deadline:
            time.sleep(0.005)
        return float(Path(mark).read_text()) - began
    finally:
        end(process)


def main() -> None:
    with tempfile.TemporaryDirectory() as store:
        process = call("begin_ours", store)
        process.wait(300)
        end(process)
        from tunedsl import load

        (folder,) = [path.parent for path in Path(store).glob("*/journal.jsonl")]
        over = sum(trial.status == "completed" for trial in load(folder).trials)
        mine = until_first_trial("restore_ours", store)
    with tempfile.TemporaryDirectory() as store:
        process = call("begin_theirs", store)
        deadline = time.time() + 240
        while time.time() < deadline:
            states = list(Path(store).glob("theirs/experiment_state-*.json"))
            if states and max(states).read_text().count("TERMINATED") >= 8:
                break
            time.sleep(0.5)
        end(process)
        count = fill(Path(store) / "theirs")
        theirs = until_first_trial("restore_theirs", store)
    show(f"tunedsl, {over:,} finished, first new trial", f"{mine:.2f} s")
    show(f"Ray Tune, {count:,} trials in its state", f"{theirs:.2f} s")
    show("ratio", f"{theirs / mine:.1f} x")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        globals()[sys.argv[1]](*sys.argv[2:])
    else:
        main()

"""A trainer of Ray Train as a trial: reports, stops, pauses, failures and resumes reach it."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from ray.exceptions import OutOfMemoryError

from tunedsl import asha, grid, space, trial

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow, pytest.mark.timeout(300)]

LAST = 5


def loop(config):
    """Count up from the checkpoint; the loss of rank 0 is the trial's."""
    import ray.train

    checkpoint, first, rank = ray.train.get_checkpoint(), 1, ray.train.get_context().get_world_rank()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            first = int(Path(folder, "epoch").read_text()) + 1
    for epoch in range(first, LAST + 1):
        fail_once(config, epoch, rank)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "epoch").write_text(str(epoch))
            saved = ray.train.Checkpoint.from_directory(folder) if rank == 0 else None
            ray.train.report({"loss": config["lr"] + (1 + rank) / epoch, "first": first}, checkpoint=saved)


def fail_once(config, epoch, rank):
    """In the better trial, kill rank 1 late; in the worse one, kill the trial's own worker before the first report."""
    late, victim = (LAST, os.getpid()) if config["lr"] < 0.05 else (1, config["worker"])
    done = Path(config["folder"], "killed")
    if rank == 1 and epoch == late and not done.exists():
        done.touch()
        os.kill(victim, signal.SIGKILL)
        time.sleep(300)


def train(config):
    from ray.train import ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    from tunedsl.integrations.ray_train import fit

    os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.1"  # how often Ray Train looks for reports
    settings = {**config, "folder": str(trial().path), "worker": os.getpid()}
    fit(
        DataParallelTrainer(loop, train_loop_config=settings, scaling_config=ScalingConfig(num_workers=2)),
        ["loss", "first"],
    )


def check_all_cpus_become_free():
    """The trainer's workers end in parallel with the run."""
    import ray

    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU", 0) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def experiment(tmp_path):
    begun = space(lr=grid([0.01, 0.1])).trainable(train).minimize("loss").seed(0)
    return begun.resources(cpu=0).parallel(1).store(str(tmp_path))


def test_workers_of_a_trainer_report_stop_fail_and_resume_with_the_trial(tmp_path):
    policy = asha(max_t=LAST, reduction_factor=2)
    results = experiment(tmp_path).scheduler(policy).checkpoint(every=2).retry(lost=1).run(quiet=True)
    assert not results.errors
    assert [each.status for each in results.trials] == ["completed", "stopped"]
    curve = results.best.curve
    assert list(curve["loss"]) == pytest.approx([0.01 + 1 / epoch for epoch in range(1, LAST + 1)])
    assert curve["first"].iloc[0] == 1 and curve["first"].iloc[-1] in (3, 5)
    assert "a worker of the trainer died" in str(results.why(0)) and "lost" in str(results.why(1))
    check_all_cpus_become_free()


def test_the_exception_of_a_worker_is_the_trials():
    from ray.train import WorkerGroupError

    from tunedsl.backends.ray.train import failure_of_trainer

    error = WorkerGroupError("", {0: RuntimeError("connection closed"), 1: OutOfMemoryError("full")})
    assert failure_of_trainer(error).kind == "oom"
    failure = failure_of_trainer(WorkerGroupError("", {1: ArithmeticError("rank 1 cannot divide")}))
    assert (failure.kind, failure.message) == ("crash", "ArithmeticError: rank 1 cannot divide")
    assert failure_of_trainer(ValueError("not a failure of a worker")) is None


def test_a_trial_with_cpus_of_its_own_is_refused(tmp_path):
    (error,) = experiment(tmp_path).fix(lr=0.01).resources(cpu=1).run(quiet=True).errors
    assert error.kind == "bad_report" and "help: .resources(cpu=0)" in error.message

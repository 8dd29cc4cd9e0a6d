"""Distributed trials of PyTorch: several processes in one trial, which report, stop, fail and resume together."""

import os
import signal

import pytest

from tunedsl import ArgumentError, asha, loguniform, report, space, trial

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def distributed(*args, **options):
    from tunedsl.integrations.torch import distributed as make

    return make(*args, **options)


def average(value: float) -> float:
    total = torch.tensor([value])
    torch.distributed.all_reduce(total)
    return float(total) / torch.distributed.get_world_size()


def train(config, offset=0.0):
    rank = torch.distributed.get_rank()
    assert (os.environ["RANK"], os.environ["WORLD_SIZE"]) == (str(rank), "2")
    for epoch in range(1, 5):
        report(loss=average(rank + offset) / epoch + config["lr"], rank=rank)


def crash(config):
    average(1.0)
    if torch.distributed.get_rank() == 1:
        raise ArithmeticError("rank 1 cannot divide")
    average(1.0)


def die(config):
    average(1.0)
    if torch.distributed.get_rank() == 1 and trial().attempt == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    report(loss=average(1.0))


def fail_alone(config):
    if torch.distributed.get_rank() == 0:
        raise LookupError("rank 0 finds nothing")
    average(1.0)


def save_and_crash(config):
    at = trial().checkpoint / "at" if trial().checkpoint else None
    start = int(at.read_text()) if at else 0
    for epoch in range(start + 1, 6):
        assert average(start) == start  # all ranks begin at the same place
        report(loss=1.0 / epoch, checkpoint=lambda folder, epoch=epoch: (folder / "at").write_text(str(epoch)))
        if epoch == 3 and trial().attempt == 0:
            raise RuntimeError("lost power")


def run(function, tmp_path, **options):
    experiment = space(lr=loguniform(1e-3, 1e-1)).trainable(distributed(function, workers=2)).minimize("loss")
    for name, value in {"samples": 1, "seed": 0, "store": str(tmp_path), **options}.items():
        experiment = getattr(experiment, name)(value)
    return experiment


def test_an_unknown_backend_is_refused_where_it_is_written():
    with pytest.raises(ArgumentError, match="did you mean 'nccl'"):
        distributed(print, backend="ncl")
    for backend in ("gloo", "NCCL", "cpu:gloo,cuda:nccl"):
        assert callable(distributed(print, backend=backend))


def test_rank_0_reports_for_all(tmp_path):
    results = run(train, tmp_path).data(offset=0.5).run("inline", quiet=True)
    assert not results.errors
    curve = results.trials[0].curve
    assert list(curve["rank"]) == [0] * 4
    assert list(curve["loss"] - results.trials[0].config["lr"]) == pytest.approx([1.0, 0.5, 1 / 3, 0.25])
    assert "RANK" not in os.environ


def test_all_ranks_stop_with_the_trial(tmp_path):
    results = run(train, tmp_path, samples=4, scheduler=asha(max_t=4, reduction_factor=2)).run("inline", quiet=True)
    assert not results.errors
    assert {each.status for each in results.trials} == {"completed", "stopped"}


def test_the_error_of_a_rank_is_the_trials(tmp_path):
    (error,) = run(crash, tmp_path).run("inline", quiet=True).errors
    assert error.kind == "crash" and error.message == "ArithmeticError: rank 1 cannot divide"
    assert "average(1.0)" not in error.message and 'raise ArithmeticError("rank 1 cannot divide")' in error.traceback


def test_an_error_of_rank_0_is_its_own(tmp_path):
    (error,) = run(fail_alone, tmp_path).run("inline", quiet=True).errors
    assert error.message == "LookupError: rank 0 finds nothing"


def test_a_dead_rank_is_lost_and_retried(tmp_path):
    results = run(die, tmp_path).run("inline", quiet=True)
    assert not results.errors and results.best.metrics["loss"] == 1.0
    assert "lost" in str(results.why(0)) and "SIGKILL" in str(results.why(0))


def test_all_ranks_resume_from_the_trials_checkpoint(tmp_path):
    results = run(save_and_crash, tmp_path).checkpoint(every=1).retry(1).run("inline", quiet=True)
    assert not results.errors and results.trials[0].iterations == 5

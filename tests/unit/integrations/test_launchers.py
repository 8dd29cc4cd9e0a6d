"""Programs of several processes that a launcher starts: `torchrun` as a `command(...)`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tunedsl import asha, command, grid, space

pytest.importorskip("torch")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROGRAM = """
import os, sys
import torch

torch.distributed.init_process_group("gloo")
rank, state = torch.distributed.get_rank(), os.path.join(os.environ["TUNEDSL_CHECKPOINT"], "state")
open(os.path.join(os.environ["TUNEDSL_FOLDER"], f"pid-{os.getpid()}"), "w").close()
first = int(open(state).read()) + 1 if os.path.exists(state) else 1
for epoch in range(first, 5):
    total = torch.tensor([float(rank + 1)])
    torch.distributed.all_reduce(total)
    if rank == 0:
        with open(f"{state}.new", "w") as file:
            file.write(str(epoch))
        os.replace(f"{state}.new", state)
        print(f"epoch={epoch} loss={float(sys.argv[1]) + total.item() / epoch} first={first}", flush=True)
    if epoch == 3 and rank == 1 and first == 1 and float(sys.argv[1]) < 0.1:
        os._exit(3)
torch.distributed.destroy_process_group()
"""


def test_torchrun_reports_stops_fails_and_resumes_with_the_trial(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    experiment = (
        space(lr=grid([0.01, 0.5]))
        .trainable(command([*launcher, str(tmp_path / "program.py"), "{lr}"], iteration="epoch"))
        .minimize("loss")
        .scheduler(asha(max_t=4, reduction_factor=2))
        .checkpoint(every=1)
        .retry(crash=1)
        .parallel(1)
        .seed(0)
        .store(str(tmp_path / "runs"))
    )
    results = experiment.run("inline", quiet=True)
    assert not results.errors
    assert [each.status for each in results.trials] == ["completed", "stopped"]
    curve = results.trials[0].curve
    assert curve["loss"].iloc[0] == pytest.approx(3.01) and curve["loss"].iloc[-1] == pytest.approx(0.76)
    assert curve["first"].iloc[0] == 1 and curve["first"].iloc[-1] > 1
    assert "launched again from the checkpoint" in str(results.why(0))
    assert "exited with code" in str(results.why(0))
    check_processes_end(results.path)


def check_processes_end(run: Path) -> None:
    """Every rank of every attempt has ended, or ends soon."""
    ranks = {path.name.partition("-")[2] for path in run.rglob("pid-*")}
    assert len(ranks) >= 4
    deadline = time.monotonic() + 30
    while any(Path("/proc", pid).exists() for pid in ranks):
        assert time.monotonic() < deadline
        time.sleep(0.1)

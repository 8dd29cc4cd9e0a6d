"""Programs as trials on Ray: the same decisions as inline, and no process is left when a worker dies."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from tests.programs import FAMILY, c_program, is_alive, pids, tuned, wait_until_gone
from tunedsl import command, grid, space
from tunedsl.driver.driver import Listener
from tunedsl.kernel import Started


def test_a_program_is_tuned_alike_on_ray_and_inline(cluster: None, tmp_path: Path) -> None:
    program = c_program(tmp_path)
    inline = tuned(program, tmp_path / "inline").run(engine="inline", quiet=True)
    on_ray = tuned(program, tmp_path / "ray").run(engine="ray", quiet=True)
    assert not on_ray.errors
    assert on_ray.journal.digest == inline.journal.digest
    stopped = next(trial for trial in on_ray.trials if trial.status == "stopped")
    assert "loss=" in (Path(stopped.path) / "stdout.log").read_text()


class KillFirstWorker(Listener):
    """Kills the worker of the first attempt with SIGKILL once its program has started all processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.killed = False

    def on_event(self, event: object, commands: object, state: object) -> None:
        if isinstance(event, Started) and not self.killed:
            self.killed = True
            threading.Thread(target=self._kill, args=(int(event.worker.rpartition("/")[2]),)).start()

    def _kill(self, worker: int) -> None:
        while len(pids(self.folder)) < 6:
            pass
        os.kill(worker, signal.SIGKILL)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_killed_worker_leaves_no_process_and_its_trial_runs_again(cluster: None, tmp_path: Path) -> None:
    again = f"if [ -e pids ]; then echo loss=0; exit; fi\n{FAMILY}"
    script = again.replace("{", "{{").replace("}", "}}")
    program = command(["sh", "-c", script, "{x}"], cwd="{folder}", grace=0.3)
    experiment = space(x=grid([1])).trainable(program).minimize("loss").seed(0).store(tmp_path).retry(lost=1)
    results = experiment.run(quiet=True, listeners=(KillFirstWorker(tmp_path),))
    assert results.best.metrics["loss"] == 0
    assert wait_until_gone(pids(tmp_path)) == []
    assert not any(map(is_alive, pids(tmp_path)))

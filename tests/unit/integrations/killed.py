"""A driver to kill: trains with a framework's callback, and kills one of its workers and this driver.

python -m tests.unit.integrations.killed FRAMEWORK STORE ENGINE [ADDRESS]
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, Final
from unittest import mock

from tests.unit.integrations.frameworks import FRAMEWORKS, ITERATIONS, ROWS, Framework
from tunedsl import asha, loguniform, pbt, space
from tunedsl.backends import LocalEngine
from tunedsl.experiment import Experiment
from tunedsl.worker.session import Session

CALM: Final = "calm"
"""The folder of runs in which nothing is killed."""
DRIVER: Final = (1, 6)
WORKER: Final = (0, 8)
"""The trial and iteration before whose report the process is killed."""


def disturbed(config: dict[str, Any], framework: str, store: str, **data: Any) -> None:
    """Train; before two of the reports, kill a process, if that was not done before."""
    receive = Session.report

    def report(self: Session, *args: Any, **more: Any) -> None:
        at = (self.number, self._reports.iteration + 1)
        if Path(store).name != CALM and (at == DRIVER or (at == WORKER and find(framework).is_light)):
            kill_once("driver" if at == DRIVER else "worker", Path(store))
        receive(self, *args, **more)

    with mock.patch.object(Session, "report", report):
        find(framework).train(config, **data)


def kill_once(whom: str, store: Path) -> None:
    done = store / f"killed-{whom}"
    if not done.exists():
        done.touch()
        victim = int((store / "driver").read_text()) if whom == "driver" else os.getpid()
        os.kill(victim, signal.SIGKILL)


def find(name: str) -> Framework:
    return next(each for each in FRAMEWORKS if each.package == name)


def interrupted(name: str, store: Path) -> Experiment:
    """A population where the framework can copy checkpoints, else ASHA; its result does not depend on timing."""
    store.mkdir(exist_ok=True)
    policy = asha(max_t=ITERATIONS, reduction_factor=3)
    if find(name).copies:
        policy = pbt(hyperparam_mutations={"lr": loguniform(1e-3, 0.3)}, perturbation_interval=3)
    return (
        space(lr=loguniform(1e-3, 0.3))
        .trainable(disturbed)
        .data(framework=name, store=str(store), **ROWS)
        .minimize("loss")
        .scheduler(policy)
        .stop(training_iteration=ITERATIONS)
        .samples(4)
        .parallel(1)
        .order("logical")
        .checkpoint(every=2)
        .retry(lost=-1)
        .seed(0)
        .store(str(store))
    )


def main(name: str, store: str, engine: str, address: str | None = None) -> None:
    experiment = interrupted(name, Path(store))
    (Path(store) / "driver").write_text(str(os.getpid()))
    experiment.run(engine=LocalEngine(cpus=1) if engine == "local" else engine, address=address, quiet=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

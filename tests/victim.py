"""A driver for tests to kill: starts an experiment in a folder, or resumes the existing one."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.experiments import searching
from tunedsl import Trainable, hyperband, pbt, report, space, trial, uniform
from tunedsl.backends import LocalEngine
from tunedsl.experiment import Experiment

PAUSE_SECONDS: Final = 0.12
CALM: Final = "calm"
"""The folder of runs that nobody kills: their steps need not take time."""


def take_time() -> None:
    """Sleeps for the random duration of a step."""
    if CALM not in trial().path.parts:
        time.sleep(random.SystemRandom().random() * PAUSE_SECONDS)


def nearing(config: dict[str, Any]) -> None:
    """Nine reports, and no checkpoint."""
    for step in range(1, 10):
        take_time()
        report(loss=(config["x"] - 0.3) ** 2 + 1 / step)


class Walk(Trainable):
    """A random walk whose next step depends on its whole state; it logs each step that it really makes."""

    def setup(self, config: dict[str, Any], **data: Any) -> None:
        self.random, self.x, self.at, self.done = random.Random(0), config["x"], 0.0, 0

    def step(self) -> dict[str, float]:
        take_time()
        self.at += self.random.random() * self.x
        self.done += 1
        self.log()
        return {"loss": self.at}

    def log(self) -> None:
        with (trial().path / "worked").open("a") as log:
            log.write(f"{trial().attempt} {self.done}\n")

    def save(self, folder: Path) -> None:
        (folder / "state").write_text(repr((self.random.getstate(), self.at, self.done)))

    def load(self, folder: Path) -> None:
        state, self.at, self.done = eval((folder / "state").read_text())
        self.random.setstate(state)


def steps_made(folder: Path) -> list[tuple[int, int]]:
    """(attempt, iteration) of each step that a walk has made, as they were made."""
    words = [line.split() for line in (folder / "worked").read_text().splitlines()]
    return [(int(attempt), int(iteration)) for attempt, iteration in words]


def walking(store: str | Path) -> Experiment:
    """Walks, four at a time, in logical order, with unlimited retries after lost workers."""
    begun = space(x=uniform(0, 1)).trainable(Walk).minimize("loss").parallel(4).order("logical")
    return begun.retry(lost=-1).seed(7).store(store)


def asha_victim(store: str | Path) -> Experiment:
    """Twenty-four trials of a function without checkpoints, whose steps take random times."""
    return searching(store, nearing).samples(24).retry(lost=-1)


def random_victim(store: str | Path) -> Experiment:
    """Classes with a checkpoint at each third iteration, and no scheduler."""
    return walking(store).samples(12).stop(training_iteration=8).checkpoint(every=3)


def pbt_victim(store: str | Path) -> Experiment:
    """A population of six in four slots, with takeovers and pauses."""
    scheduler = pbt(perturbation_interval=3, synch=True, quantile_fraction=0.34)
    return walking(store).scheduler(scheduler).samples(6).stop(training_iteration=12).checkpoint(keep=1)


def hyperband_victim(store: str | Path) -> Experiment:
    """Brackets of three, five and nine trials, which pause until their halving is known."""
    return walking(store).scheduler(hyperband(max_t=9)).samples(17)


VICTIMS: Final[dict[str, Callable[[str | Path], Experiment]]] = {
    "asha": asha_victim,
    "random": random_victim,
    "pbt": pbt_victim,
    "hyperband": hyperband_victim,
}


def main(name: str, store: str, engine: str, address: str | None = None) -> None:
    experiment = VICTIMS[name](store)
    begun = [folder for folder in Path(store).glob("*/journal.jsonl") if folder.read_bytes().endswith(b"\n")]
    verb = experiment.resume if begun else experiment.run
    chosen = LocalEngine(cpus=4) if engine == "local" else engine
    print(verb(engine=chosen, address=address, quiet=True).journal.digest)


if __name__ == "__main__":
    main(*sys.argv[1:])

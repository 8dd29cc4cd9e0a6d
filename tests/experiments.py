"""Experiments that tests of engines, journals and results share."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from tunedsl import Trainable, asha, report, space, uniform
from tunedsl.backends import SimulatedEngine
from tunedsl.driver.driver import Listener
from tunedsl.experiment import Experiment


def quadratic(config: dict[str, Any]) -> None:
    """Nears `(x - 0.3)**2` from above, by nine reports, each after a random pause."""
    pauses = random.SystemRandom()
    for step in range(1, 10):
        time.sleep(pauses.random() * config.get("pause", 0.0))
        report(loss=(config["x"] - 0.3) ** 2 + 1 / step)


def quadratic_by_yield(config: dict[str, Any]) -> Any:
    for step in range(1, 10):
        yield {"loss": (config["x"] - 0.3) ** 2 + 1 / step}


class Quadratic(Trainable):
    def setup(self, config: dict[str, Any], **data: Any) -> None:
        self.x, self.done = config["x"], 0

    def step(self) -> dict[str, float] | None:
        if self.done == 9:
            return None
        self.done += 1
        return {"loss": (self.x - 0.3) ** 2 + 1 / self.done}

    def save(self, folder: Path) -> None:
        (folder / "done").write_text(str(self.done))

    def load(self, folder: Path) -> None:
        self.done = int((folder / "done").read_text())


def breaks_at_times(config: dict[str, Any]) -> None:
    report(loss=config["x"])
    if config["x"] > 0.5:
        raise ValueError("x is too large")
    report(loss=config["x"] / 2)


def quadratic_engine() -> SimulatedEngine:
    """Simulates the reports of `quadratic`."""
    return SimulatedEngine(lambda config, iteration: (config["x"] - 0.3) ** 2 + 1 / iteration, iterations=9)


class Breaker(Listener):
    """Interrupts a run after a number of events."""

    def __init__(self, after: int) -> None:
        self.left = after

    def on_event(self, event: Any, commands: Any, state: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def searching(store: Path | str, trainable: Any = quadratic, **constants: Any) -> Experiment:
    """ASHA over twelve trials, four at a time, in logical order."""
    return (
        space(x=uniform(0, 1), **constants)
        .trainable(trainable)
        .minimize("loss")
        .scheduler(asha(max_t=9, reduction_factor=3))
        .samples(12)
        .parallel(4)
        .order("logical")
        .seed(7)
        .store(store)
    )

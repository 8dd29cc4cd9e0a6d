"""One-second trials on Ray, also with searchers that learn: wall time over the least possible, once workers are up."""

from __future__ import annotations

import logging
import tempfile
import time
from typing import Any

import ray

from tests.benchmarks.measure import show
from tunedsl import random_search, space, tpe, uniform
from tunedsl.kernel import Reported, Started
from tunedsl.searchers import hyperopt, optuna


def second(config: dict[str, Any]) -> dict[str, float]:
    time.sleep(1)
    return {"loss": config["x"]}


def over(searcher: Any, slots: int, trials: int) -> None:
    """One run on a Ray of its own."""
    ray.init(num_cpus=slots, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    with tempfile.TemporaryDirectory() as store:
        e = space(x=uniform(0, 1), y=uniform(0, 1)).trainable(second).minimize("loss").searcher(searcher)
        results = e.samples(trials).parallel(slots).seed(0).store(store).run(quiet=True)
        events = list(results.journal.events())
    ray.shutdown()
    began = sorted(event.seconds for event in events if isinstance(event, Started))
    up = began[slots - 1]  # every worker has its first trial
    ended = sorted(event.seconds for event in events if isinstance(event, Reported))[-1]
    least = trials / slots
    taken = ended - up
    text = f"{taken:.2f} s of {least:.0f} s: {100 * (taken / least - 1):+.1f} %"
    show(f"{searcher!r}: {trials} trials of 1 s on {slots} slots", text)


def main() -> None:
    for slots, trials in ((2, 30), (8, 80), (16, 160)):
        over(random_search(), slots, trials)
    for searcher in (tpe(), optuna(), hyperopt()):
        over(searcher, 8, 80)


if __name__ == "__main__":
    main()

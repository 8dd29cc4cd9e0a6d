"""How much a recorded ASHA run tells about other policies, and whether it is right: replays against full curves.

    python -m tests.benchmarks.what_if FOLDER

FOLDER holds `.npz` files with `valid` (configurations, epochs), lower is better, as for `tests.benchmarks.taskset`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measure import show
from tests.benchmarks.taskset import experiment
from tunedsl import asha, fifo
from tunedsl.results import Results
from tunedsl.schedulers import median_stopping

TRIALS = 200
SEEDS = 3
WORKERS = 16


def policies(epochs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "the same", {}
    yield "asha, max_t / 2", {"scheduler": asha(max_t=epochs // 2, reduction_factor=3)}
    yield "asha, max_t / 6", {"scheduler": asha(max_t=epochs // 6, reduction_factor=3)}
    yield "asha, reduction factor 2", {"scheduler": asha(max_t=epochs, reduction_factor=2)}
    yield "asha, reduction factor 4", {"scheduler": asha(max_t=epochs, reduction_factor=4)}
    yield "asha, 32 workers", {"parallel": 32}
    yield "asha, 4 workers", {"parallel": 4}
    yield "median stopping", {"scheduler": median_stopping()}
    yield "fifo", {"scheduler": fifo()}
    yield "fifo, 1 epoch", {"scheduler": fifo(), "stop": {"training_iteration": 1}}
    yield "fifo, 3 epochs", {"scheduler": fifo(), "stop": {"training_iteration": 3}}


def simulate(valid: Any, order: Any, seed: int, policy: dict[str, Any], epochs: int) -> Results:
    e = experiment(order, seed, policy.get("scheduler", asha(max_t=epochs, reduction_factor=3)), epochs)
    e = e.parallel(policy.get("parallel", WORKERS))
    if "stop" in policy:
        e = e.stop(**policy["stop"])

    def curve(config: dict[str, Any], epoch: int) -> float:
        return float(valid[config["row"], epoch - 1])

    def cost(config: dict[str, Any], epoch: int) -> float:
        return 1.0 + config["row"] % 7 / 10

    return Results(e.dry_run(curve=curve, cost=cost).journal)


def compare(recorded: Results, truth: Results, policy: dict[str, Any]) -> tuple[int, int, int, int, int]:
    """Outcomes known, outcomes wrong, figures known, figures wrong, and all figures."""
    forecast = recorded.what_if(**policy)
    known = [outcome for outcome in forecast.outcomes if outcome.known]
    wrong = 0
    for outcome in known:
        trial = truth[outcome.trial]
        wrong += (trial.status, trial.iterations) != (outcome.status, outcome.iterations)
    facts: dict[str, Any] = {
        "best loss": truth.best.metrics["loss"],
        "iterations": truth.stats.iterations,
        "seconds": truth.reading.seconds,
    }
    facts |= {status: sum(trial.status == status for trial in truth) for status in ("completed", "stopped", "failed")}
    figures = [figure for figure in forecast.figures if figure.name in facts]
    sure = [figure for figure in figures if not figure.censored]
    mistaken = sum(figure.value != facts[figure.name] for figure in sure)
    for figure in figures:
        mistaken += figure.low is not None and figure.low > facts[figure.name]
        mistaken += figure.high is not None and figure.high < facts[figure.name]
    return len(known), wrong, len(sure), mistaken, len(figures)


def main(folder: str) -> None:
    files = sorted(Path(folder).glob("*.npz"))
    if not files:
        sys.exit(f"skipped: no .npz files in {folder}")
    sums: dict[str, Any] = {}
    for file in files:
        valid = np.load(file)["valid"].astype(float)
        trials, epochs = valid.shape
        for seed in range(SEEDS):
            order = np.random.RandomState(seed).permutation(trials)[:TRIALS]
            recorded = simulate(valid, order, seed, {}, epochs)
            for name, policy in policies(epochs):
                found = compare(recorded, simulate(valid, order, seed, policy, epochs), policy)
                sums[name] = np.array(found) + sums.get(name, 0)
    runs = len(files) * SEEDS
    for name, (known, wrong, sure, mistaken, figures) in sums.items():
        outcomes = f"{known / (runs * TRIALS):.1%} of outcomes known, {wrong} wrong"
        show(name, f"{outcomes}; {sure / figures:.1%} of figures known, {mistaken} wrong or out of bounds")


if __name__ == "__main__":
    main(*sys.argv[1:])

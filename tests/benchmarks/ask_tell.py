"""Pairs of ask and tell a second in one process, beside Optuna's in-memory and journal storages, in one run.

Both draw at random from the same two parameters. tunedsl's journal is durable as always: what `ask` and `tell` change
is in it before they return. The rounds of the competitors alternate, and each figure is a median with its range.

    python -m tests.benchmarks.ask_tell [PAIRS [ROUNDS]]
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.measure import show
from tunedsl import loguniform, replay, space, uniform


def tunedsl_pairs(folder: Path, pairs: int) -> float:
    experiment = space(x=uniform(0, 1), lr=loguniform(1e-5, 1e-1)).minimize("loss").seed(0)
    with experiment.open(folder / "run", quiet=True) as study:
        began = time.perf_counter()
        for _ in range(pairs):
            trial = study.ask()
            assert trial is not None
            study.tell(trial, loss=trial.config["x"])
        taken = time.perf_counter() - began
    return taken


def optuna_pairs(folder: Path, pairs: int, in_journal: bool) -> float:
    import optuna
    from optuna.storages import InMemoryStorage, JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log"))) if in_journal else InMemoryStorage()
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    began = time.perf_counter()
    for _ in range(pairs):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        trial.suggest_float("lr", 1e-5, 1e-1, log=True)
        study.tell(trial, x)
    return time.perf_counter() - began


def _journaled_pairs(folder: Path, pairs: int) -> float:
    return optuna_pairs(folder, pairs, in_journal=True)


def _in_memory_pairs(folder: Path, pairs: int) -> float:
    return optuna_pairs(folder, pairs, in_journal=False)


def main(pairs: int, rounds: int) -> None:
    small = max(1, pairs // 50)  # its cost of a pair grows with the number of trials
    competitors: dict[str, tuple[Callable[[Path, int], float], int]] = {
        f"tunedsl, journal, {pairs:,} pairs": (tunedsl_pairs, pairs),
        f"Optuna, in memory, {small:,} pairs": (_in_memory_pairs, small),
        f"Optuna, journal, {small:,} pairs": (_journaled_pairs, small),
        f"tunedsl, journal, {small:,} pairs": (tunedsl_pairs, small),
    }
    rates: dict[str, list[float]] = {name: [] for name in competitors}
    for _ in range(rounds):
        for name, (work, count) in competitors.items():
            gc.collect()
            with tempfile.TemporaryDirectory() as folder:
                rates[name].append(count / work(Path(folder), count))
                if work is tunedsl_pairs and count == small:
                    replay(Path(folder) / "run")
    for name, found in rates.items():
        show(name, f"{statistics.median(found):8,.0f} pairs a second ({min(found):,.0f} to {max(found):,.0f})")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*[*numbers, *(100_000, 3)[len(numbers) :]])

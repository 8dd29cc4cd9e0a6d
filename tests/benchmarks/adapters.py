"""What an adapter costs over its library called bare: both find the same sequence, taking turns in one run.

python -m tests.benchmarks.adapters [library ...]
"""

from __future__ import annotations

import importlib.util
import sys
import time
import warnings
from typing import Any

from tests.unit.search.adapters.bare import CASES, KEY, OBJECTIVES, loss
from tunedsl.base import keys
from tunedsl.search import Observation, searcher_of

TRIALS = {"optuna": 200, "hyperopt": 200, "cmaes": 400, "flaml": 200, "skopt": 12, "bayes_opt": 10}
ROUNDS = 3


def measure(module: str) -> tuple[float, float]:
    """Seconds of asks and tells, bare and by the adapter; the least of some rounds."""
    spec, space, make = CASES[module]
    bare, ours = [], []
    for _ in range(ROUNDS):
        one, other = _once(spec, space, make, TRIALS[module])
        bare.append(one)
        ours.append(other)
    return min(bare), min(ours)


def _once(spec: Any, space: Any, make: Any, trials: int) -> tuple[float, float]:
    searcher = searcher_of(spec)
    ask, tell = make(space)
    state = searcher.init(spec, space, OBJECTIVES, KEY)
    bare = ours = 0.0
    for trial in range(trials):
        start = time.perf_counter()
        handle, config = ask(trial)
        bare += time.perf_counter() - start
        start = time.perf_counter()
        state, answer = searcher.ask(spec, state, trial, KEY)
        ours += time.perf_counter() - start
        assert {name: float(raw) for name, raw in config.items()} == answer.config
        value = loss(answer.config)
        start = time.perf_counter()
        tell(handle, value)
        bare += time.perf_counter() - start
        start = time.perf_counter()
        state = searcher.tell(spec, state, trial, Observation("done", 1, (value,)))
        ours += time.perf_counter() - start
    return bare, ours


def main() -> None:
    """Prints one line for each library that is installed."""
    for module in sys.argv[1:] or CASES:
        if importlib.util.find_spec(module) is None:
            print(f"{module:10} is not installed")
            continue
        with warnings.catch_warnings(), keys.fenced(KEY):
            warnings.simplefilter("ignore")
            bare, ours = measure(module)
        each = 1e3 / TRIALS[module]
        times = f"bare {bare * each:8.3f} ms, adapter {ours * each:8.3f} ms a trial"
        print(f"{module:10} {TRIALS[module]:4} trials: {times}, ratio {ours / bare:.3f}")


if __name__ == "__main__":
    main()

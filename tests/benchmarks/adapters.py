"""Overhead of an adapter over its library called directly, and the growth of its asks with observations.

python -m tests.benchmarks.adapters [library ...]
python -m tests.benchmarks.adapters growth [searcher ...]

Both find the same sequence, each asks and tells a whole loop of its own; loops take turns in one run, and the figures
are medians of them. The growth table gives the milliseconds of an ask at 20, 200 and 1,000 observations; a searcher
that has not come there in `PATIENCE` seconds has a dash.
"""

from __future__ import annotations

import gc
import importlib.util
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

from tests.adapters import QUICK, SLOW
from tests.unit.searchers.adapters.bare import CASES, KEY, OBJECTIVES, SPACE, loss
from tunedsl.base import keys
from tunedsl.searchers import Observation, searcher_of

TRIALS = {"optuna": 200, "hyperopt": 200, "cmaes": 1_200, "flaml": 600, "skopt": 12, "bayes_opt": 10}
ROUNDS = {"cmaes": 21, "flaml": 21}
"""How often, where loops are short; else 3 times."""

POINTS = (20, 200, 1_000)
PATIENCE = 15.0


def measure(module: str) -> tuple[float, float, float]:
    """Seconds of a loop of asks and tells, bare and by the adapter, and their ratio; medians of some rounds."""
    spec, space, make = CASES[module]
    rounds = []
    for _ in range(ROUNDS.get(module, 3)):
        gc.collect()
        before, expected = _bare(space, make, TRIALS[module])
        gc.collect()
        after, found = _ours(spec, space, TRIALS[module])
        assert found == expected
        rounds.append((before, after, after / before))
    bare, ours, ratio = (statistics.median(column) for column in zip(*rounds, strict=True))
    return bare, ours, ratio


def _bare(space: Any, make: Any, trials: int) -> tuple[float, list[Any]]:
    ask, tell = make(space)
    found = []
    start = time.perf_counter()
    for trial in range(trials):
        handle, config = ask(trial)
        found.append(config)
        tell(handle, loss(config))
    return time.perf_counter() - start, [{name: float(raw) for name, raw in config.items()} for config in found]


def _ours(spec: Any, space: Any, trials: int) -> tuple[float, list[Any]]:
    searcher = searcher_of(spec)
    state = searcher.init(spec, space, OBJECTIVES, KEY)
    found = []
    start = time.perf_counter()
    for trial in range(trials):
        state, answer = searcher.ask(spec, state, trial, KEY)
        found.append(answer.config)
        state = searcher.tell(spec, state, trial, Observation("done", 1, (loss(answer.config),)))
    return time.perf_counter() - start, found


def growth(spec: Any) -> Iterator[tuple[int, float]]:
    """Milliseconds per ask by number of observations; each is the median of the last five asks."""
    searcher = searcher_of(spec)
    state, taken, began = searcher.init(spec, SPACE, OBJECTIVES, KEY), [], time.perf_counter()
    for trial in range(max(POINTS)):
        start = time.perf_counter()
        state, answer = searcher.ask(spec, state, trial, KEY)
        taken.append(time.perf_counter() - start)
        state = searcher.tell(spec, state, trial, Observation("done", 1, (loss(answer.config),)))
        if trial + 1 in POINTS:
            yield trial + 1, 1e3 * statistics.median(taken[-5:])
        if time.perf_counter() - began > PATIENCE:
            return


def print_growth(named: list[str]) -> None:
    """One line for each searcher of another library that is installed."""
    print(f"{'searcher':44}" + "".join(f"{f'at {point:,}':>12}" for point in POINTS) + "   ms an ask")
    for spec in [*QUICK, *SLOW]:
        searcher = searcher_of(spec)
        if (named and searcher.name not in named) or searcher.validate(spec):
            continue
        found = dict(growth(spec))
        cells = (f"{found[point]:12.2f}" if point in found else f"{'-':>12}" for point in POINTS)
        print(f"{spec!r:44.44}{''.join(cells)}", flush=True)


def main() -> None:
    """Prints one line for each library that is installed."""
    with warnings.catch_warnings(), keys.seeded_globals(KEY):
        warnings.simplefilter("ignore")
        if sys.argv[1:2] == ["growth"]:
            print_growth(sys.argv[2:])
            return
        for module in sys.argv[1:] or CASES:
            if importlib.util.find_spec(module) is None:
                print(f"{module:10} is not installed")
                continue
            bare, ours, ratio = measure(module)
            each = 1e3 / TRIALS[module]
            times = f"bare {bare * each:8.3f} ms, adapter {ours * each:8.3f} ms a trial"
            print(f"{module:10} {TRIALS[module]:5} trials: {times}, ratio {ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()

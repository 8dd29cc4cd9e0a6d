"""Quality and speed of the native TPE beside Optuna's, in one run.

    python -m tests.benchmarks.searchers quality --seeds 15 --first 0 --width 8
    python -m tests.benchmarks.searchers mixed --seeds 15
    python -m tests.benchmarks.searchers speed

Needs `pip install optuna coco-experiment scikit-learn`. `quality`: the 24 BBOB functions, an instance a seed;
`mixed`: scikit-learn models with conditional, log, integer and categorical parameters. Each finds the least value in
100 evaluations; runs of the same seed are compared with each other, as the functions' optima differ by instance. Told
are the share of them that is won, in how many problems the median rank is better (the two-sided sign test is over
problems), and the mean rank over all runs, 1 for the better and 2 for the worse.
"""

from __future__ import annotations

import argparse
import functools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.benchmarks.models import problems
from tunedsl.base.codec import decode
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, Proposal, searcher_of, tpe
from tunedsl.spaces import Space, uniform
from tunedsl.spaces.domains import Branch, Choice
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.sampling import assemble_config
from tunedsl.spaces.unit_interval import support, value_at_step

GOAL = (Objective("loss", "min"),)
EVALUATIONS = 100
Run = Callable[[int, int], float]
"""The least value found from a seed at a width."""


# The two searchers on one problem: least of all values, with `width` trials in flight.


def native(spec: Any, space: Space, loss: Callable[[dict[str, Any]], float], seed: int, width: int) -> float:
    searcher = searcher_of(spec)
    state = searcher.init(spec, space, GOAL, seed)
    flying: list[tuple[int, Any]] = []
    values = []
    for trial in range(EVALUATIONS):
        state, answer = searcher.ask(spec, state, trial, seed)
        assert isinstance(answer, Proposal)
        flying.append((trial, answer.config))
        if len(flying) == width:
            ended, config = flying.pop(0)
            values.append(loss(decode(config)))
            state = searcher.tell(spec, state, ended, Observation("done", 1, (values[-1],)))
    return min([*values, *(loss(decode(config)) for _, config in flying)])


def theirs(suggest: Callable[[Any], dict[str, Any]], loss: Callable[[Any], float], seed: int, width: int) -> float:
    study = optuna_study(seed)
    flying: list[tuple[Any, Any]] = []
    values = []
    for _ in range(EVALUATIONS):
        trial = study.ask()
        flying.append((trial, suggest(trial)))
        if len(flying) == width:
            ended, config = flying.pop(0)
            values.append(loss(config))
            study.tell(ended, values[-1])
    return min([*values, *(loss(config) for _, config in flying)])


def suggested(layout: Layout, trial: Any) -> dict[str, Any]:
    """The configuration that an Optuna trial suggests."""

    def suggest(param: Any) -> Any:
        node = param.node
        if isinstance(node, Branch):
            return trial.suggest_categorical(param.name, [name for name, _ in node.options])
        if isinstance(node, Choice):
            return trial.suggest_categorical(param.name, [option.copy() for option in node.options])
        low, high = support(node)
        if node.integer:
            return trial.suggest_int(param.name, int(low), int(high), log=node.log)
        if node.quantised:
            found = trial.suggest_float(param.name, low, high, step=node.q)
            return value_at_step(node, round(found / node.q))
        return trial.suggest_float(param.name, low, high, log=node.log)

    return assemble_config(layout, suggest, 0, 0)[0]


def optuna_study(seed: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True))


# BBOB


@functools.cache
def suite(instance: int, dims: int) -> Any:
    import cocoex

    return cocoex.Suite("bbob", f"instances: {instance}", f"dimensions: {dims}")


def bbob(function: int, dims: int) -> tuple[Run, Run]:
    names = [f"x{dim}" for dim in range(dims)]
    space = Space.of({name: uniform(-5, 5) for name in names})

    def solved(run: Callable[..., float], by: Any, seed: int, width: int) -> float:
        problem = suite(seed + 1, dims).get_problem_by_function_dimension_instance(function, dims, seed + 1)
        least = run(*by, lambda config: float(problem(np.array([config[name] for name in names]))), seed, width)
        problem.free()
        return least

    def suggest(trial: Any) -> dict[str, Any]:
        return {name: trial.suggest_float(name, -5, 5) for name in names}

    return (
        functools.partial(solved, native, (tpe(), space)),
        functools.partial(solved, theirs, (suggest,)),
    )


# Models of scikit-learn


def mixed() -> Iterator[tuple[str, Run, Run]]:
    """The problems of `tests.benchmarks.models`, each as a space here and as Optuna's suggestions."""
    for name, space, loss in problems():
        suggest = functools.partial(suggested, resolve_space(space))
        yield name, functools.partial(native, tpe(), space, loss), functools.partial(theirs, suggest, loss)


# Reports


def compared(problems: Iterator[tuple[str, Run, Run]], seeds: range, width: int) -> None:
    """Runs both on all problems and prints the comparison, overall and by group (the name's first word)."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, ours, other in problems:
        pairs = [(ours(seed, width), other(seed, width)) for seed in seeds]
        a, b = np.array(pairs).T
        found[name] = a, b
        print(f"{name:<16} ours {np.median(a):<12.6g} Optuna {np.median(b):<12.6g} won {share(a, b):.0%}", flush=True)
    groups = sorted({name.split(" ")[0] for name in found})
    for group in [*(groups if len(groups) < len(found) else []), ""]:
        told(group or "all", [pair for name, pair in found.items() if name.startswith(group)], seeds, width)


def told(name: str, pairs: list[tuple[np.ndarray, np.ndarray]], seeds: range, width: int) -> None:
    won = np.array([share(a, b) for a, b in pairs])
    better, worse = int((won > 0.5).sum()), int((won < 0.5).sum())
    ranked = f"median rank better in {better}, worse in {worse} (sign test p = {sign_test(better, worse):.2g})"
    which = f"{len(pairs)} problems, {len(seeds)} seeds from {seeds[0]} on, width {width}"
    print(f"{name}: {which}: won {won.mean():.1%}; {ranked}; mean rank {2 - won.mean():.3f}", flush=True)


def share(a: np.ndarray, b: np.ndarray) -> float:
    """The share of seeds with which the first is lower, ties by half."""
    return float((a < b).mean() + (a == b).mean() / 2)


def sign_test(better: int, worse: int) -> float:
    count = better + worse
    tail = sum(math.comb(count, k) for k in range(max(better, worse), count + 1)) / 2**count if count else 1.0
    return min(1.0, 2 * tail)


def speed() -> None:
    """Shortest time of one ask, in seconds, by number of earlier trials; ten parameters, both searchers in turn."""
    import optuna

    space = Space.of({f"x{dim}": uniform(0, 1) for dim in range(10)})
    spec, draw = tpe(), np.random.default_rng(0)
    searcher = searcher_of(spec)
    for count in (100, 1_000, 10_000):
        state, study = searcher.init(spec, space, GOAL, 0), optuna_study(0)
        ranges = {f"x{dim}": optuna.distributions.FloatDistribution(0, 1) for dim in range(10)}
        past = []
        for trial, row in enumerate(draw.random((count, 10)).tolist()):
            config = {f"x{dim}": x for dim, x in enumerate(row)}
            state = searcher.force(spec, state, trial, config, 0)  # type: ignore[misc]
            state = searcher.tell(spec, state, trial, Observation("done", 1, (sum(row),)))
            past.append(optuna.trial.create_trial(params=config, distributions=ranges, value=sum(row)))
        study.add_trials(past)
        ours, other = [], []
        for trial in range(count, count + 7):
            began = time.perf_counter()
            searcher.ask(spec, state, trial, 0)
            middle = time.perf_counter()
            asked = study.ask()
            for name in ranges:
                asked.suggest_float(name, 0, 1)
            ours.append(middle - began)
            other.append(time.perf_counter() - middle)
            study.tell(asked, 5.0)
        a, b = min(ours), min(other)
        print(f"{count:>6} trials: ours {1e3 * a:.2f} ms, Optuna {1e3 * b:.2f} ms: {b / a:.1f} x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["quality", "mixed", "speed"])
    parser.add_argument("--seeds", type=int, default=15, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--width", type=int, default=1)
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 5, 10])
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    if options.what == "speed":
        speed()
    elif options.what == "mixed":
        compared(mixed(), seeds, options.width)
    else:
        cells = ((f"{dims}D f{number}", *bbob(number, dims)) for dims in options.dims for number in range(1, 25))
        compared(cells, seeds, options.width)


if __name__ == "__main__":
    main()

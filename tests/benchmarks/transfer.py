"""What earlier runs gain when they are related and cost when they are not.

    python -m tests.benchmarks.transfer --seeds 20 --first 100
    python -m tests.benchmarks.transfer --seeds 10 --first 100 --searcher auto

An earlier run is 60 trials of `tpe` on a function whose optimum is a twentieth of the range away in each dimension
(related), or on the mirrored one (misleading); values are scaled by 1,000, so that they say nothing about the new
function. Printed are the geometric means over functions of the median regret, relative to the searcher without earlier
runs, after 5, 10, 20, 50 and 100 evaluations, and the share of runs in which the plain searcher is better after 100.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from typing import Any

import numpy as np

from tests.benchmarks.functions import DEVELOPMENT, REPORTED, Floats, Function, function
from tests.benchmarks.priors import SEARCHERS, cube_space, least_so_far, on_cube, sign_test
from tests.benchmarks.searchers import GOAL
from tunedsl.compiler import PriorTrial
from tunedsl.compiler.warm_start import with_prior_results
from tunedsl.searchers import tpe, warm_start

AT = (5, 10, 20, 50, 100)
CASES = {
    "related": ("related",),
    "misleading": ("misleading",),
    "one of three related": ("misleading", "related", "unrelated"),
}


@functools.cache
def earlier_run(shape: str, dims: int, seed: int, kind: str) -> list[PriorTrial]:
    f = function(shape, dims, seed)
    if kind == "related":
        f = f.shifted(np.random.default_rng(seed).choice([-0.05, 0.05], dims))
    elif kind == "misleading":
        f = Function(shape, 1 - f.optimum, f.rotation)
    else:
        f = function(shape, dims, seed + 10_000)
    trials: list[PriorTrial] = []

    def loss(config: dict[str, Any]) -> float:
        found = f(np.array([config[f"x{dim}"] for dim in range(dims)]))
        trials.append(PriorTrial(config, {"loss": 1000 * found}, 1, "done"))
        return found

    least_so_far(tpe(), cube_space(dims), loss, seed + 5_000, 60)
    return trials


def curve(spec: Any, shape: str, dims: int, seed: int, kinds: tuple[str, ...]) -> Floats:
    if kinds:
        spec, _ = with_prior_results(
            warm_start(spec, *kinds), cube_space(dims), GOAL, lambda kind: earlier_run(shape, dims, seed, kind)
        )
    return least_so_far(spec, cube_space(dims), on_cube(function(shape, dims, seed)), seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--shapes", choices=["development", "reported"], default="reported")
    parser.add_argument("--searcher", choices=SEARCHERS, default="tpe")
    args = parser.parse_args()
    spec = SEARCHERS[args.searcher]()
    problems = list(itertools.product(DEVELOPMENT if args.shapes == "development" else REPORTED, (2, 4, 8)))
    seeds = range(args.first, args.first + args.seeds)

    def curves(kinds: tuple[str, ...]) -> Floats:
        return np.array([[curve(spec, shape, dims, seed, kinds) for seed in seeds] for shape, dims in problems])

    plain = curves(())
    for name, kinds in CASES.items():
        warm = curves(kinds)
        ratios = np.median(warm, axis=1) / np.maximum(np.median(plain, axis=1), 1e-12)
        means = np.exp(np.log(np.maximum(ratios, 1e-6)).mean(axis=0))
        at = ", ".join(f"x {means[count - 1]:.2f} after {count}" for count in AT)
        lost, won = (int(each.sum()) for each in (warm[..., -1] > plain[..., -1], warm[..., -1] < plain[..., -1]))
        print(f"{name}: {at}; plain is better in {lost} of {lost + won} runs, p = {sign_test(won, lost):.3f}")


if __name__ == "__main__":
    main()

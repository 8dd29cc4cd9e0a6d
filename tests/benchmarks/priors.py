"""What a prior gains when it is right and costs when it is wrong, beside the same searcher without one.

    python -m tests.benchmarks.priors functions --seeds 20 --first 100
    python -m tests.benchmarks.priors functions --seeds 10 --searcher gp --confidence medium
    python -m tests.benchmarks.priors models --seeds 10 --first 100
    python -m tests.benchmarks.priors lcbench --seeds 10 --first 100

`functions`: like those of BBOB, in 2, 4 and 8 dimensions. A good prior is centred near the optimum (a twentieth
of the range away in each dimension), a misleading one at the point of the cube that is farthest from it. `models`:
real models of scikit-learn; `lcbench`: surrogates of real trainings, if their data is there. For these two, a good
prior is the best of 50 random configurations, a misleading one the worst.
Printed are, for each function, after how many evaluations with a good prior the median regret is that of plain `tpe`
after 20, and of the same searcher without a prior after 20; and the share of runs in which the searcher without a prior
is better after 100, with a two-sided sign test over all runs.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from tests.benchmarks.functions import DEVELOPMENT, REPORTED, Floats, Function, function
from tests.benchmarks.problems import Problem, lcbench, models
from tests.benchmarks.searchers import GOAL
from tunedsl.base.codec import decode
from tunedsl.searchers import Observation, Proposal, auto, gp, searcher_of, tpe
from tunedsl.spaces import Space, resolve_space, sample, uniform
from tunedsl.spaces.domains import Branch, Domain
from tunedsl.spaces.expressions import When

EVALUATIONS = 100
SEARCHERS: dict[str, Callable[[], Any]] = {"tpe": tpe, "gp": gp, "auto": auto}
CONFIDENCES = ("low", "medium", "high")
GOOD, BAD = "good", "misleading"


def least_so_far(
    spec: Any, space: Space, loss: Callable[[dict[str, Any]], float], seed: int, count: int = EVALUATIONS
) -> Floats:
    """The least value after each evaluation, one at a time."""
    searcher = searcher_of(spec)
    state = searcher.init(spec, space, GOAL, seed)
    values = []
    for trial in range(count):
        state, answer = searcher.ask(spec, state, trial, seed)
        assert isinstance(answer, Proposal)
        values.append(loss(decode(answer.config)))
        state = searcher.tell(spec, state, trial, Observation("done", 1, (values[-1],)))
    return np.minimum.accumulate(values)


def cube_space(dims: int, centre: Floats | None = None, confidence: Any = "medium") -> Space:
    domains = [uniform(0, 1) for _ in range(dims)]
    if centre is not None:
        domains = [domain.prior(float(x), confidence) for domain, x in zip(domains, centre, strict=True)]
    return Space.of({f"x{dim}": domain for dim, domain in enumerate(domains)})


def on_cube(f: Function) -> Callable[[dict[str, Any]], float]:
    return lambda config: f(np.array([config[f"x{dim}"] for dim in range(f.dims)]))


def centre_of(f: Function, kind: str, seed: int) -> Floats:
    if kind == BAD:
        return np.where(f.optimum > 0.5, 0.02, 0.98)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], f.dims)
    return np.clip(f.optimum + 0.05 * signs, 0, 1)


@functools.cache
def curves(spec: Any, shape: str, dims: int, seeds: tuple[int, ...], kind: str, confidence: str) -> Floats:
    """Regrets, shape (seeds, evaluations)."""
    found = []
    for seed in seeds:
        f = function(shape, dims, seed)
        centre = centre_of(f, kind, seed) if kind else None
        found.append(least_so_far(spec, cube_space(dims, centre, confidence), on_cube(f), seed))
    return np.array(found)


def sign_test(wins: int, losses: int) -> float:
    """The two-sided p of a sign test."""
    n = wins + losses
    tail = sum(math.comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n
    return min(1.0, 2 * tail)


def evaluations_until(found: Floats, others: Floats) -> int:
    """The evaluations until a median is at most that of others after 20; one more than all if it never is."""
    curve = np.median(found, axis=0)
    below = np.flatnonzero(curve <= np.median(others[:, 19]))
    return int(below[0]) + 1 if len(below) else len(curve) + 1


def functions(spec: Any, shapes: Sequence[str], seeds: tuple[int, ...], confidences: Sequence[str]) -> None:
    for confidence in confidences:
        reached, of_itself, lost, won = [], [], 0, 0
        for shape, dims in itertools.product(shapes, (2, 4, 8)):
            plain = curves(spec, shape, dims, seeds, "", confidence="medium")
            by_tpe = curves(tpe(), shape, dims, seeds, "", confidence="medium")
            good = curves(spec, shape, dims, seeds, GOOD, confidence)
            bad = curves(spec, shape, dims, seeds, BAD, confidence)
            reached.append(evaluations_until(good, by_tpe))
            of_itself.append(evaluations_until(good, plain))
            lost += int((bad[:, -1] > plain[:, -1]).sum())
            won += int((bad[:, -1] < plain[:, -1]).sum())
            ratio = np.median(bad[:, -1]) / np.median(plain[:, -1])
            better = (good[:, -1] < plain[:, -1]).mean()
            print(
                f"{confidence:<7} {shape:<18} {dims} dims: good: {reached[-1]:3d} and {of_itself[-1]:3d} evaluations, "
                f"better after 100 in {better:4.0%}; misleading: regret x {ratio:5.2f} after 100"
            )
        quick = sum(at <= 7 for at in reached)
        print(
            f"{confidence}: good prior: median {np.median(reached):.0f}, most {max(reached)} evaluations, at most 7 "
            f"for {quick} of {len(reached)} functions; of the searcher itself: median {np.median(of_itself):.0f}; "
            f"misleading: plain is better in {lost} of {lost + won} runs, p = {sign_test(won, lost):.3f}\n"
        )


def believed(space: Space, config: dict[str, Any], confidence: Any) -> Space:
    """The space with a prior at a configuration."""

    def told(node: Any, found: Any) -> Any:
        if isinstance(node, Space):
            return believed(node, found, confidence)
        if isinstance(node, When):
            return attrs.evolve(node, node=told(node.node, found))
        return node.prior(found, confidence) if isinstance(node, Domain) and not isinstance(node, Branch) else node

    params = ((name, told(node, config[name]) if name in config else node) for name, node in space.params)
    return attrs.evolve(space, params=tuple(params))


def tasks(spec: Any, problems: Sequence[Problem], seeds: Sequence[int]) -> None:
    reached, of_itself, lost, won = [], [], 0, 0
    for problem in problems:
        found: dict[str, list[Floats]] = {"": [], GOOD: [], BAD: []}
        for seed in seeds:
            drawn = sample(resolve_space(problem.space), seed + 1_000, range(50))
            ranked = sorted(drawn, key=problem.loss)
            spaces = {"": problem.space, GOOD: believed(problem.space, ranked[0], "medium")}
            spaces[BAD] = believed(problem.space, ranked[-1], "medium")
            for kind, space in spaces.items():
                found[kind].append(least_so_far(spec, space, problem.loss, seed))
        plain, good, bad = (np.array(found[kind]) for kind in ("", GOOD, BAD))
        by_tpe = (
            plain
            if spec == tpe()
            else np.array([least_so_far(tpe(), problem.space, problem.loss, seed, 20) for seed in seeds])
        )
        reached.append(evaluations_until(good, by_tpe))
        of_itself.append(evaluations_until(good, plain))
        lost += int((bad[:, -1] > plain[:, -1]).sum())
        won += int((bad[:, -1] < plain[:, -1]).sum())
        better = (good[:, -1] < plain[:, -1]).mean()
        print(
            f"{problem.name:<30} good: {reached[-1]:3d} and {of_itself[-1]:3d} evaluations, "
            f"better after 100 in {better:4.0%}",
            flush=True,
        )
    print(
        f"good prior: median {np.median(reached):.0f}, most {max(reached)} evaluations; of the searcher itself: median "
        f"{np.median(of_itself):.0f}; misleading: plain is better in {lost} of {lost + won} runs, "
        f"p = {sign_test(won, lost):.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["functions", "models", "lcbench"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--shapes", choices=["development", "reported"], default="reported")
    parser.add_argument("--searcher", choices=SEARCHERS, default="tpe")
    parser.add_argument("--confidence", nargs="*", choices=CONFIDENCES, default=CONFIDENCES, help="for functions")
    args = parser.parse_args()
    spec = SEARCHERS[args.searcher]()
    seeds = tuple(range(args.first, args.first + args.seeds))
    if args.what != "functions":
        kind = models if args.what == "models" else lcbench
        return tasks(spec, list(kind(args.first, args.shapes == "development")), seeds)
    functions(spec, DEVELOPMENT if args.shapes == "development" else REPORTED, seeds, args.confidence)


if __name__ == "__main__":
    main()

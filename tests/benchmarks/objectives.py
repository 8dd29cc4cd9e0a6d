"""Searchers under outcome constraints and with several objectives, beside Optuna, in one run.

    python -m tests.benchmarks.objectives constraints --seeds 10 --searchers tpe gp auto
    python -m tests.benchmarks.objectives fronts --seeds 10 --first 100
    python -m tests.benchmarks.objectives fronts --problems zdt1 dtlz2

Needs `pip install optuna scikit-learn`. `constraints`: the least feasible value in 100 evaluations, beside Optuna's TPE
with `constraints_func`. `fronts`: the hypervolume after 100 and 200 evaluations, beside Optuna's TPE with several
objectives and its NSGA-II. Told is the share of seeds that is won, and the medians.

Variants of `tpe` and `gp` were compared on the problems of `CONSTRAINED` and `FRONTS`, with seeds from 0 on, while they
were developed, so their figures flatter. `OTHER_CONSTRAINED` and `OTHER_FRONTS` were written later, and no variant was
chosen on them: they are the problems that are measured unless others are named, with seeds from 100 on.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.benchmarks.objective_problems import CONSTRAINED, FRONTS, OTHER_CONSTRAINED, OTHER_FRONTS, Outcome, Problem
from tests.benchmarks.searchers import share, sign_test
from tunedsl.base.codec import decode
from tunedsl.base.hypervolume import hypervolume
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, Proposal, auto, gp, searcher_of, tpe

SEARCHERS: dict[str, Callable[[], Any]] = {"tpe": tpe, "gp": gp, "auto": auto}


def ours(problem: Problem, evaluations: int, seed: int, spec: Any) -> list[Outcome]:
    space, evaluate = problem
    searcher, found = searcher_of(spec), list[Outcome]()
    goals: tuple[Objective, ...] = ()
    state: Any = None
    for trial in range(evaluations):
        if state is None:
            goals = tuple(Objective(f"loss{place}", "min") for place in range(_goals(problem)))
            state = searcher.init(spec, space, goals, seed)
        state, answer = searcher.ask(spec, state, trial, seed)
        assert isinstance(answer, Proposal)
        outcome = evaluate(decode(answer.config))
        found.append(outcome)
        told: Any = outcome.failure
        observation = Observation("failed" if told else "done", 1, outcome.values, outcome.violations, told)
        state = searcher.tell(spec, state, trial, observation)
    return found


def _goals(problem: Problem) -> int:
    space, evaluate = problem
    low = {name: node.low if hasattr(node, "low") else node for name, node in space.params}
    return len(evaluate(low).values)


def theirs(problem: Problem, evaluations: int, seed: int, sampler: str = "tpe") -> list[Outcome]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    space, evaluate = problem
    held: dict[int, Outcome] = {}

    def constraints(trial: Any) -> Sequence[float]:
        return held[trial.number].violations

    constrained = (
        {}
        if not evaluate({name: node.low for name, node in space.params}).violations
        else {  # type: ignore[attr-defined]
            "constraints_func": constraints
        }
    )
    if sampler == "tpe":
        made: Any = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, **constrained)
    else:
        made = optuna.samplers.NSGAIISampler(seed=seed, **constrained)
    study = optuna.create_study(sampler=made, directions=["minimize"] * _goals(problem))
    for _ in range(evaluations):
        trial = study.ask()
        config = {name: _suggest(trial, name, node) for name, node in space.params}
        outcome = held[trial.number] = evaluate(config)
        if outcome.failure:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, list(outcome.values))
    return list(held.values())


def _suggest(trial: Any, name: str, node: Any) -> Any:
    if node.integer:
        return trial.suggest_int(name, node.low, node.high, log=node.log)
    return trial.suggest_float(name, node.low, node.high, log=node.log)


def least(outcomes: Sequence[Outcome]) -> float:
    """The least value of a feasible outcome; infinite without one."""
    return min((each.values[0] for each in outcomes if each.feasible), default=math.inf)


def compare_constraints(seeds: range, names: Sequence[str], specs: Sequence[Any]) -> None:
    shares: dict[str, list[float]] = {}
    for name in names or OTHER_CONSTRAINED:
        problem = (CONSTRAINED | OTHER_CONSTRAINED)[name]
        peer = np.array([least(theirs(problem, 100, seed)) for seed in seeds])
        line = f"{name:<9} Optuna {np.median(peer):<8.5g}"
        for spec in specs:
            own = np.array([least(ours(problem, 100, seed, spec)) for seed in seeds])
            shares.setdefault(f"{spec}", []).append(share(own, peer))
            line += f" {spec} {np.median(own):<8.5g} won {shares[f'{spec}'][-1]:.0%}"
        print(line, flush=True)
    for spec, found in shares.items():
        _conclude(f"{spec} beside Optuna's TPE", found)


def _conclude(pair: str, shares: Sequence[float]) -> None:
    better, worse = sum(each > 0.5 for each in shares), sum(each < 0.5 for each in shares)
    p = sign_test(better, worse)
    print(f"{pair}: won {np.mean(shares):.1%} of seeds, {better} problems better, {worse} worse (p = {p:.2g})")


def compare_fronts(seeds: range, names: Sequence[str], specs: Sequence[Any]) -> None:
    shares: dict[str, list[float]] = {}
    for name in names or OTHER_FRONTS:
        make, reference = (FRONTS | OTHER_FRONTS)[name]
        problem = make()
        volumes: dict[str, list[list[float]]] = {}
        for seed in seeds:
            runs = {f"{spec}": ours(problem, 200, seed, spec) for spec in specs}
            runs |= {f"Optuna {peer}": theirs(problem, 200, seed, peer) for peer in ("tpe", "nsga2")}
            for who, outcomes in runs.items():
                losses = np.array([each.values for each in outcomes])
                found = [hypervolume(losses[:count], np.array(reference)) for count in (100, 200)]
                volumes.setdefault(who, []).append(found)
        for who, told in volumes.items():
            medians = np.median(told, axis=0)
            line = f"{name:<8} {who:<14} hypervolume {medians[0]:.6g} after 100, {medians[1]:.6g} after 200"
            for spec in map(str, specs) if who.startswith("Optuna") else ():
                won = [share(-np.array(volumes[spec])[:, at], -np.array(told)[:, at]) for at in (0, 1)]
                line += f"; {spec} won {won[0]:.0%} and {won[1]:.0%}"
                shares.setdefault(f"{spec} beside {who} after 100", []).append(won[0])
                shares.setdefault(f"{spec} beside {who} after 200", []).append(won[1])
            print(line, flush=True)
    for pair, found in shares.items():
        _conclude(pair, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["constraints", "fronts"])
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first", type=int, default=100, help="the first of them; development began at 0")
    parser.add_argument("--problems", nargs="*", default=[], help="names; without any, those not used in development")
    parser.add_argument("--searchers", nargs="*", default=["tpe"], choices=SEARCHERS)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    if options.what == "constraints":
        compare_constraints(seeds, options.problems, [SEARCHERS[name]() for name in options.searchers])
    else:
        compare_fronts(seeds, options.problems, [SEARCHERS[name]() for name in options.searchers])


if __name__ == "__main__":
    main()

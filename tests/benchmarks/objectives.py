"""TPE under outcome constraints and with several objectives, beside Optuna, in one run.

    python -m tests.benchmarks.objectives constraints --seeds 10
    python -m tests.benchmarks.objectives fronts --seeds 10

Needs `pip install optuna scikit-learn`. `constraints`: the least feasible value in 100 evaluations of engineering
problems, of functions whose optimum is on a constraint, and of a network whose training runs out of memory; beside
Optuna's TPE with `constraints_func`. `fronts`: the hypervolume after 100 and 200 evaluations of ZDT and DTLZ functions
and of a forest's accuracy and size; beside Optuna's TPE with several objectives and its NSGA-II. No option was chosen
on these problems. Told is the share of seeds that is won, and the medians.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from tests.benchmarks.searchers import share, sign_test
from tunedsl.base.codec import decode
from tunedsl.base.hypervolume import hypervolume
from tunedsl.base.objective import Objective, total_violation
from tunedsl.searchers import Observation, Proposal, searcher_of, tpe
from tunedsl.spaces import Space, lograndint, loguniform, randint, uniform

Config = dict[str, Any]


@attrs.frozen
class Outcome:
    """The values to minimize, the violations of the constraints, and the kind of a failure."""

    values: tuple[float, ...]
    violations: tuple[float, ...] = ()
    failure: str = ""

    @property
    def feasible(self) -> bool:
        return not self.failure and total_violation(self.violations) == 0


Problem = tuple[Space, Callable[[Config], Outcome]]


def ours(problem: Problem, evaluations: int, seed: int, spec: Any = None) -> list[Outcome]:
    space, evaluate = problem
    spec = tpe() if spec is None else spec
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


# Constraints


def _box(bounds: Sequence[tuple[float, float]], f: Callable[..., tuple[float, tuple[float, ...]]]) -> Problem:
    names = [f"x{place}" for place in range(len(bounds))]

    def evaluate(config: Config) -> Outcome:
        value, violations = f(*(config[name] for name in names))
        return Outcome((value,), violations)

    return Space.of({name: uniform(low, high) for name, (low, high) in zip(names, bounds, strict=True)}), evaluate


def gardner(x: float, y: float) -> tuple[float, tuple[float, ...]]:
    """Gardner et al., Bayesian Optimization with Inequality Constraints, ICML 2014, the first simulation."""
    return math.cos(2 * x) * math.cos(y) + math.sin(x), (math.cos(x) * math.cos(y) - math.sin(x) * math.sin(y) - 0.5,)


def toy(x: float, y: float) -> tuple[float, tuple[float, ...]]:
    """Gramacy et al., Modeling an Augmented Lagrangian, Technometrics 58, 2016."""
    first = 1.5 - x - 2 * y - 0.5 * math.sin(2 * math.pi * (x * x - 2 * y))
    return x + y, (first, x * x + y * y - 1.5)


def branin(x: float, y: float) -> tuple[float, tuple[float, ...]]:
    """Branin's function on a disk."""
    b, c = 5.1 / (4 * math.pi**2), 5 / math.pi
    value = (y - b * x * x + c * x - 6) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10
    return value, ((x - 2.5) ** 2 + (y - 7.5) ** 2 - 50,)


def spring(d: float, c: float, n: float) -> tuple[float, tuple[float, ...]]:
    """The tension spring of Coello Coello, Computers in Industry 41, 2000."""
    return (n + 2) * c * d * d, (
        1 - c**3 * n / (71785 * d**4),
        (4 * c * c - d * c) / (12566 * (c * d**3 - d**4)) + 1 / (5108 * d * d) - 1,
        1 - 140.45 * d / (c * c * n),
        (d + c) / 1.5 - 1,
    )


def vessel(shell: float, head: float, radius: float, length: float) -> tuple[float, tuple[float, ...]]:
    """The pressure vessel of Coello Coello, with continuous thickness."""
    cost = 0.6224 * shell * radius * length + 1.7781 * head * radius**2
    cost += 3.1661 * shell**2 * length + 19.84 * shell**2 * radius
    volume = math.pi * radius**2 * length + 4 / 3 * math.pi * radius**3
    return cost, (0.0193 * radius - shell, 0.00954 * radius - head, 1 - volume / 1_296_000)


def sphere(*x: float) -> tuple[float, tuple[float, ...]]:
    """A sphere whose optimum is where two of its constraints meet."""
    return sum((each - 0.3) ** 2 for each in x), (0.9 - x[0] - x[1], x[2] - 0.1)


def narrow(*x: float) -> tuple[float, tuple[float, ...]]:
    """Rastrigin's function in a ball of 0.05 % of the cube."""
    value = sum(each * each - math.cos(2 * math.pi * each) + 1 for each in x)
    return value, (math.dist(x, [1.2] * len(x)) - 1,)


def network() -> Problem:
    """A network that learns better the larger it is, until its training runs out of memory."""
    space = Space.of({
        "width": lograndint(16, 4096), "depth": randint(1, 24), "batch": lograndint(8, 1024),
        "lr": loguniform(1e-5, 1.0), "dropout": uniform(0.0, 0.7),
    })  # fmt: skip

    def evaluate(config: Config) -> Outcome:
        memory = config["depth"] * config["width"] * (config["width"] * 12 + config["batch"] * 8)
        if memory > 2e8:
            return Outcome((math.nan,), failure="oom")
        size = math.log10(config["width"] ** 2 * config["depth"])
        best = -3.0 - 0.3 * (size - 5) + 0.4 * math.log10(config["batch"] / 64)
        loss = 2.5 - 0.25 * size + 0.2 * (math.log10(config["lr"]) - best) ** 2 + (config["dropout"] - 0.2) ** 2
        return Outcome((loss,))

    return space, evaluate


CONSTRAINED: dict[str, Problem] = {
    "gardner": _box([(0, 6), (0, 6)], gardner),
    "toy": _box([(0, 1), (0, 1)], toy),
    "branin": _box([(-5, 10), (0, 15)], branin),
    "spring": _box([(0.05, 2), (0.25, 1.3), (2, 15)], spring),
    "vessel": _box([(0.0625, 6), (0.0625, 6), (10, 200), (10, 240)], vessel),
    "sphere 5": _box([(-1, 1)] * 5, sphere),
    "narrow 4": _box([(-5, 5)] * 4, narrow),
    "network": network(),
}


def least(outcomes: Sequence[Outcome]) -> float:
    """The least value of a feasible outcome; infinite without one."""
    return min((each.values[0] for each in outcomes if each.feasible), default=math.inf)


def compare_constraints(seeds: range, names: Sequence[str]) -> None:
    shares = []
    for name in names or CONSTRAINED:
        problem = CONSTRAINED[name]
        pairs = [(least(ours(problem, 100, seed)), least(theirs(problem, 100, seed))) for seed in seeds]
        a, b = np.array(pairs).T
        shares.append(share(a, b))
        print(f"{name:<12} ours {np.median(a):<10.5g} Optuna {np.median(b):<10.5g} won {shares[-1]:.0%}", flush=True)
    _conclude("Optuna's TPE", shares)


def _conclude(peer: str, shares: Sequence[float]) -> None:
    better, worse = sum(each > 0.5 for each in shares), sum(each < 0.5 for each in shares)
    p = sign_test(better, worse)
    print(f"{peer}: won {np.mean(shares):.1%} of seeds, {better} problems better, {worse} worse (p = {p:.2g})")


# Fronts


def zdt(number: int) -> Problem:
    """Zitzler, Deb and Thiele, Comparison of Multiobjective Evolutionary Algorithms, 2000; in 6 dimensions."""
    names = [f"x{place}" for place in range(6)]

    def evaluate(config: Config) -> Outcome:
        x = np.array([config[name] for name in names])
        first, rest = x[0], x[1:]
        if number == 4:
            rest = 10 * rest - 5
            g = 1 + 10 * len(rest) + float((rest**2 - 10 * np.cos(4 * np.pi * rest)).sum())
        elif number == 6:
            first = 1 - math.exp(-4 * first) * math.sin(6 * math.pi * first) ** 6
            g = 1 + 9 * float(rest.mean()) ** 0.25
        else:
            g = 1 + 9 * float(rest.mean())
        share = first / g
        h = 1 - (share**2 if number in (2, 6) else math.sqrt(share))
        h -= share * math.sin(10 * math.pi * first) if number == 3 else 0.0
        return Outcome((float(first), float(g * h)))

    return Space.of({name: uniform(0, 1) for name in names}), evaluate


def dtlz(number: int) -> Problem:
    """Deb et al., Scalable Test Problems for Multiobjective Optimization, 2005; 3 objectives, 6 dimensions."""
    names = [f"x{place}" for place in range(6)]

    def evaluate(config: Config) -> Outcome:
        x = np.array([config[name] for name in names])
        a, b, rest = float(x[0]), float(x[1]), x[2:] - 0.5
        g = float((rest**2).sum())
        if number == 1:
            g = 100 * (len(rest) + float((rest**2 - np.cos(20 * np.pi * rest)).sum()))
            return Outcome((a * b * (1 + g) / 2, a * (1 - b) * (1 + g) / 2, (1 - a) * (1 + g) / 2))
        a, b = a * math.pi / 2, b * math.pi / 2
        first, second = (1 + g) * math.cos(a) * math.cos(b), (1 + g) * math.cos(a) * math.sin(b)
        return Outcome((first, second, (1 + g) * math.sin(a)))

    return Space.of({name: uniform(0, 1) for name in names}), evaluate


def forest() -> Problem:
    """The error and the size of a forest on breast cancer data."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split

    x, y = load_breast_cancer(return_X_y=True)
    parts = train_test_split(x, y, random_state=0)
    space = Space.of({
        "n_estimators": lograndint(2, 40), "max_depth": randint(1, 12), "min_samples_leaf": lograndint(1, 40),
        "max_features": uniform(0.05, 1.0), "max_samples": uniform(0.1, 1.0),
    })  # fmt: skip

    def evaluate(config: Config) -> Outcome:
        model = RandomForestClassifier(**config, random_state=0).fit(parts[0], parts[2])
        nodes = sum(tree.tree_.node_count for tree in model.estimators_)
        return Outcome((1 - float(model.score(parts[1], parts[3])), math.log10(nodes)))

    return space, evaluate


FRONTS: dict[str, tuple[Callable[[], Problem], tuple[float, ...]]] = {
    "zdt1": (lambda: zdt(1), (1.1, 8.0)),
    "zdt2": (lambda: zdt(2), (1.1, 8.0)),
    "zdt3": (lambda: zdt(3), (1.1, 8.0)),
    "zdt4": (lambda: zdt(4), (1.1, 150.0)),
    "zdt6": (lambda: zdt(6), (1.1, 10.0)),
    "dtlz1": (lambda: dtlz(1), (400.0, 400.0, 400.0)),
    "dtlz2": (lambda: dtlz(2), (2.0, 2.0, 2.0)),
    "forest": (forest, (0.4, 4.0)),
}
"""Problems, each with its reference point."""


def compare_fronts(seeds: range, names: Sequence[str]) -> None:
    shares: dict[str, list[float]] = {}
    for name in names or FRONTS:
        make, reference = FRONTS[name]
        problem = make()
        volumes: dict[str, list[list[float]]] = {}
        for seed in seeds:
            runs = {"ours": ours(problem, 200, seed)}
            runs |= {f"Optuna {peer}": theirs(problem, 200, seed, peer) for peer in ("tpe", "nsga2")}
            for who, outcomes in runs.items():
                losses = np.array([each.values for each in outcomes])
                found = [hypervolume(losses[:count], np.array(reference)) for count in (100, 200)]
                volumes.setdefault(who, []).append(found)
        for who, told in volumes.items():
            medians = np.median(told, axis=0)
            line = f"{name:<8} {who:<14} hypervolume {medians[0]:.6g} after 100, {medians[1]:.6g} after 200"
            if who != "ours":
                won = [share(-np.array(volumes["ours"])[:, at], -np.array(told)[:, at]) for at in (0, 1)]
                line += f"; ours won {won[0]:.0%} and {won[1]:.0%}"
                shares.setdefault(f"{who} after 100", []).append(won[0])
                shares.setdefault(f"{who} after 200", []).append(won[1])
            print(line, flush=True)
    for peer, found_shares in shares.items():
        _conclude(peer, found_shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["constraints", "fronts"])
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--problems", nargs="*", default=[])
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    if options.what == "constraints":
        compare_constraints(seeds, options.problems)
    else:
        compare_fronts(seeds, options.problems)


if __name__ == "__main__":
    main()

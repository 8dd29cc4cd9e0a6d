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

from tunedsl.base.codec import decode
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, Proposal, searcher_of, tpe
from tunedsl.spaces import Space, choice, lograndint, loguniform, quniform, randint, ref, uniform

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


def models() -> Iterator[tuple[str, Run, Run]]:
    """Three problems, each as a space here and as Optuna's suggestions; the loss is the error in cross-validation."""
    from sklearn import datasets, ensemble, linear_model, metrics, model_selection, neighbors, preprocessing, svm, tree

    def folds(x: Any, y: Any) -> list[Any]:
        """Training and test data of each fold, scaled once: a pipeline would do so again for each configuration."""
        parts = model_selection.KFold(3, shuffle=True, random_state=0).split(x)
        scaled = ((preprocessing.StandardScaler().fit(x[train]), train, test) for train, test in parts)
        return [
            (scaler.transform(x[train]), y[train], scaler.transform(x[test]), y[test]) for scaler, train, test in scaled
        ]

    wine = folds(*datasets.load_wine(return_X_y=True))
    diabetes = folds(*datasets.load_diabetes(return_X_y=True))
    remembered: dict[Any, float] = {}

    def error(model: Any, data: Any, name: str, config: Any) -> float:
        asked = (name, repr(config))
        if asked not in remembered:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                losses = []
                for x, y, unseen, truth in data:
                    model.fit(x, y)
                    if name == "linear":
                        losses.append(metrics.log_loss(truth, model.predict_proba(unseen), labels=model.classes_))
                    else:
                        losses.append(metrics.root_mean_squared_error(truth, model.predict(unseen)))
                remembered[asked] = float(np.mean(losses))
        return remembered[asked]

    kinds = Space.of(
        {
            "model": choice(
                {
                    "svm": Space.of(
                        {
                            "C": loguniform(1e-2, 1e2),
                            "kernel": choice(["rbf", "poly"]),
                            "gamma": loguniform(1e-5, 10),
                            "degree": randint(2, 5).when(ref("kernel") == "poly"),
                        }
                    ),
                    "knn": Space.of(
                        {
                            "n_neighbors": lograndint(1, 65),
                            "weights": choice(["uniform", "distance"]),
                            "p": quniform(1, 3, 0.25),
                        }
                    ),
                    "tree": Space.of({"max_depth": randint(1, 16), "min_samples_leaf": lograndint(1, 65)}),
                }
            )
        }
    )
    makes = {
        "svm": lambda **options: svm.SVR(**options, max_iter=5_000),
        "knn": neighbors.KNeighborsRegressor,
        "tree": lambda **options: tree.DecisionTreeRegressor(**options, random_state=0),
    }

    def kind_loss(config: Any) -> float:
        ((name, options),) = config["model"].items()
        return error(makes[name](**options), diabetes, "kinds", config)

    def kind_of(trial: Any) -> dict[str, Any]:
        name = trial.suggest_categorical("model", ["svm", "knn", "tree"])
        options: dict[str, Any] = {}
        if name == "svm":
            options["C"] = trial.suggest_float("C", 1e-2, 1e2, log=True)
            options["kernel"] = trial.suggest_categorical("kernel", ["rbf", "poly"])
            options["gamma"] = trial.suggest_float("gamma", 1e-5, 10, log=True)
            if options["kernel"] == "poly":
                options["degree"] = trial.suggest_int("degree", 2, 4)
        elif name == "knn":
            options["n_neighbors"] = trial.suggest_int("n_neighbors", 1, 64, log=True)
            options["weights"] = trial.suggest_categorical("weights", ["uniform", "distance"])
            options["p"] = trial.suggest_float("p", 1, 3, step=0.25)
        else:
            options["max_depth"] = trial.suggest_int("max_depth", 1, 15)
            options["min_samples_leaf"] = trial.suggest_int("min_samples_leaf", 1, 64, log=True)
        return {"model": {name: options}}

    linear = Space.of(
        {
            "alpha": loguniform(1e-7, 1),
            "penalty": choice(["l2", "l1", "elasticnet"]),
            "l1_ratio": uniform(0, 1).when(ref("penalty") == "elasticnet"),
            "learning_rate": choice(["optimal", "constant", "invscaling", "adaptive"]),
            "eta0": loguniform(1e-5, 1).when(ref("learning_rate") != "optimal"),
            "power_t": uniform(0.1, 1).when(ref("learning_rate") == "invscaling"),
            "max_iter": lograndint(5, 101),
        }
    )

    def linear_loss(config: Any) -> float:
        return error(linear_model.SGDClassifier(loss="log_loss", random_state=0, **config), wine, "linear", config)

    def linear_of(trial: Any) -> dict[str, Any]:
        config = {"alpha": trial.suggest_float("alpha", 1e-7, 1, log=True)}
        config["penalty"] = trial.suggest_categorical("penalty", ["l2", "l1", "elasticnet"])
        if config["penalty"] == "elasticnet":
            config["l1_ratio"] = trial.suggest_float("l1_ratio", 0, 1)
        rates = ["optimal", "constant", "invscaling", "adaptive"]
        config["learning_rate"] = trial.suggest_categorical("learning_rate", rates)
        if config["learning_rate"] != "optimal":
            config["eta0"] = trial.suggest_float("eta0", 1e-5, 1, log=True)
        if config["learning_rate"] == "invscaling":
            config["power_t"] = trial.suggest_float("power_t", 0.1, 1)
        config["max_iter"] = trial.suggest_int("max_iter", 5, 100, log=True)
        return config

    trees = Space.of(
        {
            "n_estimators": randint(5, 21),
            "learning_rate": loguniform(1e-3, 1),
            "max_depth": randint(1, 9),
            "subsample": quniform(0.3, 1, 0.05),
            "max_features": quniform(0.1, 1, 0.1),
            "min_samples_leaf": lograndint(1, 51),
            "loss": choice(["squared_error", "absolute_error", "huber"]),
            "alpha": uniform(0.5, 0.99).when(ref("loss") == "huber"),
        }
    )

    def tree_loss(config: Any) -> float:
        return error(ensemble.GradientBoostingRegressor(random_state=0, **config), diabetes, "trees", config)

    def tree_of(trial: Any) -> dict[str, Any]:
        config: dict[str, Any] = {
            "n_estimators": trial.suggest_int("n_estimators", 5, 20),
            "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1, log=True),
            "max_depth": trial.suggest_int("max_depth", 1, 8),
            "subsample": round(trial.suggest_float("subsample", 0.3, 1, step=0.05), 10),
            "max_features": round(trial.suggest_float("max_features", 0.1, 1, step=0.1), 10),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 50, log=True),
            "loss": trial.suggest_categorical("loss", ["squared_error", "absolute_error", "huber"]),
        }
        if config["loss"] == "huber":
            config["alpha"] = trial.suggest_float("alpha", 0.5, 0.99)
        return config

    for name, space, loss, suggest in (
        ("kinds", kinds, kind_loss, kind_of),
        ("linear", linear, linear_loss, linear_of),
        ("trees", trees, tree_loss, tree_of),
    ):
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
        compared(models(), seeds, options.width)
    else:
        cells = ((f"{dims}D f{number}", *bbob(number, dims)) for dims in options.dims for number in range(1, 25))
        compared(cells, seeds, options.width)


if __name__ == "__main__":
    main()

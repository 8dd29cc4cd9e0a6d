"""Each library called bare, on one space: what the adapters are compared with, in sequence and in time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tunedsl.base import keys
from tunedsl.base.objective import Objective
from tunedsl.searchers import bayesopt, cfo, cmaes, hyperopt, optuna, skopt
from tunedsl.searchers.adapters.libraries import MAX_SEED, LibraryContext
from tunedsl.spaces import Space, choice, loguniform, randint, uniform
from tunedsl.spaces.layout import resolve_space

FLOATS = Space.of({"x": uniform(-1, 1), "y": uniform(0, 3)})
SPACE = Space.of({"lr": loguniform(1e-5, 1e-1), "x": uniform(-1, 1), "n": randint(1, 11), "opt": choice([0, 1, 2])})
OBJECTIVES = (Objective("loss", "min"),)
KEY = 7
SEED = LibraryContext(resolve_space(SPACE), OBJECTIVES, KEY).seed

Bare = tuple[Callable[[int], tuple[Any, dict[str, Any]]], Callable[[Any, float], None]]
"""Asks for a handle and a configuration; tells a handle's loss."""


def loss(config: dict[str, Any]) -> float:
    """A function of a configuration with a minimum inside the space."""
    lr = (math.log10(config["lr"]) + 3) ** 2 if "lr" in config else 0.0
    return float(lr + (config["x"] - 0.3) ** 2 + config.get("y", 0) ** 2 / 9 + abs(config.get("n", 5) - 4) / 10)


def bare_optuna(space: Space) -> Bare:
    import optuna as library

    library.logging.set_verbosity(library.logging.ERROR)
    study = library.create_study(
        sampler=library.samplers.TPESampler(seed=SEED, multivariate=True, constant_liar=True, n_startup_trials=5)
    )

    def ask(number: int) -> Any:
        trial = study.ask()
        config = {
            "lr": trial.suggest_float("lr", 1e-5, 1e-1, log=True),
            "x": trial.suggest_float("x", -1, 1),
            "n": trial.suggest_int("n", 1, 10),
            "opt": trial.suggest_categorical("opt", range(3)),
        }
        return trial, config

    return ask, lambda trial, value: study.tell(trial, value) and None


def bare_hyperopt(space: Space) -> Bare:
    from hyperopt import JOB_STATE_DONE, STATUS_OK, Trials, hp, tpe
    from hyperopt.base import Domain

    form = {
        "lr": hp.loguniform("lr", math.log(1e-5), math.log(1e-1)),
        "x": hp.uniform("x", -1, 1),
        "n": hp.uniformint("n", 1, 10),
        "opt": hp.choice("opt", [0, 1, 2]),
    }
    domain, trials, generator = Domain(lambda config: config, form), Trials(), keys.generator(SEED)

    def ask(number: int) -> Any:
        (found,) = tpe.suggest(
            [number], domain, trials, int(generator.integers(MAX_SEED)), n_startup_jobs=5, verbose=False
        )
        trials.insert_trial_doc(found)
        trials.refresh()
        config = {name: raws[0] for name, raws in found["misc"]["vals"].items()}
        return trials._dynamic_trials[-1], {**config, "n": int(config["n"])}

    def tell(document: Any, value: float) -> None:
        document["state"], document["result"] = JOB_STATE_DONE, {"loss": value, "status": STATUS_OK}
        trials.refresh()

    return ask, tell


def bare_cmaes(space: Space) -> Bare:
    from cmaes import CatCMAwM

    strategy = CatCMAwM(x_space=[[-1, 1], [0, 3]], seed=SEED)
    told: list[Any] = []

    def ask(number: int) -> Any:
        found = strategy.ask()
        return found, {"x": float(found.x[0]), "y": float(found.x[1])}

    def tell(found: Any, value: float) -> None:
        told.append((found, value))
        if len(told) == strategy.population_size:
            strategy.tell(told)
            told.clear()

    return ask, tell


def bare_cfo(space: Space) -> Bare:
    from flaml import tune
    from flaml.tune.searcher.blendsearch import CFO

    form = {
        "lr": tune.loguniform(1e-5, 1e-1),
        "x": tune.uniform(-1, 1),
        "n": tune.randint(1, 11),
        "opt": tune.choice([0, 1, 2]),
    }
    search = CFO(metric="loss", mode="min", space=form, seed=SEED)

    def ask(number: int) -> Any:
        for attempt in range(64):
            found = search.suggest(f"{number}.{attempt}")
            if found is not None:
                return (f"{number}.{attempt}", dict(found)), dict(found)
        raise AssertionError("nothing is suggested")

    def tell(handle: Any, value: float) -> None:
        name, config = handle
        result = {"loss": value, "training_iteration": 1, **{f"config/{each}": raw for each, raw in config.items()}}
        search.on_trial_complete(name, result)

    return ask, tell


def bare_skopt(space: Space) -> Bare:
    from skopt import Optimizer
    from skopt.space import Categorical, Integer, Real

    search = Optimizer(
        [Real(1e-5, 1e-1, prior="log-uniform"), Real(-1.0, 1.0), Integer(1, 10), Categorical([0, 1, 2])],
        random_state=SEED,
        n_initial_points=3,
        acq_optimizer="sampling",
    )

    def ask(number: int) -> Any:
        point = search.ask()
        return point, dict(zip(("lr", "x", "n", "opt"), point, strict=True))

    return ask, lambda point, value: search.tell(point, value) and None


def bare_bayesopt(space: Space) -> Bare:
    from bayes_opt import BayesianOptimization, acquisition

    search = BayesianOptimization(
        None,
        {"x": (-1.0, 1.0), "y": (0.0, 3.0)},
        acquisition_function=acquisition.UpperConfidenceBound(),
        random_state=SEED,
        verbose=0,
    )

    def ask(number: int) -> Any:
        point = search.random_sample(1)[0] if number < 3 else search.suggest()
        return point, {name: float(raw) for name, raw in point.items()}

    return ask, lambda point, value: search.register(point, -value)


CASES = {
    "optuna": (optuna(n_startup_trials=5), SPACE, bare_optuna),
    "hyperopt": (hyperopt(n_startup_jobs=5), SPACE, bare_hyperopt),
    "cmaes": (cmaes(), FLOATS, bare_cmaes),
    "flaml": (cfo(), SPACE, bare_cfo),
    "skopt": (skopt(n_initial_points=3, acq_optimizer="sampling"), SPACE, bare_skopt),
    "bayes_opt": (bayesopt(init_points=3), FLOATS, bare_bayesopt),
}
"""By the library's module: the spec, the space, and the library called bare."""

"""The searchers of other libraries for the conformance suite, each with a number of trials that it can run in time."""

from __future__ import annotations

from typing import Any, Final

from tunedsl.searchers import (
    ax,
    bayesopt,
    blendsearch,
    botorch,
    cfo,
    cmaes,
    dragonfly,
    hebo,
    hyperopt,
    nevergrad,
    optuna,
    sigopt,
    skopt,
    smac,
)

QUICK: Final = [
    optuna(),
    optuna("nsgaii", population_size=6),
    optuna("qmc"),
    optuna("cmaes", n_startup_trials=4),
    hyperopt(n_startup_jobs=8),
    hyperopt("anneal"),
    cmaes(),
    cfo(),
    blendsearch(),
    nevergrad(),
    nevergrad("TwoPointsDE"),
]
SLOW: Final[dict[Any, int]] = {
    bayesopt(init_points=3, n_restarts_optimizer=1): 6,
    skopt(n_initial_points=3, acq_optimizer="sampling"): 5,
    smac(n_configs=3): 5,
    botorch(n_initial=3): 6,
    ax(initialization_budget=3): 5,
    hebo(rand_sample=3): 5,
}
"""How many trials."""

GONE: Final = [dragonfly(), sigopt()]

ADAPTERS: Final = [*QUICK, *SLOW, *GONE]

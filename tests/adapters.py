"""The searchers of other libraries as the conformance suite runs them: each with as many trials as it has time for."""

from __future__ import annotations

from typing import Any

from tunedsl.search import blendsearch, cfo, cmaes, hyperopt, optuna

QUICK = [
    optuna(),
    optuna("nsgaii", population_size=6),
    optuna("qmc"),
    optuna("cmaes", n_startup_trials=4),
    hyperopt(n_startup_jobs=8),
    hyperopt("anneal"),
    cmaes(),
    cfo(),
    blendsearch(),
]
SLOW: dict[Any, int] = {}
"""How many trials."""

ADAPTERS = [*QUICK, *SLOW]

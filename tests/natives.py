"""The searchers of this package's own that the conformance suite holds, with options that make them learn early."""

from __future__ import annotations

from typing import Any

from tunedsl.search import RandomSearch, Sobol
from tunedsl.search.bohb import bohb
from tunedsl.search.evolution import evolution
from tunedsl.search.tpe import tpe
from tunedsl.search.zoopt import zoopt

LEARNING: list[Any] = [
    tpe(n_startup_trials=5),
    bohb(min_points_in_model=2),
    evolution(population_size=5, sample_size=3),
    zoopt(train_size=5, positive_size=2),
]
NATIVES: list[Any] = [RandomSearch(), Sobol(), Sobol(scramble=False), *LEARNING]

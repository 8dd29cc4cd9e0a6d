"""The searchers of this package's own that the conformance suites hold, with options that make them learn early."""

from __future__ import annotations

from typing import Any

from tunedsl.base.references import Literal
from tunedsl.searchers import (
    KnownResult,
    PriorRun,
    RandomSearch,
    Sobol,
    WarmStarted,
    auto,
    bohb,
    dedupe,
    evolution,
    gp,
    limit,
    per_grid_cell,
    priorband,
    random_search,
    repeat,
    scored,
    switch,
    tpe,
    try_first,
    wilcoxon,
    with_results,
    zoopt,
)

LEARNING: list[Any] = [
    tpe(n_startup_trials=5),
    bohb(min_points_in_model=2),
    gp(n_startup_trials=4, n_candidates=64),
    auto(),
    evolution(population_size=5, sample_size=3),
    priorband(random_fraction=0.3),
    zoopt(train_size=5, positive_size=2),
]
NATIVES: list[Any] = [RandomSearch(), Sobol(), Sobol(scramble=False), *LEARNING]

FIRST = [{"lr": 0.01, "x": 0.5, "n": 3, "opt": "a"}, {"lr": 0.02}]
COMBINED: list[Any] = [
    limit(tpe(n_startup_trials=5), 3),
    limit(random_search(), 4, batch=True),
    repeat(evolution(population_size=5, sample_size=3), 3, by="median"),
    try_first(tpe(n_startup_trials=5), FIRST),
    with_results(tpe(n_startup_trials=2), [(FIRST[0], 0.25), (FIRST[0], 0.5, 3, "stopped")]),
    dedupe(zoopt(train_size=5, positive_size=2)),
    switch(random_search(), tpe(n_startup_trials=5), after=6),
    per_grid_cell(tpe(n_startup_trials=3)),
    scored(tpe(n_startup_trials=3)),
    repeat(try_first(limit(dedupe(tpe(n_startup_trials=3)), 2), FIRST), 2),
    repeat(tpe(n_startup_trials=3), 4, race=wilcoxon(0.2)),
]
EARLIER = tuple(
    KnownResult(Literal.of({**FIRST[0], "x": x}), (loss,)) for x, loss in ((0.1, 3.0), (0.4, 1.0), (0.8, 2.0))
)
WARM = WarmStarted(tpe(n_startup_trials=5), (PriorRun("results/a", EARLIER), PriorRun("results/b", EARLIER[:1])))
"""What the compiler makes of `warm_start`, which prints as the user wrote it."""

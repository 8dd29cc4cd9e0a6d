"""The searchers of this package's own that the conformance suite holds, with options that make them learn early."""

from __future__ import annotations

from typing import Any

from tunedsl.search import RandomSearch, Sobol
from tunedsl.search.tpe import tpe

NATIVES: list[Any] = [
    RandomSearch(),
    Sobol(),
    Sobol(scramble=False),
    tpe(n_startup_trials=5),
]

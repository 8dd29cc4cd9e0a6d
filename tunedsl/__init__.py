"""Hyperparameter tuning as a value.

`space(...)` starts an experiment, clauses are chained to it, and it runs by `.run()`. What needs Ray, pandas or the
engines is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError, CompileError, Divergence, Interrupted, TunedslError
from tunedsl.plan import Plan, diff
from tunedsl.schedule import asha, fifo, hyperband, pbt
from tunedsl.search import random_search, sobol, tpe
from tunedsl.space import (
    choice,
    grid,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    ref,
    sample_from,
    uniform,
)
from tunedsl.stop import diverged, elapsed, iteration, metric, plateau

# The last import: it puts the function `space` where importing the package of that name has left a module.
from tunedsl.experiment import Experiment, space  # isort: skip

if TYPE_CHECKING:
    from tunedsl.engine import resume
    from tunedsl.journal import replay
    from tunedsl.results import load
    from tunedsl.trainable import Trainable, report, trial

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "CompileError",
    "Diagnostic",
    "Divergence",
    "Experiment",
    "Interrupted",
    "Plan",
    "Trainable",
    "TunedslError",
    "asha",
    "choice",
    "diff",
    "diverged",
    "elapsed",
    "fifo",
    "grid",
    "hyperband",
    "iteration",
    "load",
    "lograndint",
    "loguniform",
    "metric",
    "pbt",
    "plateau",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "random_search",
    "ref",
    "replay",
    "report",
    "resume",
    "sample_from",
    "sobol",
    "space",
    "tpe",
    "trial",
    "uniform",
]

_LATER = {
    **dict.fromkeys(("Trainable", "report", "trial"), "tunedsl.trainable"),
    "load": "tunedsl.results",
    "replay": "tunedsl.journal",
    "resume": "tunedsl.engine",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

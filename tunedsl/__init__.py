"""The public names of tunedsl: hyperparameter tuning as a value.

`space(...)` starts an experiment, clauses extend it, and `.run()` runs it. Searchers, schedulers, and everything that
needs Ray or pandas are imported when they are first used. No logic lives here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError, CompileError, Divergence, Interrupted, TunedslError
from tunedsl.base.lazy_imports import lazy_attributes
from tunedsl.base.verbs import provide
from tunedsl.experiment import Experiment, space
from tunedsl.plan import Plan, backoff, command, diff
from tunedsl.spaces import (
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
from tunedsl.stopping import diverged, elapsed, iteration, metric, plateau

if TYPE_CHECKING:
    from tunedsl.configs import experiment_from_config
    from tunedsl.integrations import space_from_ray
    from tunedsl.journal import replay
    from tunedsl.results import load
    from tunedsl.runs import control, fork, resume, run
    from tunedsl.schedulers import asha, fifo, hyperband, pbt
    from tunedsl.searchers import auto, gp, random_search, sobol, tpe
    from tunedsl.worker import Trainable, report, trial

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
    "auto",
    "backoff",
    "choice",
    "command",
    "control",
    "diff",
    "diverged",
    "elapsed",
    "experiment_from_config",
    "fifo",
    "fork",
    "gp",
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
    "run",
    "sample_from",
    "sobol",
    "space",
    "space_from_ray",
    "tpe",
    "trial",
    "uniform",
]

lazy_attributes(
    __name__,
    {
        "configs": "experiment_from_config",
        "integrations": "space_from_ray",
        "journal": "replay",
        "results": "load",
        "runs": "control fork resume run",
        "schedulers": "asha fifo hyperband pbt",
        "searchers": "auto gp random_search sobol tpe",
        "worker": "Trainable report trial",
    },
)

provide(run="tunedsl.runs:run", rerun="tunedsl.runs:rerun", what_if="tunedsl.runs:what_if")
provide(project="tunedsl.runs:project")
provide(serve_dashboard="tunedsl.dashboard:serve", write_report="tunedsl.web.report:write_report")

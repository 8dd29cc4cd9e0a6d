"""Starts, resumes, amends, controls and simulates runs.

Nothing here chooses a configuration or stops a trial: those are decisions of the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunedsl.base.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from tunedsl.runs import control
    from tunedsl.runs.forecast import Forecast, dry_run
    from tunedsl.runs.forking import fork, fork_experiment
    from tunedsl.runs.rerun import rerun
    from tunedsl.runs.runs import resume, resume_experiment, run

__all__ = ["Forecast", "control", "dry_run", "fork", "fork_experiment", "rerun", "resume", "resume_experiment", "run"]

lazy_attributes(
    __name__,
    {
        "control": "control",
        "forecast": "Forecast dry_run",
        "forking": "fork fork_experiment",
        "rerun": "rerun",
        "runs": "resume resume_experiment run",
    },
)

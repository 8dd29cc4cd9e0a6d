"""A run from its folder to its results: start, resume, amend, control, dry run.

Nothing here chooses a configuration or ends a trial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunedsl.base.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from tunedsl.runs import control
    from tunedsl.runs.forecast import Forecast, dry_run
    from tunedsl.runs.rerun import rerun
    from tunedsl.runs.runs import resume, resume_experiment, run

__all__ = ["Forecast", "control", "dry_run", "rerun", "resume", "resume_experiment", "run"]

lazy_attributes(
    __name__,
    {"control": "control", "forecast": "Forecast dry_run", "rerun": "rerun", "runs": "resume resume_experiment run"},
)

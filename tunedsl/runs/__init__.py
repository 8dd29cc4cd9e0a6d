"""Starts, resumes, amends, controls and simulates runs.

Nothing here chooses a configuration or stops a trial: those are decisions of the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunedsl.base.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from tunedsl.runs import control
    from tunedsl.runs.asked_trial import AskedTrial
    from tunedsl.runs.dry_runs import dry_run
    from tunedsl.runs.forecast import Forecast, Range
    from tunedsl.runs.forking import fork, fork_experiment
    from tunedsl.runs.opening import open_experiment, open_path
    from tunedsl.runs.projection import Projection, project
    from tunedsl.runs.rerun import rerun
    from tunedsl.runs.runs import resume, resume_experiment, run
    from tunedsl.runs.study import Study
    from tunedsl.runs.what_if import what_if

__all__ = [
    "AskedTrial",
    "Forecast",
    "Projection",
    "Range",
    "Study",
    "control",
    "dry_run",
    "fork",
    "fork_experiment",
    "open_experiment",
    "open_path",
    "project",
    "rerun",
    "resume",
    "resume_experiment",
    "run",
    "what_if",
]

lazy_attributes(
    __name__,
    {
        "asked_trial": "AskedTrial",
        "control": "control",
        "dry_runs": "dry_run",
        "forecast": "Forecast Range",
        "forking": "fork fork_experiment",
        "opening": "open_experiment open_path",
        "projection": "Projection project",
        "rerun": "rerun",
        "runs": "resume resume_experiment run",
        "study": "Study",
        "what_if": "what_if",
    },
)

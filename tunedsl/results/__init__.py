"""Results of a run, read from its journal alone: best trial, frames, plots and stories.

The run may be in progress. pandas is imported when the first frame is made.
"""

from tunedsl.base.verbs import provide
from tunedsl.results.lineage import ray_policy
from tunedsl.results.results import Results, load
from tunedsl.results.trial import TrialError, TrialResult

__all__ = ["Results", "TrialError", "TrialResult", "load", "ray_policy"]

provide(
    compare="tunedsl.results.comparison:compare",
    results_html="tunedsl.results.displays:results_html",
    trial_html="tunedsl.results.displays:trial_html",
)

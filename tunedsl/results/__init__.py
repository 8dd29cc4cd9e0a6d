"""Results of a run, read from its journal alone: best trial, frames, plots and stories.

The run may be in progress. pandas is imported when the first frame is made.
"""

from tunedsl.results.lineage import ray_policy
from tunedsl.results.results import Results, load
from tunedsl.results.trial import TrialError, TrialResult

__all__ = ["Results", "TrialError", "TrialResult", "load", "ray_policy"]

"""Results: frames, the best trial, curves and stories, read from a journal and from nothing else.

A run may still be going on. pandas is imported where a frame is made, not before.
"""

from tunedsl.results.lineage import ray_policy
from tunedsl.results.results import Results, load
from tunedsl.results.trial import TrialError, TrialResult

__all__ = ["Results", "TrialError", "TrialResult", "load", "ray_policy"]

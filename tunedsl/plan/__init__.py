"""The plan of an experiment, its text and its differences, and the clauses that it is compiled from.

How a definition becomes a plan is in `compiler`.
"""

from tunedsl.base.verbs import provide
from tunedsl.plan.command import Command, command
from tunedsl.plan.diff import Change, Diff, diff
from tunedsl.plan.plan import Plan
from tunedsl.plan.settings import Backoff, CheckpointPolicy, Resources, Retry, Timeout, backoff

__all__ = [
    "Backoff",
    "Change",
    "CheckpointPolicy",
    "Command",
    "Diff",
    "Plan",
    "Resources",
    "Retry",
    "Timeout",
    "backoff",
    "command",
    "diff",
]

provide(explain="tunedsl.plan.explain:explain", preview="tunedsl.plan.preview:preview")

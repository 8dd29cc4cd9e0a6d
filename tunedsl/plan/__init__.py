"""The plan as a value: its data, its text, its differences; and the clauses that a user writes it with."""

from tunedsl.base.verbs import provide
from tunedsl.plan.diff import Change, Diff, diff
from tunedsl.plan.plan import Plan
from tunedsl.plan.settings import Backoff, CheckpointPolicy, Resources, Retry, Timeout, backoff

__all__ = ["Backoff", "Change", "CheckpointPolicy", "Diff", "Plan", "Resources", "Retry", "Timeout", "backoff", "diff"]

provide(explain="tunedsl.plan.explain:explain", preview="tunedsl.plan.preview:preview")

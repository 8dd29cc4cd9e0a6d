"""The plan as a value: its data, its text, its differences; and the clauses that a user writes it with."""

from tunedsl.plan.diff import Change, Diff, diff
from tunedsl.plan.plan import Plan
from tunedsl.plan.settings import CheckpointPolicy, Resources, Retry, Timeout

__all__ = ["Change", "CheckpointPolicy", "Diff", "Plan", "Resources", "Retry", "Timeout", "diff"]

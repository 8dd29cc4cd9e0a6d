"""Pass 6: the metrics that objectives, conditions and policies look at, against those that are reported."""

from __future__ import annotations

from collections.abc import Iterator

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.names import did_you_mean
from tunedsl.base.types import AUTOMATIC_METRICS
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.directions import better
from tunedsl.compiler.stopping import conditions
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.stopping import condition_metrics


def check(case: CompileContext) -> Iterator[Diagnostic]:
    """Objectives: none, or in a doubtful direction; and metrics that the trainable's source never reports."""
    clauses = case.clauses
    scheduler = scheduler_of(case.scheduler)
    if not clauses.objectives and not scheduler.requirements(case.scheduler).objective:
        expected = "a metric to compare trials by"
        hint = 'add .minimize("loss") or .maximize("accuracy") to have results.best'
        yield Diagnostic("W032", "objective", "no objective", expected, hint)
    for goal in clauses.objectives:
        if better(goal.metric) not in (None, goal.mode):
            other = "max" if goal.mode == "min" else "min"
            found = f".{goal.mode}imize({goal.metric!r})"
            expected = f".{other}imize({goal.metric!r}), as the metric's name says"
            hint = "under a name that says its direction, such as 'neg_loss', there is no warning"
            yield Diagnostic("W033", f"objective.{goal.metric}", found, expected, hint)
    if case.source_facts is None or case.source_facts.reported_metrics is None or clauses.trainable is None:
        return
    reported = case.source_facts.reported_metrics
    looked_at = [("objective", goal.metric) for goal in clauses.objectives]
    looked_at += [("stop", name) for condition in conditions(case) for name in condition_metrics(condition)]
    looked_at += [("scheduler", name) for name in scheduler.metrics_used(case.scheduler)]
    for subject, name in dict.fromkeys(looked_at):
        if name not in reported and name not in AUTOMATIC_METRICS:
            found = f"{name!r}, which {clauses.trainable.name} never reports"
            yield Diagnostic("W031", subject, found, "a metric that is reported", did_you_mean(name, reported))

"""Pass 8: whether the trainable reports the metrics that objectives, conditions and policies use."""

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


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Warns about a missing objective, a doubtful direction, and metrics that are never reported."""
    clauses = context.clauses
    scheduler = scheduler_of(context.scheduler)
    if not clauses.objectives and not scheduler.requirements(context.scheduler).objective:
        hint = 'add .minimize("loss") or .maximize("accuracy") to have results.best'
        yield Diagnostic("W032", "objective", "The experiment has no objective to compare trials by.", hint)
    for goal in clauses.objectives:
        if better(goal.metric) not in (None, goal.mode):
            other = "max" if goal.mode == "min" else "min"
            message = f".{goal.mode}imize({goal.metric!r}) contradicts the name of the metric."
            hint = f"write .{other}imize({goal.metric!r}), or rename the metric, for example to 'neg_loss'"
            yield Diagnostic("W033", f"objective.{goal.metric}", message, hint)
    if context.source_facts is None or context.source_facts.reported_metrics is None or clauses.trainable is None:
        return
    reported = context.source_facts.reported_metrics
    used = [("objective", goal.metric) for goal in clauses.objectives]
    used += [("stop", name) for condition in conditions(context) for name in condition_metrics(condition)]
    used += [("subject_to", name) for condition in clauses.constraints for name in condition_metrics(condition)]
    used += [("until", name) for condition in clauses.until for name in condition_metrics(condition)]
    used += [("scheduler", name) for name in scheduler.metrics_used(context.scheduler)]
    for subject, name in dict.fromkeys(used):
        if name not in reported and name not in AUTOMATIC_METRICS:
            message = f"{clauses.trainable.name} never reports the metric {name!r}."
            hint = did_you_mean(name, reported) or f"report {name!r}, or name a metric that is reported"
            yield Diagnostic("W031", subject, message, hint)

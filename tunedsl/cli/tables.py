"""Results as tables and text for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

from tunedsl.base.errors import NoResult
from tunedsl.base.objective import Objective, total_violation
from tunedsl.base.plain_json import json_text
from tunedsl.base.references import format_keywords, source_repr
from tunedsl.cli.group import plain
from tunedsl.results import Results, TrialResult
from tunedsl.results.failures import failures
from tunedsl.runs.resume_command import next_command

DIGITS = 6


def ranked(results: Results) -> list[TrialResult]:
    """All trials, the best last report first, then failed trials, then trials without a report."""
    objective = objective_of(results)
    if objective is None:
        return results.trials
    return [results.trials[place] for place in results.order(objective)]


def objective_of(results: Results) -> Objective | None:
    """The first objective, if there is one."""
    return next(iter(results.plan.objectives), None)


def table(results: Results, trials: Sequence[TrialResult]) -> Table:
    """A table with one row for each trial: its status, iterations, metrics and configuration."""
    metrics = list(dict.fromkeys(name for trial in trials for name in trial.metrics if not name.startswith("time_")))
    objective = objective_of(results)
    if objective is not None and objective.metric in metrics:
        metrics.insert(0, metrics.pop(metrics.index(objective.metric)))
    metrics = [name for name in metrics if name != "training_iteration"]
    made = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("trial", "status"):
        made.add_column(name, no_wrap=True)
    for name in ("iterations", *metrics):
        made.add_column(plain(name), justify="right", no_wrap=True)
    constrained = bool(results.plan.constraints)
    if constrained:
        made.add_column("violation", justify="right", no_wrap=True)
    made.add_column("config", overflow="fold", ratio=1)
    for trial in trials:
        found = trial.metrics
        values = [_cell(found[name]) if name in found else "" for name in metrics]
        values += [_violation(trial)] if constrained else []
        made.add_row(
            trial.id,
            trial.status,
            str(trial.iterations),
            *map(plain, values),
            plain(format_keywords(trial.config, DIGITS)),
        )
    return made


def as_json(results: Results, trials: Sequence[TrialResult]) -> str:
    """The same as JSON; numbers that are not finite are null."""
    rows = [
        {
            "id": trial.id,
            "number": trial.number,
            "status": trial.status,
            "stop_reason": trial.stop_reason,
            "iterations": trial.iterations,
            "metrics": trial.metrics,
            **({"feasible": trial.feasible, "violations": trial.violations} if results.plan.constraints else {}),
            "config": trial.config,
            "error": trial.error.message if trial.error is not None else None,
        }
        for trial in trials
    ]
    found = results.peak
    peak = None if found is None else attrs.asdict(found)
    statuses = results.stats.statuses
    content = {"path": str(results.path), "state": results.state, "statuses": statuses, "peak": peak, "trials": rows}
    return json_text(content)


def summary(console: Console, results: Results, told: bool = False) -> None:
    """Print how an experiment ended: failures, state, best trial and folder.

    Args:
        told: whether failures have been printed already.
    """
    failed = "" if told else failures(results)
    if failed:
        head, *rest = failed.split("\n")
        console.print(plain(head, "red"))
        console.print(plain("\n".join(rest)), soft_wrap=True)
    console.print(plain(f"{results.state}, {results.stats.said}"))
    objective = objective_of(results)
    if objective is not None:
        try:
            best = results.best
            value = _cell(best.metrics[objective.metric])
            console.print(
                plain(f"best {objective.metric}={value} in trial {best.id}: {format_keywords(best.config, DIGITS)}")
            )
        except NoResult as reason:
            console.print(plain(f"no best trial: {reason}"))
        if results.peak is not None:
            console.print(plain(str(results.peak)))
    if results.feasibility is not None:
        console.print(plain(str(results.feasibility)))
    parent = results.forked_from
    if parent is not None:
        console.print(plain(f"forked from {parent.run} after record {parent.record}"), soft_wrap=True)
    console.print(plain(f"results in {results.path}"), soft_wrap=True)
    if results.state.startswith("interrupted"):
        console.print(plain(f"to continue: {next_command(results.journal)}"), soft_wrap=True)


def _violation(trial: TrialResult) -> str:
    """The total violation of the outcome constraints; empty for a feasible trial, and before the first report."""
    if not trial.iterations or trial.feasible:
        return ""
    total = total_violation(trial.violations.values())
    return _cell(total) if math.isfinite(total) else "not known"


def _cell(value: Any) -> str:
    return (
        f"{value:.{DIGITS}g}" if isinstance(value, float) else value if isinstance(value, str) else source_repr(value)
    )

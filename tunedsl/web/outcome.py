"""What a run came to, as JSON: its best trials, its counts, and its failures, those alike together."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tunedsl.base.errors import NoResult
from tunedsl.kernel.amending import max_trials
from tunedsl.kernel.events import FIRST_USER_TRIAL
from tunedsl.results import Results
from tunedsl.results.trial_history import TrialHistory
from tunedsl.stopping import describe_condition
from tunedsl.web.content import RunContent
from tunedsl.web.rows import MAX_COLUMNS, cell, said, short
from tunedsl.web.trials import plain_text

MAX_KINDS: Final = 40
"""Kinds of failures that are listed."""
MAX_NAMED: Final = 8
"""Trials that are named for each kind."""
MAX_SHOWN: Final = 1_000
"""Characters of a value of the best configuration; the trial's own page has more."""
MAX_TRACE: Final = 6_000
"""Characters of a traceback, its end."""


def outcome_of(run: RunContent) -> dict[str, Any]:
    """What a run came to."""
    results = run.results
    failures = _failures(results)
    return {
        "facts": _facts(results),
        "best": _best(results),
        "failures": failures[:MAX_KINDS],
        "more_failures": max(0, len(failures) - MAX_KINDS),
    }


def _facts(results: Results) -> list[tuple[str, str]]:
    stats, plan = results.stats, results.plan
    added = sum(number >= FIRST_USER_TRIAL for number in results.reading.records)
    feasible = results.feasibility
    found = [
        ("experiment", plan.name),
        ("objective", ", ".join(f"{goal.metric} ({goal.mode})" for goal in plan.objectives) or "none"),
        ("subject to", " and ".join(map(describe_condition, plan.constraints))),
        ("feasible", "" if feasible is None else str(feasible)),
        ("trials ended", f"{stats.ended:,} of {max_trials(plan) + added:,}"),
        *((name, f"{count:,}") for name, count in stats.statuses.items()),
        ("attempts", f"{stats.attempts:,}"),
        ("iterations", f"{stats.iterations:,}"),
        ("time", _duration(stats.seconds)),
        ("training, all trials", _duration(stats.training_seconds)),
        ("trials at a time", f"{results.reading.width:,}"),
        ("checkpoints kept", f"{stats.checkpoints:,}"),
    ]
    return [(name, short(text, 400)) for name, text in found if text not in ("0", "")]


def _best(results: Results) -> list[dict[str, Any]]:
    """The best trial by each objective, or the reason for its absence."""
    found = []
    for goal in results.plan.objectives:
        made: dict[str, Any] = {"metric": short(goal.metric), "mode": goal.mode, "reason": ""}
        try:
            best = results.best_trial(goal.metric, goal.mode, "last")
        except NoResult as reason:
            found.append({**made, "reason": str(reason)})
            continue
        peak = results.peak_of(goal)
        made |= {
            "trial": best.number,
            "name": short(best.id),
            "status": best.status,
            "iterations": best.iterations,
            "checkpoint": "" if best.checkpoint is None else str(best.checkpoint),
            "peak": "" if peak is None else short(str(peak), 400),
            "rerun": f"tunedsl.load({str(results.path)!r}).rerun({best.number})",
            "config": [(short(name), short(said(item), MAX_SHOWN)) for name, item in _some(best.config)],
            "metrics": [(short(name), cell(item)) for name, item in _some(best.metrics)],
        }
        found.append(made)
    return found


def _some(items: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return itertools.islice(items.items(), MAX_COLUMNS)


def _failures(results: Results) -> list[dict[str, Any]]:
    """Failed attempts, those alike together, the most frequent first."""
    alike: dict[tuple[str, str], list[tuple[TrialHistory, str, bool]]] = defaultdict(list)
    for record in results.reading.records.values():
        for place, failure in enumerate(record.failures, 1):
            last = record.status == "failed" and place == len(record.failures)
            alike[failure.kind, failure.message].append((record, failure.traceback, last))
    found = [
        {
            "kind": kind,
            "message": short(plain_text(message), 2_000),
            "traceback": _end(plain_text(next((trace for _, trace, _ in each if trace), ""))),
            "attempts": len(each),
            "given_up": sum(last for _, _, last in each),
            "trials": list({record.number: (record.number, short(record.name)) for record, _, _ in each}.values())[
                :MAX_NAMED
            ],
        }
        for (kind, message), each in alike.items()
    ]
    return sorted(found, key=lambda each: -int(each["attempts"]))


def _end(trace: str) -> str:
    return trace if len(trace) <= MAX_TRACE else f"…\n{trace[-MAX_TRACE:]}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"

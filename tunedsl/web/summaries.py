"""What a run has come to, and what happens in it now, as JSON."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tunedsl.base.references import format_keywords
from tunedsl.plan import diff
from tunedsl.results.trial_history import RunHistory, TrialHistory
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers.contract import searcher_of
from tunedsl.spaces.layout import resolve_space
from tunedsl.views.counters import time_left
from tunedsl.web.content import RunContent
from tunedsl.web.rows import MAX_CHANGES, MAX_COLUMNS, cell, said, short

MAX_SPARKS: Final = 48
"""Points of a sparkline."""
MAX_WORKERS: Final = 200
"""Running trials that are named one by one."""
MAX_FAILURES: Final = 20
"""Trials that failed last, which are named."""
MAX_LINES: Final = 400
MAX_LINE: Final = 400
"""Lines of a plan, and characters of each."""
ENCODED: Final = ("sinks", "output")
"""What is recorded of a run's origin in a form that only a resume reads."""


def summary_of(run: RunContent) -> dict[str, Any]:
    """A line of the store: small, whatever the run's size."""
    counters = run.counters
    if counters is None or (run.error and not run.history.records):
        return unreadable(run.name, run.error)
    history = run.history
    plan, best = counters.plan, counters.best
    done, total = counters.progress
    iterations = run.table.iterations
    left = None
    if history.driven:
        left = time_left(plan.budget, run.elapsed, counters.statuses.over, counters.total, iterations)
    goal = plan.objectives[0] if plan.objectives else None
    return {
        "run": run.name,
        "name": short(plan.name),
        "phase": _phase(history),
        "state": short(_state(history), 400),
        "error": short(run.error, 400),
        "began": short(str(history.journal.header.provenance.get("at", "")), 40),
        "trials": len(history.records),
        "total": counters.total,
        "done": done / total if total else 0.0,
        "statuses": counters.counts(history.driven),
        "failed": counters.statuses.counts["failed"],
        "iterations": iterations,
        "metric": short(goal.metric) if goal else "",
        "mode": goal.mode if goal else "",
        "best": cell(best.value) if best else None,
        "best_trial": best.trial if best else None,
        "best_name": short(history.records[best.trial].name) if best else "",
        "improved": counters.history[-1][0] if counters.history else None,
        "objectives": len(plan.objectives),
        "spark": _thinned(counters.history, history.seconds),
        "seconds": run.elapsed,
        "left": left,
        "searcher": short(searcher_of(plan.searcher).name),
        "scheduler": short(scheduler_of(plan.scheduler).name),
    }


def unreadable(name: str, why: str) -> dict[str, Any]:
    """The line of a run whose journal cannot be read."""
    state = short(f"cannot be read: {why}", 400)
    return {"run": name, "name": name, "phase": "unreadable", "state": state, "began": "", "statuses": {}}


def _phase(history: RunHistory) -> str:
    if history.finish:
        return "finished"
    if history.driven:
        return "running"
    closed = "" if history.suspended else history.closed or ""
    return next((word for word in ("paused", "failed") if closed.startswith(word)), "interrupted")


def _state(history: RunHistory) -> str:
    """The state of a run: of one that was paused, that word, then who asked for it and why."""
    return history.closed or "" if _phase(history) in ("paused", "failed") else history.state


def _thinned(points: Sequence[tuple[float, float]], until: float) -> list[tuple[float, float]]:
    """At most `MAX_SPARKS` of the points, and the last value at the end."""
    if not points:
        return []
    step = max(1, math.ceil(len(points) / MAX_SPARKS))
    chosen = [*points[::step], points[-1]]
    return [*chosen, (max(until, chosen[-1][0]), chosen[-1][1])]


def now_of(run: RunContent) -> dict[str, Any]:
    """What a run does now: its workers and their trials, what is waited for, its budget, and its last failures."""
    counters = run.counters
    if counters is None:
        return {**summary_of(run), "version": run.version, "place": str(run.place)}
    history = run.history
    chosen = heapq.nsmallest(MAX_WORKERS, counters.running) if history.driven else []
    return {
        **summary_of(run),
        "version": run.version,
        "width": history.width,
        "last": counters.last_iteration,
        "workers": [_worker(history.records[number], run.elapsed) for number in chosen],
        "waits": list(_waits(run)),
        "budget": _budget(run),
        "failures": [
            {
                "trial": failed.trial,
                "name": short(history.records[failed.trial].name),
                "kind": failed.kind,
                "message": short(failed.message, 300),
            }
            for failed in reversed(counters.failures)
        ],
    }


def _worker(record: TrialHistory, elapsed: float) -> dict[str, Any]:
    span = record.spans[-1] if record.spans else None
    last = record.last_report_seconds
    return {
        "trial": record.number,
        "name": short(record.name),
        "worker": short(span.worker) if span else "",
        "attempt": record.attempts,
        "iterations": record.iterations,
        "since": elapsed - span.start if span else None,
        "silent": elapsed - last if math.isfinite(last) and span and last >= span.start else None,
        "config": short(said(dict(record.config)), 160),
    }


def _waits(run: RunContent) -> Iterator[str]:
    """What is waited for, one sentence each."""
    history, counters = run.history, run.counters
    assert counters is not None  # there is a history
    counts = counters.statuses.counts
    if not history.driven:
        if not history.finish:
            waiting = counts["pending"] + counts["paused"] + counts["running"]
            rest = f"; {_count(waiting, 'trial waits', 'trials wait')} for a resume" if waiting else ""
            yield f"No driver runs this experiment{rest}."
        return
    running, width = counts["running"], history.width
    if not width:
        yield "There is no worker: the run waits for one to join."
    elif running < width:
        yield f"{running:,} of {width:,} workers are busy."
    else:
        yield "The only worker is busy." if width == 1 else f"All {width:,} workers are busy."
    if counts["pending"]:
        yield f"{_count(counts['pending'], 'trial waits', 'trials wait')} for a worker."
    if counts["paused"]:
        name = scheduler_of(counters.plan.scheduler).name
        paused = _count(counts["paused"], "paused trial waits", "paused trials wait")
        yield f"{paused} until the scheduler {name} continues or ends it."
    if run.searcher_state == "waiting":
        yield "The searcher waits for results before it proposes the next configuration."
    elif run.searcher_state == "exhausted":
        yield "The searcher has no more configurations: the run ends with the trials in progress."
    elif len(history.records) >= counters.total:
        yield "All trials are proposed: the run ends with the trials in progress."


def _count(amount: int, one: str, many: str) -> str:
    return f"{amount:,} {one if amount == 1 else many}"


def _budget(run: RunContent) -> list[dict[str, Any]]:
    """Each limit of the run, and how much of it is used."""
    counters = run.counters
    assert counters is not None  # the caller has a history
    budget = counters.plan.budget
    used = [
        ("trials proposed", len(run.history.records), counters.total),
        ("seconds", run.elapsed, budget.seconds),
        ("iterations", run.table.iterations, budget.iterations),
        ("failures", counters.statuses.counts["failed"], budget.failures),
    ]
    return [{"name": name, "used": amount, "limit": limit} for name, amount, limit in used if limit is not None]


def plan_of(run: RunContent) -> dict[str, Any]:
    """The plan as text, where it came from, and what was changed in it."""
    journal, plan = run.history.journal, run.history.plan
    names = [param.name for param in resolve_space(plan.space).cube_params]
    changes = [str(each) for each in diff(journal.first_plan, plan).changes][:MAX_CHANGES]
    provenance = {
        name: short(format_keywords(item) if isinstance(item, dict) else str(item), 1_000)
        for name, item in journal.header.provenance.items()
        if item is not None and name not in ENCODED
    }
    return {
        "text": "\n".join(short(line, MAX_LINE) for line in plan.explain().splitlines()[:MAX_LINES]),
        "digest": plan.digest,
        "provenance": provenance,
        "place": str(run.place),
        "amended": [short(each, 400) for each in changes],
        "objectives": [[short(goal.metric), goal.mode] for goal in plan.objectives],
        "parameters": [name for name in names if short(name) == name][:MAX_COLUMNS],
    }

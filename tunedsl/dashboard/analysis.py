"""Comparisons of runs, replays under other policies, and the fields of a space, as JSON."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
from plotly.io.json import to_json_plotly

from tunedsl.base.errors import NoResult, TunedslError
from tunedsl.base.references import Literal, source_repr
from tunedsl.cli.what_if import as_data, changes_of
from tunedsl.compiler.replanning import replan
from tunedsl.dashboard.watching import WatchedRun
from tunedsl.results import Results, frames
from tunedsl.results.plots.several import several
from tunedsl.results.plots.style import untitled
from tunedsl.results.selection import choose_objective, find_record
from tunedsl.runs.what_if import replay_with
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.spaces.domains import Branch
from tunedsl.spaces.encoding import column_values
from tunedsl.spaces.layout import Layout, ResolvedParam, resolve_space
from tunedsl.stopping.reading import last_iteration
from tunedsl.web.rows import MAX_CHANGES, MAX_COLUMNS, MAX_MESSAGE, cell, short

MAX_COMPARED: Final = 8
MAX_REPLAYED: Final = 1_000_000
"""Reports of a replay, of all trials together."""

MAX_FIELD: Final = 2_000
"""Characters of a name, an option or a value in the form of a new configuration; a longer one is not offered."""

FORECASTS: Final = 10
"""Simulations of a forecast."""

_replaying = threading.Lock()


def compare(runs: Sequence[WatchedRun], over: str) -> str:
    """Runs next to each other: facts, configurations, differences of the plans from the first, and a figure.

    Raises:
        NoResult: for fewer than two runs, or too many.
    """
    if not 2 <= len(runs) <= MAX_COMPARED:
        raise NoResult(f"Choose 2 to {MAX_COMPARED} runs to compare.")
    first = runs[0].results
    facts, differences = [], []
    for run in runs:
        compared = first.compare(run.results)
        facts.append({name: cell(two) for name, _, two in compared.rows})
        changes = [[each.path, short(each.before, 400), short(each.after, 400)] for each in compared.diff.changes]
        differences.append(changes[:MAX_CHANGES])
    names = list(dict.fromkeys(name for each in facts for name in each))
    try:
        objective = choose_objective(first.plan)
        histories = {run.name: run.history for run in runs}
        figure = several(histories, objective, "seconds" if over == "seconds" else "iterations")
        title, notes = untitled(figure)
        drawn: Any = {**figure.to_plotly_json(), "title": title, "notes": notes}
    except NoResult as error:
        drawn = {"error": short(str(error), MAX_MESSAGE)}
    text: str = to_json_plotly(
        {
            "runs": [run.name for run in runs],
            "facts": [[short(name), *(each.get(name) for each in facts)] for name in names],
            "differences": differences,
            "figure": drawn,
        }
    )
    return text


def replay_options(run: WatchedRun) -> dict[str, Any]:
    """What a replay can change: the scheduler with its options, the stop rules, and the width."""
    plan = run.history.plan
    return {
        "scheduler": {"text": short(repr(plan.scheduler), 1_000), **_options(plan.scheduler)},
        "stop": "" if plan.stop is None else short(repr(plan.stop), 1_000),
        "until": "" if plan.until is None else short(repr(plan.until), 1_000),
        "parallel": plan.parallel or run.history.width or 1,
        "longest": max((record.iterations for record in run.history.records.values()), default=0),
    }


def _options(spec: Any) -> dict[str, Any]:
    fields = []
    for field in attrs.fields(type(spec)):
        item = getattr(spec, field.name)
        kind = "boolean" if isinstance(item, bool) else "integer" if isinstance(item, int) else "number"
        if isinstance(item, (bool, int, float)) and (isinstance(item, bool) or math.isfinite(item)):
            fields.append({"name": field.name, "kind": kind, "value": item})
    return {"name": scheduler_of(spec).name, "options": fields}


def what_if(run: WatchedRun, sets: Sequence[str], over: str) -> str:
    """A replay of the recorded curves: its figures with what is censored, and its picture.

    Raises:
        NoResult: when another replay runs, or the run is too large.
        TunedslError: for a wrong clause.
    """
    changes = changes_of(sets)
    with run.reading():
        plan, trials = run.history.plan, len(run.history.records)
    last = last_iteration(replan(plan, changes).stop) or 0
    if trials * max(last, 1) > MAX_REPLAYED or (changes.clauses.parallel or 0) > MAX_REPLAYED:
        message = f"A replay on this page makes at most {MAX_REPLAYED:,} reports."
        raise NoResult(f"{message}\n  help: tunedsl what-if {run.place}")
    with _one_at_a_time():
        results = Results(run.journal())  # so that other pages of this run need not wait
        forecast = replay_with(results, changes)
        recorded = _recorded(results)
        figure = results.plot.what_if(forecast, "seconds" if over == "seconds" else "iterations")
        title, _ = untitled(figure)
    data = as_data(forecast)
    outcomes = [each for each in data["outcomes"] if not each["known"]]
    text: str = to_json_plotly(
        {
            **data,
            "figures": [{**each, "recorded": recorded.get(each["name"])} for each in data["figures"]],
            "outcomes": outcomes[:MAX_CHANGES],
            "trials": len(data["outcomes"]),
            "estimated": len(outcomes),
            "texts": list(map(str, forecast.figures)),
            "figure": {**figure.to_plotly_json(), "title": title, "notes": ""},
        }
    )
    return text


def _recorded(results: Results) -> dict[str, Any]:
    """What the run came to, by the names that a replay's figures have."""
    stats = results.stats
    found: dict[str, Any] = {"iterations": stats.iterations, "seconds": stats.seconds}
    found.update({str(status): count for status, count in stats.statuses.items()})
    for goal in results.plan.objectives:
        with contextlib.suppress(NoResult):
            found[f"best {goal.metric}"] = cell(results.best_trial(goal.metric, goal.mode, "last").metrics[goal.metric])
    return found


def forecast(run: WatchedRun) -> dict[str, Any]:
    """How much is left of a run, by simulations of its rest: a text of several lines.

    Raises:
        NoResult: before the first report, when another replay runs, or the run is too large.
    """
    with run.reading():
        plan, trials = run.history.plan, max(len(run.history.records), run.history.plan.trials)
    if trials * max(last_iteration(plan.stop) or 1, 1) * FORECASTS > MAX_REPLAYED:
        raise NoResult(f"The run is too large for this page.\n  help: tunedsl.load({str(run.place)!r}).forecast()")
    with _one_at_a_time():
        return {"text": str(Results(run.journal()).forecast(FORECASTS))}


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    if not _replaying.acquire(timeout=20):
        raise NoResult("Another replay is in progress.\n  help: try again in a moment")
    try:
        yield
    finally:
        _replaying.release()


def parameters(run: WatchedRun, trial: int | None) -> list[dict[str, Any]]:
    """The parameters of a new configuration, with a trial's values as text that `add` accepts.

    Options are such texts too; those of a choice between spaces, and its value, are the names of the spaces.

    Args:
        trial: its number; None for no values.
    """
    layout = resolve_space(run.history.plan.space)
    found = {} if trial is None else _texts(layout, run, trial)
    return [
        {
            "name": param.name,
            "label": short(param.name),
            "domain": short(_domain_text(param), 300),
            "options": _option_texts(param.node),
            "branches": isinstance(param.node, Branch),
            "value": _kept(found.get(param.name)),
            "optional": param.condition is not None,
        }
        for param in layout.params
        if (param.dim is not None or param.grid_axis is not None) and len(param.name) <= MAX_FIELD
    ][:MAX_COLUMNS]  # fmt: skip


def _kept(text: str | None) -> str | None:
    return text if text is not None and len(text) <= MAX_FIELD else None


def _domain_text(param: ResolvedParam) -> str:
    domain = f"one of {len(param.node.options)} spaces" if isinstance(param.node, Branch) else repr(param.node)
    return domain if param.condition is None else f"{domain}, when {param.condition!r}"


def _option_texts(domain: Any) -> list[str]:
    if isinstance(domain, Branch):
        return [name for name, _ in domain.options[:MAX_COLUMNS] if len(name) <= MAX_FIELD]
    options: Any = getattr(domain, "options", None) or getattr(domain, "values", ())
    texts = (_as_text(option.object) for option in options[:MAX_COLUMNS] if isinstance(option, Literal))
    return [text for text in texts if len(text) <= MAX_FIELD]


def _texts(layout: Layout, run: WatchedRun, trial: int) -> Mapping[str, str]:
    """The values of a trial's configuration as text, by parameter."""
    try:
        config: Any = frames.config_of(find_record(run.history, trial))
        chosen = dict(zip((param.name for param in layout.cube_params), column_values(layout, config), strict=True))
    except (TunedslError, TypeError, AttributeError):
        return {}
    texts = {}
    for param in layout.params:
        item = chosen[param.name][0] if chosen.get(param.name) else frames.parameter(config, param)
        if item is not None or chosen.get(param.name):
            texts[param.name] = str(item) if isinstance(param.node, Branch) else _as_text(item)
    return texts


def _as_text(item: Any) -> str:
    try:
        return msgspec.json.encode(item).decode()
    except TypeError:
        return source_repr(item)

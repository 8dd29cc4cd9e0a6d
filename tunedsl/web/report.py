"""The report: the web application in one file, with the answers that a server would give to it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tunedsl.base.errors import NoResult, TunedslError
from tunedsl.results import Results
from tunedsl.results.fidelity import offered
from tunedsl.results.plots import COMPARING
from tunedsl.results.plots.style import plotly
from tunedsl.results.story import tell_stories
from tunedsl.web import STATIC
from tunedsl.web.bundle import bundle
from tunedsl.web.content import RunContent
from tunedsl.web.notes import Notes, read_notes
from tunedsl.web.outcome import outcome_of
from tunedsl.web.rows import FIXED, MAX_MESSAGE, short
from tunedsl.web.summaries import now_of, plan_of
from tunedsl.web.trials import curves_of, told, trial_of

MAX_CELLS: Final = 250_000
"""Of the table of trials; more trials than fill it are left out, the best ones stay."""
MAX_WIDTH: Final = 60
"""Its columns."""
MAX_DETAILED: Final = 1_000
"""Trials whose pages and curves are contained: the best, and those that failed."""
MAX_TOLD: Final = 50_000
"""Records of the stories that are told, of all trials together."""
DIGITS: Final = 6
REPORT_FILE: Final = "report.html"


def write_report(results: Results, path: str | Path | None = None, forecast: Any = None) -> Path:
    """Write the report; see `Results.report`."""
    if path is None:
        if not isinstance(results.path, Path) or not results.path.is_dir():
            raise NoResult(
                f"The report cannot be written to {results.path}.\n  help: write report(path) with another folder"
            )
        path = results.path / REPORT_FILE
    path = Path(path).expanduser()
    path.write_text(page(results, forecast), encoding="utf-8")
    return path


def page(results: Results, forecast: Any = None) -> str:
    """The report as text. All that a run says is in packed blocks, whose letters mean nothing to HTML.

    Raises:
        NoResult: without plotly; it names the extra.
    """
    plotly()
    from plotly.offline import get_plotlyjs

    library, script = get_plotlyjs(), bundle("app", {"requests": "embedded"})
    css, library_css = ((STATIC / name).read_text("utf-8") for name in ("app.css", "plotly.css"))
    policy = (
        f"default-src 'none'; script-src {_digest(library)} {_digest(script)}; "
        f"style-src {_digest(css)} {_digest(library_css)}; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    blocks = [f'<script type="application/octet-stream" data-for="{name}">{_packed(text)}</script>'
              for name, text in [*_answers(results, forecast), ("plotly", library)]]  # fmt: skip
    text = (STATIC / "index.html").read_text("utf-8")
    for old, new in [
        (
            '<meta charset="utf-8">',
            f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">',
        ),
        ('<link rel="stylesheet" href="/static/app.css">', f"<style>{css}</style>"),
        ('<link rel="stylesheet" href="/static/plotly.css" ', "<style "),
        ('class="no-inline-styles">', f'class="no-inline-styles">{library_css}</style>'),
        ('<script type="module" src="/static/app.js"></script>\n', ""),
        ("</body>", "\n".join([*blocks, f'<script type="module">{script}</script>', "</body>"])),
    ]:
        before, found, after = text.partition(old)
        assert found, old
        text = before + new + after
    return text


def _answers(results: Results, forecast: Any) -> Iterator[tuple[str, bytes | str]]:
    """The blocks by their names: the addresses of answers below that of the run, or groups of them."""
    run = RunContent.of(results)
    if isinstance(run.place, Path) and not run.place.is_dir():
        run.name = results.plan.name  # it is in memory
    notes = read_notes(run.place)
    numbers, detailed = _ordered(results)
    amounts = itertools.accumulate(len(run.stories.records_of(number)) for number in detailed)
    told_of = detailed[: max(1, sum(amount <= MAX_TOLD for amount in amounts))]
    session = {
        "report": run.name,
        "read_only": True,
        "store": str(run.place),
        "forecast": forecast is not None,
        "absent": ["what-if", *(["notes"] if notes == Notes() else [])],
    }
    yield (
        "run",
        _json(
            {
                "session": session,
                "now": now_of(run),
                "plan": {**plan_of(run), "notes": notes},
                "outcome": outcome_of(run),
                "left_trials": f"The report has the pages of {len(detailed):,} trials, the best and those "
                f"that failed. The dashboard has all: tunedsl dashboard {run.place}",
                "left_stories": f"The report tells what happened to {len(told_of):,} trials, the "
                f"best and those that failed. For others: tunedsl why {run.place} NUMBER",
            }
        ),
    )
    yield "table", _json(_table(run, numbers))
    yield "trials", _json(dict(_details(run, detailed, told_of)))
    yield from _figures(run, forecast)


def _ordered(results: Results) -> tuple[list[int], list[int]]:
    """The numbers of all trials, the best first; and of those with pages, whose first have stories."""
    numbers = list(results.reading.records)
    if results.plan.objectives:
        numbers = [numbers[place] for place in results.order(results.plan.objectives[0])]
    failed = [number for number in numbers if results.reading.records[number].failures]
    mixed = [number for pair in zip(numbers, failed, strict=False) for number in pair]
    return numbers, list(dict.fromkeys([*mixed, *numbers]))[:MAX_DETAILED]


def _table(run: RunContent, numbers: list[int]) -> dict[str, Any]:
    """The answer of a server about the table, of limited size."""
    names = run.table.columns
    goals = [f"metric:{goal.metric}" for goal in run.history.plan.objectives]
    first = [name for name in names if name in FIXED or name in goals or name.startswith("config:")]
    kept = {*first[:MAX_WIDTH], *[name for name in names if name not in first][: max(MAX_WIDTH - len(first), 0)]}
    places = [at for at, name in enumerate(names) if name in kept]
    rows = {row[0]: row for row in run.table.since(-1)}
    shown = numbers[: max(MAX_CELLS // len(places), 100)]
    left = [f"the report has the best {len(shown):,} of {len(numbers):,}" if len(shown) < len(numbers) else "",
            f"{len(names) - len(places)} more columns are left out" if len(places) < len(names) else ""]  # fmt: skip
    return {
        "version": run.version,
        "whole": True,
        "columns": [names[at] for at in places],
        "rows": [[_rounded(rows[number][at]) for at in places] for number in shown],
        "left": ", ".join(filter(None, left)),
    }


def _rounded(item: Any) -> Any:
    return float(f"{item:.{DIGITS}g}") if isinstance(item, float) and math.isfinite(item) else item


def _details(run: RunContent, numbers: list[int], told_of: list[int]) -> Iterator[tuple[str, Any]]:
    for number in numbers:
        yield f"trials/{number}", {**trial_of(run, number), "logs": []}
        yield f"curves/{number}", curves_of(run, number)
    records = [run.history.records[number] for number in told_of]
    for record, story in zip(records, tell_stories(run.history.journal, records, run.stories), strict=True):
        yield f"trials/{record.number}/story", told(story)


def _figures(run: RunContent, forecast: Any) -> Iterator[tuple[str, bytes | str]]:
    """The figures, also as they compare trials at other iterations, or the reasons why they cannot be drawn."""
    from tunedsl.web.figures import FIGURES, as_json, drawn

    for kind in FIGURES:
        for option, value in [("", ""), *_options(run, kind)]:
            name = f"figures/{kind}?{option}={value}" if option else f"figures/{kind}"
            try:
                yield name, drawn(run, kind, {option: value} if option else {})
            except TunedslError as reason:
                if not option:
                    yield name, _json({"nothing": short(str(reason), MAX_MESSAGE)})
    if forecast is not None:
        yield "figures/forecast", as_json(run.results.plot.forecast(forecast))


def _options(run: RunContent, kind: str) -> list[tuple[str, str]]:
    """The other ways to draw a figure."""
    if kind == "best":
        return [("over", "trials")]
    if kind not in COMPARING:
        return []
    counts = run.results.fidelities() if run.history.plan.objectives else {}
    others = offered(counts) if counts else []
    if len(others) == 1 and all(record.iterations in (0, *counts) for record in run.history.records.values()):
        return []  # all trials came equally far
    return [("fidelity", str(each)) for each in [*others, *(["last"] if others and kind != "pareto" else [])]]


def _json(item: Any) -> bytes:
    return msgspec.json.encode(item)


def _packed(text: bytes | str) -> str:
    data = text.encode() if isinstance(text, str) else text
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

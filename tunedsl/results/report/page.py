"""The page: what stands on it, and how data gets into it safely. `page.html`, `page.css` and `page.js` are beside."""

from __future__ import annotations

import base64
import gzip
import math
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from tunedsl.base.codec import UnresolvedObject
from tunedsl.base.errors import NoResult, TunedslError
from tunedsl.base.references import format_keywords, source_repr
from tunedsl.kernel.amending import max_trials
from tunedsl.kernel.events import FIRST_USER_TRIAL
from tunedsl.results import frames
from tunedsl.results.fidelity import Fidelity, highest, offered
from tunedsl.results.plots import COMPARING, KINDS
from tunedsl.results.plots.style import COLOURS, plotly, untitled
from tunedsl.stopping import describe_condition

if TYPE_CHECKING:
    from tunedsl.results.results import Results

CELLS: Final = 250_000
"""Of the table of trials; more trials than fill it are left out, the best ones stay."""
WIDEST: Final = 60
"""Columns of it."""
FIRST: Final = frames.FIXED_COLUMNS
"""Columns that are there in any case, with objectives and parameters."""
LONGEST: Final = 80
"""Characters of a cell."""
FAILURES: Final = 40
"""Kinds of failures that are told."""
TRACE: Final = 6_000
"""Characters of a traceback, its end."""
DIGITS: Final = 6
LAST: Final = "each trial's own last report"
REPORT_FILE: Final = "report.html"


@attrs.frozen
class Choice:
    """One way to compare trials, and the figure of it."""

    block: str
    label: str
    chosen: bool
    data: str


@attrs.frozen
class Picture:
    """A picture, as it is first seen, and the other ways to compare its trials."""

    kind: str
    title: str
    notes: str
    height: int
    choices: tuple[Choice, ...]


@attrs.frozen
class Failure:
    """Attempts that failed in the same way.

    Attributes:
        trials: ids of the first few.
        given_up: how many of the attempts were their trial's last.
    """

    kind: str
    message: str
    traceback: str
    attempts: int
    given_up: int
    trials: tuple[str, ...]


def write(results: Results, path: str | Path | None = None, forecast: Any = None) -> Path:
    """Writes the page; see `Results.report`."""
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
    """The page as text.

    Raises:
        NoResult: without plotly or jinja2; it names the extra.
    """
    plotly()
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise NoResult("Reports need jinja2, which is not installed.\n  help: pip install 'tunedsl[plots]'") from None
    from plotly.offline import get_plotlyjs

    here = files(__package__ or "tunedsl.results.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pictures, missing = _pictures(results, forecast)
    failures, more = _failures(results)
    return environment.from_string((here / "page.html").read_text("utf-8")).render(
        name=results.plan.name,
        state=results.state,
        facts=_facts(results),
        best=_best(results),
        table=_embedded(_table(results)),
        failures=failures,
        more_failures=more,
        pictures=pictures,
        missing=missing,
        plan=results.plan.explain(),
        provenance=_provenance(results),
        css=(here / "page.css").read_text("utf-8"),
        js=(here / "page.js").read_text("utf-8"),
        plotly=_packed(get_plotlyjs()),
    )


def _facts(results: Results) -> list[tuple[str, str]]:
    stats = results.stats
    goals = ", ".join(f"{goal.metric} ({goal.mode})" for goal in results.plan.objectives)
    added = sum(number >= FIRST_USER_TRIAL for number in results.reading.records)
    feasible = results.feasibility
    found = [
        ("objective", goals or "none"),
        ("subject to", " and ".join(map(describe_condition, results.plan.constraints))),
        ("feasible", "" if feasible is None else str(feasible)),
        ("trials ended", f"{stats.ended:,} of {max_trials(results.plan) + added:,}"),
        *((name, f"{count:,}") for name, count in stats.statuses.items()),
        ("attempts", f"{stats.attempts:,}"),
        ("iterations", f"{stats.iterations:,}"),
        ("time", _duration(stats.seconds)),
        ("training, all trials", _duration(stats.training_seconds)),
        ("trials at a time", f"{results.reading.width:,}"),
        ("checkpoints kept", f"{stats.checkpoints:,}"),
    ]
    return [(name, text) for name, text in found if text not in ("0", "")]


def _best(results: Results) -> list[dict[str, Any]]:
    """The best trial by each objective, or the reason for its absence."""
    found = []
    for goal in results.plan.objectives:
        try:
            best = results.best_trial(goal.metric, goal.mode, "last")
        except NoResult as reason:
            found.append({"goal": goal, "reason": str(reason)})
            continue
        metrics = {name: _cell(item) for name, item in best.metrics.items()}
        config = {name: _said(item) for name, item in best.config.items()}
        peak = results.peak_of(goal)
        better = "" if peak is None else str(peak)
        found.append({"goal": goal, "reason": "", "trial": best, "metrics": metrics, "config": config, "peak": better})
    return found


def _table(results: Results) -> dict[str, Any]:
    """The trials as columns, the best first."""
    frame = results.dataframe()
    count = len(frame)
    if results.plan.objectives:
        frame = frame.iloc[results.order(results.plan.objectives[0])]
    names = list(frame.columns)
    columns = _kept(names, [frames.column_of(goal.metric, names) for goal in results.plan.objectives])
    frame = frame[columns].head(max(CELLS // max(len(columns), 1), 100))
    return {
        "columns": columns,
        "values": [[_cell(item) for item in frame[name].astype(object)] for name in columns],
        "trials": count,
        "left": len(results.dataframe().columns) - len(columns),
        "coloured": "status",
        "colours": COLOURS,
    }


def _kept(columns: list[str], objectives: list[str]) -> list[str]:
    """The columns of a table that has room for some, in their order: parameters and objectives before other metrics."""
    first = [name for name in columns if name in FIRST or name in objectives or name.startswith("config/")]
    kept = {*first[:WIDEST], *[name for name in columns if name not in first][: max(WIDEST - len(first), 0)]}
    return [name for name in columns if name in kept]


def _cell(item: Any) -> Any:
    """A number of few digits, a short text, or None."""
    if item is None or item is getattr(item, "NA", False) or type(item).__name__ == "NAType":
        return None
    if isinstance(item, bool):
        return str(item)
    if isinstance(item, (int, float)):
        if not math.isfinite(item):
            return None if math.isnan(item) else str(item)
        return item if isinstance(item, int) and abs(item) < 2**53 else float(f"{item:.{DIGITS}g}")
    text = _said(item)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _said(item: Any) -> str:
    """Somebody's value in a line."""
    if isinstance(item, str):
        return item
    if isinstance(item, UnresolvedObject):
        return item.reference
    if isinstance(item, float):
        return f"{item:.{DIGITS}g}"
    return format_keywords(item, DIGITS) if type(item) is dict else source_repr(item)


def _failures(results: Results) -> tuple[list[Failure], int]:
    """Failed attempts, those alike together, the most frequent first; and how many kinds are left out."""
    alike: dict[tuple[str, str], list[tuple[str, str, bool]]] = defaultdict(list)
    for record in results.reading.records.values():
        for place, failure in enumerate(record.failures, 1):
            last = record.status == "failed" and place == len(record.failures)
            alike[failure.kind, failure.message].append((record.name, failure.traceback, last))
    found = [
        Failure(
            kind,
            message,
            _tail(next((trace for _, trace, _ in each if trace), "")),
            len(each),
            sum(last for _, _, last in each),
            tuple(dict.fromkeys(name for name, _, _ in each[:8])),
        )
        for (kind, message), each in alike.items()
    ]
    found.sort(key=lambda failure: -failure.attempts)
    return found[:FAILURES], max(0, len(found) - FAILURES)


def _tail(trace: str) -> str:
    return trace if len(trace) <= TRACE else f"…\n{trace[-TRACE:]}"


def _pictures(results: Results, forecast: Any) -> tuple[list[Picture], list[tuple[str, str]]]:
    """What can be drawn, and why the rest cannot."""
    found, missing = [], []
    for kind in KINDS:
        if kind == "forecast" and forecast is None:
            continue
        try:
            drawn = getattr(results.plot, kind)(*([forecast] if kind == "forecast" else []))
        except TunedslError as reason:
            missing.append((kind, str(reason)))
            continue
        title, notes = untitled(drawn)
        height = int(drawn.layout.height)
        found.append(Picture(kind, title, notes, height, tuple(_choices(results, kind, (title, notes, drawn)))))
    return found, missing


def _choices(results: Results, kind: str, first: tuple[str, str, Any]) -> Iterator[Choice]:
    """The figure as it is first seen, among those that compare trials at other iterations, ascending."""
    counts = results.fidelities() if kind in COMPARING else {}
    own: Fidelity = "last" if kind == "pareto" or not counts else highest(counts)
    others: list[Fidelity] = [*offered(counts), "last"] if counts else []
    if len(others) == 2 and all(record.iterations in (0, *counts) for record in results.reading.records.values()):
        others = []  # all trials came equally far
    for fidelity in others or [own]:
        title, notes, drawn = first
        label = f"iteration {fidelity:,} ({counts[fidelity]:,} trials)" if isinstance(fidelity, int) else LAST
        if fidelity != own:
            try:
                drawn = getattr(results.plot, kind)(fidelity=fidelity)
            except NoResult:
                continue
            title, notes = untitled(drawn)
        block = f"data-{kind}" if fidelity == own else f"data-{kind}-{fidelity}"
        data = _embedded({**drawn.to_plotly_json(), "title": title, "notes": notes})
        yield Choice(block, label, fidelity == own, data)


def _provenance(results: Results) -> list[tuple[str, str]]:
    header = results.journal.header
    found = [("journal", str(results.journal.path)), ("plan", header.digest), ("seed", str(results.plan.seed))]
    for name, item in header.provenance.items():
        if item is not None and not (isinstance(item, dict) and any(tag.startswith("$") for tag in item)):
            found.append((name, format_keywords(item) if isinstance(item, dict) else str(item)))
    return found


def _embedded(item: Any) -> str:
    """Data as packed JSON in letters that mean nothing to HTML."""
    from plotly.io.json import to_json_plotly

    return _packed(to_json_plotly(item) if isinstance(item, dict) and "layout" in item else _json(item))


def _json(item: Any) -> str:
    return msgspec.json.encode(item).decode()


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"

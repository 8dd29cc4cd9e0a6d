"""Plots of population based training: takeovers between trials, and hyperparameters over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np

from tunedsl.base import codec
from tunedsl.base.errors import NoResult
from tunedsl.base.references import find_loaded, source_repr
from tunedsl.results import frames
from tunedsl.results.lineage import policy_of
from tunedsl.results.plots import style
from tunedsl.results.plots.data import PlotTrials
from tunedsl.results.trial_history import Takeover, TrialHistory
from tunedsl.spaces.domains import Domain
from tunedsl.spaces.layout import DeclaredParam, index_space

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_TRIALS: Final = 60
"""Maximum number of trials with their own line."""
LINKS: Final = 600
"""Maximum number of takeovers drawn."""
PANELS: Final = 8


def lineage(trials: PlotTrials) -> go.Figure:
    """One line per trial over its iterations, coloured by the metric; an arrow per takeover, from its donor."""
    shown = _members(trials)
    takeovers = trials.history.takeovers
    row = {trials.records[place].number: at for at, place in enumerate(shown)}
    links = [each for each in takeovers if each.trial in row and each.donor in row]
    ancestors = _ancestors(trials)
    drawn = [links[place] for place in style.sample(len(links), LINKS)]
    notes = [
        f"{len(takeovers):,} takeovers",
        style.drawn(len(shown), len(trials), "trials") + (", the best ones" if len(shown) < len(trials) else ""),
        f"{len(drawn):,} takeovers drawn" if len(drawn) < len(takeovers) else "",
        "an arrow points from the donor to the trial that continues from its checkpoint",
        "thick: the origin of the best trial's weights",
    ]
    made = style.figure("Lineage of the population", notes, 140 + 17 * max(len(shown), 8))
    made.add_trace(_reports(trials, shown))
    for chosen, colour, width in (
        ([each for each in drawn if each not in ancestors], "rgba(60,60,60,0.35)", 1.0),
        ([each for each in links if each in ancestors], style.COLOURS["failed"], 2.6),
    ):
        if chosen:
            made.add_trace(_arrows(trials, chosen, row, colour, width))
    labels = [style.text(trials.records[place].name, 20) for place in shown]
    made.update_xaxes(style.iterations(max(trials.records[place].iterations for place in shown)))
    made.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=labels,
        range=[len(labels) - 0.4, -0.6],
        title="trial",
        automargin=True,
    )
    return made


def _reports(trials: PlotTrials, shown: Sequence[int]) -> go.Scatter:
    """One square per report, coloured by the metric."""
    metric = trials.objective.metric
    name = style.text(metric)
    dots = [_dots(trials.records[place], metric) for place in shown]
    values = np.concatenate([each[1] for each in dots]) if dots else np.zeros(0)
    log = style.is_log(values, trials.sign)
    colours = np.log10(values) if log else values
    low, high = style.colour_range(colours, trials.sign)
    return style.plotly().Scatter(
        x=np.concatenate([each[0] for each in dots]),
        y=np.repeat(np.arange(len(shown)), [len(each[0]) for each in dots]),
        mode="markers",
        showlegend=False,
        marker={
            "symbol": "square",
            "size": 7,
            "color": colours,
            "colorscale": style.SCALE,
            "reversescale": trials.sign > 0,
            "cmin": low,
            "cmax": high,
            "colorbar": style.colour_bar(name, colours, low, high, log),
        },
        text=[style.text(trials.records[p].name) for p, each in zip(shown, dots, strict=True) for _ in each[0]],
        hovertext=[f"{value:.6g}" for value in values],
        customdata=[trials.records[p].number for p, each in zip(shown, dots, strict=True) for _ in each[0]],
        hovertemplate=f"trial %{{text}}<br>iteration %{{x}}<br>{name} %{{hovertext}}<extra></extra>",
    )


def _arrows(
    trials: PlotTrials, takeovers: Sequence[Takeover], row: Mapping[int, int], colour: str, width: float
) -> go.Scatter:
    """One arrow per takeover, from the donor's line to the line of the trial that took over."""
    names = {record.number: style.text(record.name) for record in trials.records}
    x: list[float | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    for each in takeovers:
        x += [each.iteration, each.iteration + 0.35, None]
        y += [row[each.donor], row[each.trial], None]
        text = f"trial {names[each.trial]} takes over from {names[each.donor]}"
        texts += [f"{text}<br>after iteration {each.iteration}, {each.seconds:.6g} s"] * 3
    return style.plotly().Scatter(
        x=x,
        y=y,
        mode="lines+markers",
        showlegend=False,
        line={"color": colour, "width": width},
        marker={"symbol": "arrow", "angleref": "previous", "size": [0, 9, 0] * len(takeovers), "color": colour},
        text=texts,
        customdata=[number for each in takeovers for number in (each.donor, each.trial, None)],
        hovertemplate="%{text}<extra></extra>",
    )


def schedule(trials: PlotTrials, parameters: Sequence[str] | None = None) -> go.Figure:
    """One panel per hyperparameter that changed: its value over each trial's iterations, the best trial's thick."""
    _members(trials)
    chosen = _changed_parameters(trials, parameters)
    from plotly.subplots import make_subplots

    style.plotly()
    names = list(chosen)[:PANELS]
    ranked = trials.ranked
    shown = ranked[style.sample(len(ranked), MAX_TRIALS, np.arange(min(len(ranked), 10)))].tolist()
    notes = [
        style.drawn(len(shown), len(ranked), "trials with a value"),
        "thick: the configurations that trained the weights of the best trial, over its takeovers",
        f"the first {len(names)} of {len(chosen)} that changed" if len(names) < len(chosen) else "",
    ]
    frame = style.figure("Hyperparameters over time", notes, 250 * len(names) if len(names) > 1 else 380)
    made = make_subplots(len(names), 1, shared_xaxes=True, vertical_spacing=0.05)
    made.update_layout(frame.layout)
    best = trials.records[ranked[0]]
    policy, total = policy_of(trials.history.journal, best.number)
    for index, name in enumerate(names, 1):
        steps = chosen[name]
        path = [(at, steps.read(config)) for at, config in policy]
        made.add_trace(_values(trials, shown, name, steps, index == 1), row=index, col=1)
        made.add_trace(_best_values(best, path, total, name, index == 1), row=index, col=1)
        made.update_yaxes(_value_axis(name, steps), row=index, col=1)
    reports = max(total, *(trials.records[place].iterations for place in shown))
    made.update_xaxes({**style.iterations(reports), "title": "iteration of training"}, row=len(names), col=1)
    return made


def _changed_parameters(trials: PlotTrials, parameters: Sequence[str] | None) -> dict[str, _Steps]:
    """The hyperparameters that changed during a trial, or those of them that are named.

    Raises:
        NoResult: for an unknown name, or when no hyperparameter changed.
    """
    entries = {"/".join(entry.path): entry for entry in index_space(trials.history.plan.space).params}
    for name in parameters or ():
        if name not in entries:
            raise NoResult(f"The space has no parameter {name!r}.\n  help: the parameters are {', '.join(entries)}")
    steps = {name: _steps(trials, entries[name]) for name in entries if parameters is None or name in parameters}
    chosen = {name: each for name, each in steps.items() if each.changed}
    if not chosen:
        raise NoResult("No hyperparameter changed during a trial.")
    return chosen


def _values(trials: PlotTrials, shown: Sequence[int], name: str, steps: _Steps, legend: bool) -> go.Scatter:
    """One step line per trial: the value of a hyperparameter over its iterations."""
    x: list[float | None] = []
    y: list[Any] = []
    labels: list[str] = []
    numbers: list[int] = []
    for place in shown:
        record = trials.records[place]
        held = steps.of[place]
        x += [*(at for at, _ in held), record.iterations, None]
        y += [*(value for _, value in held), held[-1][1], None]
        labels += [style.text(record.name)] * (len(held) + 2)
        numbers += [record.number] * (len(held) + 2)
    return style.plotly().Scatter(
        x=x,
        y=y,
        text=labels,
        customdata=numbers,
        mode="lines",
        line={"shape": "hv", "width": 1, "color": "rgba(0,114,178,0.4)"},
        name="trials",
        showlegend=legend,
        hovertemplate=f"trial %{{text}}<br>from iteration %{{x}}<br>{style.text(name)} %{{y}}<extra></extra>",
    )


def _best_values(
    best: TrialHistory, path: Sequence[tuple[int, Any]], total: int, name: str, legend: bool
) -> go.Scatter:
    """The values of a hyperparameter that trained the weights of the best trial."""
    return style.plotly().Scatter(
        x=[*(at for at, _ in path), total],
        y=[*(value for _, value in path), path[-1][1]],
        mode="lines",
        line={"shape": "hv", "width": 3, "color": style.BEST},
        name="the best",
        showlegend=legend,
        customdata=[best.number] * (len(path) + 1),
        hovertemplate=f"the best, trial {style.text(best.name)}<br>from iteration %{{x}}"
        f"<br>{style.text(name)} %{{y}}<extra></extra>",
    )


def _value_axis(name: str, steps: _Steps) -> dict[str, Any]:
    """The axis of a hyperparameter: its options, powers of ten, or numbers."""
    axis: dict[str, Any] = {"title": {"text": style.text(name) + (" (log)" if steps.log else "")}}
    if steps.options:
        options = [style.text(option, 20) for option in steps.options]
        axis |= {"tickvals": list(range(len(options))), "ticktext": options}
    elif steps.log:
        axis |= {"type": "log", "exponentformat": "power", "dtick": style.log_step(steps.decades)}
    elif (numbers := steps.numbers) and all(isinstance(number, int) for number in numbers):
        axis |= style.whole(min(numbers), max(numbers))
    return axis


def _members(trials: PlotTrials) -> list[int]:
    """Positions of the trials drawn, in the order proposed; the best ones when there are too many."""
    if not trials.history.takeovers:
        raise NoResult("No trial continued from another one, as in population based training.")
    return sorted(int(place) for place in trials.ranked[:MAX_TRIALS])


def _dots(record: TrialHistory, metric: str) -> tuple[style.Floats, style.Floats]:
    column = record.column(metric)
    if column is None:
        return np.zeros(0), np.zeros(0)
    dots = style.sample(len(column.values), 200)
    return np.asarray(column.rows)[dots] + 1.0, np.asarray(column.values)[dots]


def _ancestors(trials: PlotTrials) -> set[Any]:
    """The takeovers behind the weights of the best trial."""
    trial, until, found = trials.records[trials.ranked[0]].number, math.inf, set()
    for each in reversed(trials.history.takeovers):
        if each.trial == trial and each.seconds <= until:
            found.add(each)
            trial, until = each.donor, each.seconds
    return found


@attrs.frozen(eq=False)
class _Steps:
    """One hyperparameter over time.

    Attributes:
        of: for each trial, iterations and the value after each.
        options: its values as text, when they are not numbers.
    """

    entry: DeclaredParam
    of: list[list[tuple[int, Any]]]
    options: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return any(value != held[0][1] for held in self.of for _, value in held)

    @property
    def numbers(self) -> list[Any]:
        """All numeric values; empty when there are options."""
        return [] if self.options else [value for held in self.of for _, value in held if value is not None]

    @property
    def log(self) -> bool:
        numbers = self.numbers
        return bool(numbers) and isinstance(self.entry.node, Domain) and self.entry.node.log and min(numbers) > 0

    @property
    def decades(self) -> float:
        return math.log10(max(self.numbers) / min(self.numbers))

    def read(self, config: Any) -> Any:
        found = frames.parameter(config, self.entry)
        return self.options.index(_text(found)) if self.options and found is not None else found


def _steps(trials: PlotTrials, entry: DeclaredParam) -> _Steps:
    raw = [
        [(at, frames.parameter(codec.decode(config, find_loaded), entry)) for at, config in record.configs]
        for record in trials.records
    ]
    values = [value for held in raw for _, value in held if value is not None]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return _Steps(entry, raw, ())
    options = tuple(sorted({_text(value) for value in values}))
    place = {option: index for index, option in enumerate(options)}
    of = [[(at, None if value is None else place[_text(value)]) for at, value in held] for held in raw]
    return _Steps(entry, of, options)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else source_repr(value)

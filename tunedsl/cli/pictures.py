"""The commands `plot` and `report`: one plot of an experiment, or all on one page."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunedsl.base.diagnostics import with_help
from tunedsl.cli.files import Target, experiment_of
from tunedsl.cli.group import cli, echo, file_option, files, path_argument, readable
from tunedsl.journal import Location
from tunedsl.results import Results, load
from tunedsl.results.plots import COMPARING, KINDS
from tunedsl.results.trial_history import SCOPES
from tunedsl.runs import dry_run

if TYPE_CHECKING:
    from tunedsl.runs import Forecast

FORMATS = {".html": "one page that opens without a network", ".json": "the figure as plotly's JSON"}
IMAGES = (".png", ".svg", ".pdf", ".jpg", ".webp")

OF_NO_METRIC = ("pareto", "hypervolume", "rungs", "workers", "forecast")


class FidelityType(click.ParamType):  # type: ignore[type-arg]  # no generic in older versions
    """An iteration, `auto` or `last`."""

    name = "ITERATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        return value if value in ("auto", "last") else click.IntRange(min=1).convert(value, param, ctx)


experiment_option = click.option(
    "--experiment",
    "target",
    metavar="FILE[:NAME]",
    shell_complete=files,
    help="The file of the experiment, for a forecast, if it was moved.",
)


@cli.command("plot", short_help="Draw a plot: best, curves, importance, ...")
@path_argument
@click.argument("kind", type=click.Choice(KINDS), default="best", metavar="[KIND]")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="A file: .html, .json, or an image such as .png or .svg."
)
@click.option("--metric", help="The metric; default the objective.")
@click.option("--mode", type=click.Choice(["min", "max"]), help="Which values of the metric are better.")
@click.option(
    "--scope", type=click.Choice(SCOPES), help="The score of each trial: its last value, its best, or a mean."
)
@click.option(
    "--fidelity",
    type=FidelityType(),
    help="The iteration at which trials are compared: a number, auto (the highest that enough trials reached) or"
    " last (each trial's own).",
)
@click.option("--open", "shown", is_flag=True, help="Open it in a browser.")
@experiment_option
@file_option
def _plot(
    path: Location,
    kind: str,
    out: Path | None,
    metric: str | None,
    mode: str | None,
    scope: str | None,
    fidelity: int | str | None,
    shown: bool,
    target: str | None,
    file: Path | None,
) -> None:
    """Draw a plot.

    KIND is best (the default), curves, parallel, slices, contour, importance, pareto, hypervolume, rungs, workers,
    lineage, schedule or forecast. Without --out it is KIND.html in this folder.
    """
    results = load(readable(path, file))
    given: dict[str, Any] = {
        name: item for name, item in (("metric", metric), ("mode", mode), ("scope", scope)) if item is not None
    }
    if kind in OF_NO_METRIC and given:
        options = ", ".join(f"--{name}" for name in given)
        raise click.UsageError(f"The plot {kind} does not take a metric, mode or scope.\n  help: leave out {options}")
    if fidelity is not None:
        if kind not in COMPARING:
            raise click.UsageError(
                f"The picture {kind} does not compare trials.\n  help: use --fidelity with {', '.join(COMPARING)}"
            )
        given["fidelity"] = fidelity
    out = Path(f"{kind}.html") if out is None else out
    _check_format(out)
    draw = getattr(results.plot, kind)
    save_plot(draw(_forecast(results, target)) if kind == "forecast" else draw(**given), out)
    _say(out, shown)


def _check_format(out: Path) -> None:
    if out.suffix not in (*FORMATS, *IMAGES):
        raise click.UsageError(f"The name in --out {out} must end with {', '.join((*FORMATS, *IMAGES))}.")


def save_plot(figure: Any, out: Path) -> None:
    """Writes a figure in the format of the file's name; raises `click.UsageError` if that is not possible."""
    _check_format(out)
    try:
        _save(figure, out)
    except OSError as error:
        raise _unwritten(out, error) from None


@cli.command("report", short_help="Write one HTML page with everything.")
@path_argument
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The file; report.html in the experiment's folder.")
@click.option("--open", "shown", is_flag=True, help="Open it in a browser.")
@click.option("--forecast", is_flag=True, help="Add a dry run for comparison.")
@experiment_option
@file_option
def _report(
    path: Location, out: Path | None, shown: bool, forecast: bool, target: str | None, file: Path | None
) -> None:
    """Write one HTML page with everything, which opens without a network."""
    results = load(readable(path, file))
    expected = _forecast(results, target) if forecast or target else None
    try:
        written = results.report(out, expected)
    except OSError as error:
        raise _unwritten(out or path, error) from None
    _say(written, shown)


def _unwritten(out: object, error: OSError) -> click.UsageError:
    return click.UsageError(f"{out} cannot be written: {error.strerror or error}.")


def _save(figure: Any, out: Path) -> None:
    """Write a figure in the format of the file's name."""
    if out.suffix == ".html":
        figure.write_html(out, include_plotlyjs=True)
    elif out.suffix == ".json":
        figure.write_json(out)
    else:
        try:
            figure.write_image(out)
        except (ImportError, ValueError, RuntimeError) as error:
            first = str(error).strip().partition("\n")[0]
            hint = "images need kaleido and a Chrome browser: pip install kaleido, or write .html"
            raise click.UsageError(with_help(f"--out {out} cannot be written: {first}.", hint)) from None


def _say(out: Path, shown: bool) -> None:
    echo(out)
    if shown:
        webbrowser.open(out.resolve().as_uri())


def _forecast(results: Results, target: str | None) -> Forecast:
    """A dry run with the measured duration of an iteration."""
    experiment = experiment_of(results.journal, Target.of(target) if target else None, option="--experiment")
    if experiment is None:
        raise click.UsageError(
            "A forecast needs the experiment, whose script does not exist.\n  help: pass --experiment FILE.py"
        )
    stats = results.stats
    cost = stats.training_seconds / stats.iterations if stats.iterations else 1.0
    return dry_run(experiment.seed(results.plan.seed), cost=cost or 1.0, workers=results.reading.width or None)

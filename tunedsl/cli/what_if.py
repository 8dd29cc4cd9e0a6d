"""The command `what-if`: replays the recorded curves of a run under another policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from tunedsl.base.errors import ArgumentError
from tunedsl.cli.group import cli, echo, echo_json, file_option, json_option, path_argument, readable
from tunedsl.cli.overrides import apply_overrides
from tunedsl.cli.pictures import save_plot
from tunedsl.experiment import Experiment
from tunedsl.journal import Location
from tunedsl.results import load
from tunedsl.runs.what_if import CLAUSES, replay_with

if TYPE_CHECKING:
    from tunedsl.runs import Forecast


@cli.command("what-if", short_help="Replay a run under another policy.")
@path_argument
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="NAME=VALUE",
    help="The other policy: scheduler='asha(max_t=27)', stop.training_iteration=9, until='best() < 0.1', parallel=8.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="A plot next to the actual run: .html, .json, .png.")
@click.option("--over", type=click.Choice(["iterations", "seconds"]), default="iterations", help="The plot's axis.")
@json_option
@file_option
def _what_if(
    path: Location, sets: Sequence[str], out: Path | None, over: Any, machine: bool, file: Path | None
) -> None:
    """Replay the recorded curves of a run under another policy; censored figures depend on missing reports."""
    results = load(readable(path, file))
    forecast = replay_with(results, changes_of(sets))
    if machine:
        echo_json(as_data(forecast))
    else:
        echo(forecast)
    if out is not None:
        save_plot(results.plot.what_if(forecast, over), out)
        echo(out, err=machine)


def changes_of(sets: Sequence[str]) -> Experiment:
    """The clauses that a replay replaces; raises `ArgumentError` for others."""
    for text in sets:
        clause = text.partition("=")[0].partition(".")[0].strip()
        if clause not in CLAUSES:
            message = f"A replay cannot change {clause!r}."
            raise ArgumentError("E003", f"--set {clause}", message, f"set one of {', '.join(CLAUSES)}")
    return apply_overrides(Experiment(), sets)


def as_data(forecast: Forecast) -> dict[str, Any]:
    """The replay's figures, outcomes and assumptions as data."""
    known = None if forecast.known_seconds == float("inf") else forecast.known_seconds
    return {
        "figures": [attrs.asdict(figure) for figure in forecast.figures],
        "outcomes": [attrs.asdict(outcome) for outcome in forecast.outcomes],
        "known_seconds": known,
        "width": forecast.width,
        "assumptions": list(forecast.assumptions),
    }

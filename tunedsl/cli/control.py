"""Commands that control a run in progress, from any terminal with access to its folder."""

from __future__ import annotations

from pathlib import Path

import click

from tunedsl.cli.group import cli, echo, file_option, path_argument, readable
from tunedsl.journal import Journal
from tunedsl.runs import control

wait_option = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=control.WAIT_SECONDS,
    show_default=True,
    help="Seconds to wait for the driver.",
)


@cli.command("stop", short_help="End a running experiment, or one of its trials.")
@path_argument
@click.argument("trial", required=False)
@wait_option
def _stop(path: Path, trial: str | None, wait: float) -> None:
    """End a running experiment, or one of its trials. Without a running driver, it takes effect at the next resume."""
    echo(control.stop(path, trial, wait=wait))


@cli.command(
    "add", short_help="Add a configuration to a running experiment.", context_settings={"ignore_unknown_options": True}
)
@path_argument
@click.argument("values", nargs=-1, required=True, metavar="NAME=VALUE...")
@wait_option
@file_option
def _add(path: Path, values: tuple[str, ...], wait: float, file: Path | None) -> None:
    """Run a configuration in addition to the searcher's proposals.

    Example: tunedsl add PATH lr=0.1 optimizer=adam
    """
    space = Journal(readable(path, file)).plan.space
    echo(control.add(path, control.configuration(space, values), wait=wait))


@cli.command("pause", short_help="Free the workers; resume continues.")
@path_argument
@wait_option
def _pause(path: Path, wait: float) -> None:
    """Free the workers of a running experiment and end its driver; resume continues it."""
    echo(control.pause(path, wait=wait))

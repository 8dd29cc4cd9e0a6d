"""Commands that mend: saving what a damaged journal proves."""

from __future__ import annotations

from pathlib import Path

import click

from tunedsl.cli.group import cli, file_option, files, path_argument, readable
from tunedsl.journal import Location, repair


@cli.command("repair", short_help="Save what a damaged journal proves.")
@path_argument
@file_option
@click.option(
    "--to", shell_complete=files, help="A new folder or address; without it, one beside PATH that ends in -repaired."
)
def _repair(path: Location, file: Path | None, to: str | None) -> None:
    """Save what a damaged journal proves into a new folder, and say what is lost. PATH itself stays as it is."""
    click.echo(repair(readable(path, file), to))

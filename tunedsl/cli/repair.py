"""The command `repair`: recover the valid records of a damaged journal."""

from __future__ import annotations

from pathlib import Path

import click

from tunedsl.cli.group import cli, echo, file_option, files, path_argument, readable
from tunedsl.journal import Location, repair


@cli.command("repair", short_help="Recover the valid records of a damaged journal.")
@path_argument
@file_option
@click.option("--to", shell_complete=files, help="A new folder or address; default PATH with -repaired at the end.")
def _repair(path: Location, file: Path | None, to: str | None) -> None:
    """Recover the valid records of a damaged journal into a new folder, and list the losses. PATH is unchanged."""
    echo(repair(readable(path, file), to))

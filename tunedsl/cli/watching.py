"""The command that shows a run from another terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tunedsl.cli.group import cli, file_option, path_argument, readable
from tunedsl.views.watch import watch


@cli.command("watch")
@path_argument
@file_option
@click.option("--once", is_flag=True, help="Show the current state once, and exit.")
def _watch(path: Path, file: Path | None, once: bool) -> None:
    """Watch an experiment that another process runs. Ctrl+C ends only this view."""
    watch(readable(path, file), sys.stdout, once)

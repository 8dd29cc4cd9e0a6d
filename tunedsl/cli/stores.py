"""Commands about a store: which experiments are there, and what may be removed."""

from __future__ import annotations

import attrs
import click
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from tunedsl.base.errors import JournalError
from tunedsl.cli.group import WRONG, cli, console, echo_json, files, json_option
from tunedsl.engine.runs import STORE
from tunedsl.stores import Freeable, experiments, free, freeable

DIGITS = 6


@cli.command("list")
@click.argument("store", default=STORE, shell_complete=files)
@json_option
def _list(store: str, machine: bool) -> None:
    """List the experiments under STORE, the newest first."""
    found = experiments(store)
    if machine:
        echo_json([attrs.asdict(entry) for entry in found])
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("experiment", "began"):
        table.add_column(name, no_wrap=True)
    for name in ("trials", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("best", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for entry in found:
        best = "" if entry.best is None else f"{entry.metric}={entry.best:.{DIGITS}g}"
        began = entry.began[:16].replace("T", " ")
        cells = (
            entry.path.name,
            began,
            f"{entry.trials:,}",
            f"{entry.errors:,}",
            best,
            decimal(entry.size),
            entry.state,
        )
        table.add_row(*map(Text, cells))
    console().print(table)


@cli.command("clean")
@click.argument("targets", nargs=-1, required=True, metavar="PATH...", shell_complete=files)
@click.option("--whole", is_flag=True, help="Remove the experiments as a whole, with their journals.")
@click.option("--yes", is_flag=True, help="Remove; without this, only say what would be.")
@click.pass_context
def _clean(ctx: click.Context, targets: tuple[str, ...], whole: bool, yes: bool) -> None:
    """Free disk space: checkpoints that nothing needs any more.

    Those are what crashes left half written and, of finished experiments, all but the best trial's. PATH is an
    experiment's folder or a store. What can be resumed keeps its checkpoints.
    """
    found: list[Freeable] = []
    for target in targets:
        for entry in experiments(target):
            try:
                found.append(freeable(entry.path, whole))
            except JournalError as error:
                click.echo(f"left as it is: {error}", err=True)
    idle: list[Freeable] = []
    for item in found:
        if item.size or item.places or whole:
            click.echo(f"{item.path}: {item.what}, {decimal(item.size)}")
        else:
            idle.append(item)
    if idle:
        click.echo(f"{idle[0].path if len(idle) == 1 else f'{len(idle):,} experiments'}: nothing to free")
    total = decimal(sum(item.size for item in found))
    if yes:
        free(found)
        click.echo(f"{total} freed")
    elif any(item.size for item in found):
        click.echo(f"{total} would be freed: give --yes to do it")
    if not found:
        click.echo("there is no experiment to clean", err=True)
        ctx.exit(WRONG)

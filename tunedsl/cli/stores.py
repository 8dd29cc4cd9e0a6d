"""Commands about a store: list its experiments, and remove files that nothing needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import click
from rich.filesize import decimal
from rich.table import Table

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError
from tunedsl.cli.group import WRONG, cli, console, echo, echo_json, files, json_option, plain
from tunedsl.runs.locations import STORE
from tunedsl.runs.stores import Freeable, StoredRun, delete_runs, freeable, list_runs

DIGITS: Final = 6
FEW: Final = 4
NARROW: Final = 120
"""Terminal width below which a list has fewer columns."""


@cli.command("list")
@click.argument("store", default=STORE, shell_complete=files)
@json_option
def _list(store: str, machine: bool) -> None:
    """List the experiments under STORE, the newest first."""
    found = list_runs(store)
    if machine:
        echo_json([attrs.asdict(entry) for entry in found])
        return
    if not found:
        echo(f"there is no experiment under {store}", err=True)
        return
    screen = console()
    screen.print(_listed(found, narrow=screen.width < NARROW))


def _listed(found: Sequence[StoredRun], narrow: bool) -> Table:
    """A table with one row for each experiment; `narrow` tables have only trials, best, size and state.

    The best value wraps if it is too long.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("experiment", no_wrap=True)
    if not narrow:
        table.add_column("began", no_wrap=True)
    table.add_column("trials", justify="right", no_wrap=True)
    if not narrow:
        table.add_column("of them", overflow="fold")
    table.add_column("best", overflow="fold", min_width=10)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold", no_wrap=narrow)
    for entry in found:
        best = "" if entry.best is None else f"{entry.metric}={entry.best:.{FEW if narrow else DIGITS}g}"
        began = [] if narrow else [entry.began[:16].replace("T", " ")]
        state = entry.state.partition(":")[0] if narrow else entry.state
        statuses = ", ".join(f"{count:,} {status}" for status, count in entry.statuses.items())
        counts = [f"{entry.trials:,}"] if narrow else [f"{entry.trials:,}", statuses]
        table.add_row(*map(plain, (entry.path.name, *began, *counts, best, decimal(entry.size), state)))
    return table


@cli.command("clean")
@click.argument("targets", nargs=-1, required=True, metavar="PATH...", shell_complete=files)
@click.option("--whole", is_flag=True, help="Remove the experiments as a whole, with their journals.")
@click.option("--yes", is_flag=True, help="Remove the files; without it, only list them.")
@json_option
@click.pass_context
def _clean(ctx: click.Context, targets: tuple[str, ...], whole: bool, yes: bool, machine: bool) -> None:
    """Free disk space: remove checkpoints that nothing needs.

    These are partial checkpoints of crashed trials and, in finished experiments, all but the best trial's. PATH is
    an experiment's folder or a store. Experiments that can be resumed keep their checkpoints.
    """
    found: list[Freeable] = []
    for target in targets:
        for entry in list_runs(target):
            try:
                found.append(freeable(entry.path, whole))
            except JournalError as error:
                echo(f"unchanged: {entry.path}: {reason(error)}", err=True)
    if not machine:
        _say(found, whole)
    if yes:
        delete_runs(found)
    total = decimal(sum(item.size for item in found))
    if machine:
        echo_json([{**attrs.asdict(item), "freed": yes} for item in found])
    elif yes:
        echo(f"{total} freed")
    elif any(item.size for item in found):
        echo(f"{total} would be freed: add --yes to remove")
    if not found:
        echo("no experiment to clean", err=True)
        ctx.exit(WRONG)


def _say(found: Sequence[Freeable], whole: bool) -> None:
    """One line for each experiment with files to remove, and one for all others."""
    idle: list[Freeable] = []
    for item in found:
        if item.size or item.places or whole:
            echo(f"{item.path}: {item.what}, {decimal(item.size)}")
        else:
            idle.append(item)
    if idle:
        echo(f"{idle[0].path if len(idle) == 1 else f'{len(idle):,} experiments'}: nothing to free")

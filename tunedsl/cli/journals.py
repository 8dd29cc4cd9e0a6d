"""Commands that read a journal: replay, show and why."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from tunedsl.cli import tables
from tunedsl.cli.group import cli, console, echo, echo_json, file_option, json_option, path_argument, readable
from tunedsl.journal import Location, replay
from tunedsl.results import load

MAX_SHOWN: Final = 10


@cli.command("replay")
@path_argument
@file_option
@json_option
def _replay(path: Location, file: Path | None, machine: bool) -> None:
    """Replay a journal, and check each recorded decision."""
    proof = replay(readable(path, file))
    if machine:
        state = {"trials": len(proof.state.trials), "iterations": proof.state.iterations}
        echo_json({"records": proof.records, "digest": proof.digest, "torn": proof.torn, **state})
    else:
        echo(proof)


@cli.command("show")
@path_argument
@file_option
@click.option("--all", "everything", is_flag=True, help=f"All trials, not the best {MAX_SHOWN}.")
@json_option
def _show(path: Location, file: Path | None, everything: bool, machine: bool) -> None:
    """Show the state of an experiment, the best trials first."""
    results = load(readable(path, file))
    trials = tables.ranked(results)[: None if everything else MAX_SHOWN]
    if machine:
        echo(tables.as_json(results, trials))
        return
    screen = console()
    screen.print(tables.table(results, trials))
    tables.summary(screen, results)


@cli.command("why", short_help="What was decided about a trial, and why.")
@path_argument
@click.argument("trial", required=False)
@file_option
@json_option
def _why(path: Location, trial: str | None, file: Path | None, machine: bool) -> None:
    """Explain a trial: its events, the decisions about it, and their reasons. TRIAL defaults to the best trial."""
    results = load(readable(path, file))
    if trial is None:
        trial = results.best.id
    known = {result.id for result in results.trials}
    story = results.why(trial if trial in known or not trial.isdecimal() else int(trial))
    if machine:
        echo_json({"path": str(results.path), "trial": trial, "story": str(story).splitlines()})
    else:
        echo(story)

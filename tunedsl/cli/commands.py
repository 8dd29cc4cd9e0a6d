"""The commands. Exit codes: 0 done, 1 trials failed, 2 the experiment is wrong, 3 replay diverged, 130 interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from tunedsl.base import codec
from tunedsl.base.diagnostics import errors_of
from tunedsl.base.errors import Divergence, Interrupted, JournalError, TunedslError
from tunedsl.cli import tables
from tunedsl.cli.files import experiment_at, experiment_of, import_file
from tunedsl.engine import dry_run, resume, resume_experiment, run
from tunedsl.journal import Journal, replay
from tunedsl.results import Results, load

FAILED: Final = 1
WRONG: Final = 2
DIVERGED: Final = 3
INTERRUPTED: Final = 130
WIDE: Final = 160
"""Columns where no terminal says how many there are."""
MOST_SHOWN: Final = 10


class _Commands(click.Group):
    """Turns the package's errors into their text and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TunedslError as error:
            click.echo(str(error), err=True)
            ctx.exit(_code(error))


def _code(error: TunedslError) -> int:
    """The exit code of an error; a journal that is damaged cannot be proved, one that is not there is a wrong call."""
    if isinstance(error, Interrupted):
        return INTERRUPTED
    if isinstance(error, Divergence) or (isinstance(error, JournalError) and error.record is not None):
        return DIVERGED
    return WRONG


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tunedsl", message="%(version)s")
def cli() -> None:
    """Hyperparameter tuning as a value: check, run, resume and replay experiments."""


_target = click.argument("target", metavar="FILE.py[:NAME]")
_path = click.argument("path", type=click.Path(exists=True, path_type=Path))
_engine = click.option("--engine", type=click.Choice(["ray", "inline"]), help="Where trials run.")
_address = click.option("--address", help="A Ray cluster's address; without it, a local one.")
_quiet = click.option("--quiet", is_flag=True, help="Show no progress.")
_file = click.option(
    "--file", type=click.Path(path_type=Path), help="A file that defines the experiment's own policies; it is imported."
)


@cli.command("check")
@_target
@click.pass_context
def _check(ctx: click.Context, target: str) -> None:
    """Say all that is wrong with an experiment."""
    found = experiment_at(target).check()
    for diagnostic in found:
        click.echo(diagnostic)
    wrong = len(errors_of(found))
    click.echo(f"{_count(wrong, 'error')}, {_count(len(found) - wrong, 'warning')}")
    ctx.exit(WRONG if wrong else 0)


@cli.command("explain")
@_target
def _explain(target: str) -> None:
    """Show the plan of an experiment: as written, normalised and lowered."""
    click.echo(experiment_at(target).explain())


@cli.command("dry-run")
@_target
@click.option("--iterations", type=int, help="Reports of a trial that no rule ends.")
@click.option("--cost", type=float, default=1.0, show_default=True, help="Seconds an iteration takes.")
@click.option("--workers", type=int, help="Trials at a time, where the experiment does not say.")
def _dry_run(target: str, iterations: int | None, cost: float, workers: int | None) -> None:
    """Run an experiment on a virtual clock, without its training code."""
    click.echo(dry_run(experiment_at(target), cost=cost, iterations=iterations, workers=workers))


@cli.command("run")
@_target
@_engine
@_address
@_quiet
@click.pass_context
def _run(ctx: click.Context, target: str, engine: str | None, address: str | None, quiet: bool) -> None:
    """Run an experiment to its end."""
    _finish(ctx, run(experiment_at(target), engine or "ray", address=address, quiet=quiet))


@cli.command("resume")
@_path
@click.option("--file", "target", metavar="FILE.py[:NAME]", help="Where the experiment is, if it moved.")
@_engine
@_address
@_quiet
@click.pass_context
def _resume(
    ctx: click.Context, path: Path, target: str | None, engine: str | None, address: str | None, quiet: bool
) -> None:
    """Go on where a journal ends."""
    experiment = experiment_of(Journal(path).header, target)
    if experiment is None:
        _finish(ctx, resume(path, engine, address=address, quiet=quiet))
    else:
        _finish(ctx, resume_experiment(experiment, path, engine, address=address, quiet=quiet))


@cli.command("replay")
@_path
@_file
def _replay(path: Path, file: Path | None) -> None:
    """Prove each decision in a journal again."""
    click.echo(replay(_known(path, file)))


@cli.command("show")
@_path
@_file
@click.option("--all", "everything", is_flag=True, help=f"All trials, not the best {MOST_SHOWN}.")
@click.option("--json", "machine", is_flag=True, help="As JSON.")
def _show(path: Path, file: Path | None, everything: bool, machine: bool) -> None:
    """Show how an experiment stands, the best trials first."""
    results = load(_known(path, file))
    trials = tables.ranked(results)[: None if everything else MOST_SHOWN]
    if machine:
        click.echo(tables.as_json(results, trials))
        return
    console = _console()
    console.print(tables.table(results, trials))
    tables.summary(console, results)


@cli.command("why")
@_path
@click.argument("trial", required=False)
@_file
def _why(path: Path, trial: str | None, file: Path | None) -> None:
    """Tell a trial's story: what was decided about it, and why. Without TRIAL, that of the best one."""
    results = load(_known(path, file))
    if trial is None:
        trial = results.best.id
    known = {result.id for result in results.trials}
    click.echo(results.why(trial if trial in known or not trial.isdecimal() else int(trial)))


def _known(path: Path, file: Path | None) -> Path:
    """The path, after the policies that its plan may name are imported."""
    if file is not None:
        import_file(file)
    journal = Journal(path)
    missing = codec.unknown_values(journal.header.plan)
    if missing:
        script = journal.header.provenance.get("script")
        hint = f": give --file {script}" if script else ": give --file FILE.py"
        raise click.UsageError(f"the plan has {', '.join(missing)}, which is defined in a file of its own{hint}")
    return path


def _finish(ctx: click.Context, results: Results) -> None:
    """Says how it ended, by text and exit code."""
    tables.summary(_console(), results)
    ctx.exit(FAILED if results.errors else 0)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDE)

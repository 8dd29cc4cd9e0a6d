"""Commands about an experiment: check, explain, dry-run, run and resume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import attrs
import click

from tunedsl.base.diagnostics import Diagnostics, errors_of, reason, with_help
from tunedsl.base.errors import CodecError, CompileError
from tunedsl.cli import tables
from tunedsl.cli.control import wait_option
from tunedsl.cli.files import Target, experiment_at, experiment_of
from tunedsl.cli.group import (
    FAILED,
    WRONG,
    address_option,
    cli,
    console,
    echo,
    echo_json,
    engine_option,
    file_target,
    files,
    json_option,
    module_target,
    nodes_option,
    path_argument,
    quiet_option,
    set_option,
    ship_option,
    target_argument,
)
from tunedsl.experiment import Experiment
from tunedsl.journal import Journal, Location
from tunedsl.kernel.events import Continuation
from tunedsl.plan.settings import EXTERNAL
from tunedsl.results import Results
from tunedsl.runs import control, dry_run, fork, resume, resume_experiment, run
from tunedsl.runs.resume_command import next_command, resumed_with

_FORECAST = ("trials", "iterations", "rungs", "seconds", "width", "checkpoints", "assumptions")


@cli.command("check")
@target_argument
@set_option
@json_option
@click.pass_context
def _check(ctx: click.Context, target: Target, sets: Sequence[str], machine: bool) -> None:
    """List all errors and warnings of an experiment."""
    try:
        experiment = experiment_at(target, sets)
        asked = experiment.clauses.trainable is None
        found = experiment.check(engine=EXTERNAL if asked else "ray")
    except CompileError as error:  # of a file that describes the experiment as data
        asked, found = False, Diagnostics(error.diagnostics)
    if machine:
        echo_json([attrs.asdict(diagnostic) for diagnostic in found])
    else:
        echo(found)
        if asked:
            echo(f"It has no trainable, so it can only ask and tell: tunedsl open {target.source}")
    ctx.exit(WRONG if errors_of(found) else 0)


@cli.command("explain", short_help="Show the plan of an experiment.")
@target_argument
@set_option
@json_option
def _explain(target: Target, sets: Sequence[str], machine: bool) -> None:
    """Show the plan of an experiment: as written, normalised and lowered; as JSON, the plan itself."""
    experiment = experiment_at(target, sets)
    plan = experiment.compile(EXTERNAL if experiment.clauses.trainable is None else "ray")
    echo(plan.to_json() if machine else plan.explain())


@cli.command("dry-run", short_help="Run on a virtual clock, without training code.")
@target_argument
@click.option("--iterations", type=int, help="Number of reports of a trial that no stop rule ends.")
@click.option("--cost", type=float, default=1.0, show_default=True, help="Seconds an iteration takes.")
@click.option("--workers", type=int, help="Concurrent trials, if the experiment sets no number.")
@set_option
@json_option
def _dry_run(
    target: Target, iterations: int | None, cost: float, workers: int | None, sets: Sequence[str], machine: bool
) -> None:
    """Run an experiment on a virtual clock, without its training code."""
    forecast = dry_run(experiment_at(target, sets), cost=cost, iterations=iterations, workers=workers)
    if machine:
        echo_json({field: getattr(forecast, field) for field in _FORECAST})
    else:
        echo(forecast)


@cli.command("run")
@target_argument
@engine_option
@address_option
@nodes_option
@ship_option
@quiet_option
@set_option
@click.pass_context
def _run(
    ctx: click.Context,
    target: Target,
    engine: str | None,
    address: str | None,
    wait_for_nodes: float | None,
    ship: bool,
    quiet: bool,
    sets: Sequence[str],
) -> None:
    """Run an experiment to its end."""
    experiment = experiment_at(target, sets)
    where = [] if not sets and _is_named_in(experiment, target) else target.words()
    where_to: dict[str, Any] = {"address": address, "wait_for_nodes": wait_for_nodes, "ship": ship}
    with resumed_with([*where, *_options(sets, where_to)]):
        results = run(experiment, engine or "ray", quiet=quiet, **where_to)
    _finish(ctx, results, told=not quiet)


def _is_named_in(experiment: Experiment, target: Target) -> bool:
    """Whether the trainable is defined in the target's own file, so that the journal refers to that file."""
    place = experiment.places.get("trainable")
    file = target.source if target.is_config else target.load().__file__
    return place is not None and file is not None and Path(place.file).resolve() == Path(file).resolve()


def _options(sets: Sequence[str], where_to: Mapping[str, Any]) -> list[str]:
    """The options of a command that resumes with the same settings on the same cluster."""
    words = [word for each in sets for word in ("--set", each)]
    if where_to["address"]:
        words += ["--address", where_to["address"]]
    if where_to["wait_for_nodes"] is not None:
        words += ["--wait-for-nodes", f"{where_to['wait_for_nodes']:g}"]
    return [*words, *(["--ship"] if where_to["ship"] else [])]


def _defaults(ctx: click.Context, param: click.Parameter, words: Sequence[str]) -> dict[str, Any]:
    """Parses `NAME=VALUE` words; names may have dots."""
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"The word {word!r} is not NAME=VALUE.")
        found[name] = control.parse_value(text)
    return found


ended_option = click.option(
    "--ended",
    type=click.Choice(get_args(Continuation)),
    default="continue",
    show_default=True,
    help="What happens to ended trials that the changed experiment would have continued.",
)
default_option = click.option(
    "--default",
    "defaults",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_defaults,
    help="The value of a new parameter for earlier trials.",
)


@cli.command("amend", short_help="Change the plan of a running experiment.")
@path_argument
@click.argument("target", metavar="[FILE[:NAME]]", required=False, shell_complete=files, callback=file_target)
@click.option("-m", "module", metavar="MODULE[:NAME]", callback=module_target, help="The module, as for python -m.")
@ended_option
@default_option
@set_option
@wait_option
def _amend(
    path: Location,
    target: Target | None,
    module: Target | None,
    ended: Continuation,
    defaults: dict[str, Any],
    sets: Sequence[str],
    wait: float,
) -> None:
    """Change the plan of a running experiment to that of a changed one.

    Example: tunedsl amend PATH --set samples=100
    """
    given = _one_of(target, module)
    experiment = experiment_of(Journal(path), given, changed=True, sets=sets, option="a second argument")
    if experiment is None:
        raise click.UsageError("The changed experiment is missing.\n  help: pass FILE.py:NAME")
    echo(control.amend(path, experiment, ended=ended, defaults=defaults, wait=wait))


def _one_of(target: Target | None, module: Target | None) -> Target | None:
    if target is not None and module is not None:
        raise click.UsageError("--file and -m are alternatives.\n  help: pass one of them")
    return target or module


@cli.command("fork", short_help="Begin a run from a moment of another one.")
@path_argument
@click.option("--at", help="A record's number, or 'trial 17' for the moment before its proposal; default the end.")
def _fork(path: Location, at: str | None) -> None:
    """Begin a run with the records of another one, up to a moment; resume continues it. PATH is unchanged."""
    new = fork(path, int(at) if at is not None and at.isdecimal() else at)
    echo(f"{new}\nto continue: {next_command(Journal(new))}")


@cli.command("resume", short_help="Continue a run, amend it, or retry failed trials.")
@path_argument
@click.option(
    "--file",
    "target",
    metavar="FILE[:NAME]",
    shell_complete=files,
    callback=file_target,
    help="The new file of the experiment, if it moved.",
)
@click.option(
    "-m", "module", metavar="MODULE[:NAME]", callback=module_target, help="The experiment's module, as for python -m."
)
@click.option("--amend", is_flag=True, help="Continue with the changed experiment, such as one with more samples.")
@ended_option
@default_option
@click.option("--retry-failed", is_flag=True, help="Run failed trials again, also in a finished experiment.")
@engine_option
@address_option
@nodes_option
@ship_option
@quiet_option
@set_option
@click.pass_context
def _resume(
    ctx: click.Context,
    path: Location,
    target: Target | None,
    module: Target | None,
    amend: bool,
    ended: Continuation,
    defaults: dict[str, Any],
    retry_failed: bool,
    engine: str | None,
    address: str | None,
    wait_for_nodes: float | None,
    ship: bool,
    quiet: bool,
    sets: Sequence[str],
) -> None:
    """Continue a run where its journal ends, also after a pause; with --amend, with a changed experiment.

    With --retry-failed, failed trials run again, from their newest checkpoints if they have any.
    """
    given = _one_of(target, module)
    experiment = experiment_of(Journal(path), given, changed=amend, sets=sets)
    where_to: dict[str, Any] = {"address": address, "wait_for_nodes": wait_for_nodes, "ship": ship}
    options = {**where_to, "quiet": quiet, "retry_failed": retry_failed}
    with resumed_with([*(given.words() if given else []), *_options(sets, where_to)]):
        if experiment is not None:
            how = ended if amend else False
            results = resume_experiment(experiment, path, engine, amend=how, defaults=defaults, **options)
        elif amend:
            raise click.UsageError("The changed experiment is missing.\n  help: pass --file FILE.py:NAME")
        else:
            results = _resume_by_name(path, engine, options)
    _finish(ctx, results, told=not quiet)


def _resume_by_name(path: Location, engine: str | None, options: dict[str, Any]) -> Results:
    try:
        return resume(path, engine, **options)
    except CodecError as error:
        hint = "if the experiment is unchanged, give --file FILE.py:NAME; to continue with the changed one, add --amend"
        raise CodecError(with_help(f"{reason(error)}.", hint)) from error


def _finish(ctx: click.Context, results: Results, told: bool) -> None:
    """Print the outcome and set the exit code; print failures unless `told` says that they were printed."""
    tables.summary(console(), results, told)
    ctx.exit(FAILED if results.errors else 0)

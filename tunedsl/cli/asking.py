"""Commands to ask a run for trials and to tell their results, from programs in any language."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import click

from tunedsl.cli.files import Target, experiment_at
from tunedsl.cli.group import (
    LATER,
    STOP,
    cli,
    echo,
    echo_json,
    file_option,
    json_option,
    path_argument,
    quiet_option,
    readable,
    set_option,
    target_argument,
)
from tunedsl.journal import Location
from tunedsl.journal.requests import TellRequest
from tunedsl.runs import asking, open_experiment


@cli.command("open", short_help="Begin a run for ask and tell.")
@target_argument
@click.option("--path", type=click.Path(path_type=Path), help="The run's folder; by default a new one in the store.")
@click.option("--lease", type=float, help="Seconds without a report after which ask returns a trial again.")
@click.option("--amend", is_flag=True, help="Continue the run at --path with the changed experiment.")
@click.option("--serve", is_flag=True, help="Stay, and answer ask and tell until the experiment is over.")
@quiet_option
@set_option
def _open(
    target: Target,
    path: Path | None,
    lease: float | None,
    amend: bool,
    serve: bool,
    quiet: bool,
    sets: tuple[str, ...],
) -> None:
    """Begin a run for ask and tell, or continue the one at --path; print its folder.

    The experiment needs no trainable. With --serve, the command answers all askers, which is faster than without it.

    Example: run=$(tunedsl open tune.py --path runs/first --lease 600)
    """
    experiment = experiment_at(target, sets)
    with contextlib.closing(open_experiment(experiment, path, lease=lease, quiet=quiet, amend=amend)) as study:
        echo(study.path)
        if serve:
            study.serve()


@cli.command("ask", short_help="Get the next trial of a run.")
@path_argument
@click.option("--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait while there is no trial.")
@json_option
@file_option
@click.pass_context
def _ask(ctx: click.Context, path: Location, wait: float, machine: bool, file: Path | None) -> None:
    """Get the next trial of a run, to evaluate it and tell its result.

    Exit codes: 4 when the experiment is over, 5 when there is no trial now, but may be later.

    Example: tunedsl ask PATH --json --wait 60
    """
    reply = asking.ask(readable(path, file), wait)
    data: dict[str, Any] = reply.data or {}
    if "trial" not in data:
        echo(reply.text, err=True)
        ctx.exit(STOP if data.get("over") else LATER)
    if machine:
        echo_json(data)
    else:
        echo(f"trial {data['trial']}")
        for name, value in data["config"].items():
            echo(f"  {name} = {value}")


@cli.command("tell", short_help="Tell the result of a trial, and end it.")
@path_argument
@click.argument("trial")
@click.argument("metrics", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--report", is_flag=True, help="Report without ending the trial; exit code 0: continue, 4: stop.")
@click.option("--failed", metavar="TEXT", help="Fail the trial; ask returns it again if the experiment retries.")
@click.option("--checkpoint", type=click.Path(exists=True, file_okay=False), help="A folder to copy.")
@json_option
@file_option
@click.pass_context
def _tell(
    ctx: click.Context,
    path: Location,
    trial: str,
    metrics: tuple[str, ...],
    report: bool,
    failed: str | None,
    checkpoint: str | None,
    machine: bool,
    file: Path | None,
) -> None:
    """Tell the result of a trial, and end it. Without metrics, it ends after its last report.

    TRIAL is the `trial` of `ask --json`, or a number or name. The result is in the journal when the command ends.

    Example: tunedsl tell PATH 3:0 loss=0.12 accuracy=0.9
    """
    if failed is not None and (metrics or report):
        raise click.UsageError("--failed takes neither metrics nor --report.")
    if report and not metrics:
        raise click.UsageError("--report needs metrics.\n  help: add them, such as loss=0.1")
    folder = None if checkpoint is None else str(Path(checkpoint).absolute())
    request = TellRequest(trial, asking.metrics_of(metrics), not report, failed, folder)
    reply = asking.tell(readable(path, file), request)
    goes_on = bool((reply.data or {}).get("continue"))
    if machine:
        echo_json({"trial": trial, "continue": goes_on, "text": reply.text})
    else:
        echo(reply.text)
    ctx.exit(STOP if report and not goes_on else 0)

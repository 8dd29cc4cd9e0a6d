"""Commands `export` and `logs`: delivery of a run to sinks, and the output of its trials."""

from __future__ import annotations

import ast
import codecs
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

import click

import tunedsl.sinks
from tunedsl.base import codec
from tunedsl.base.diagnostics import with_help
from tunedsl.base.names import did_you_mean, nearest
from tunedsl.base.printable import printable
from tunedsl.cli.group import cli, echo, path_argument
from tunedsl.export import export
from tunedsl.export.dispatch import Dispatcher, SinkHandle
from tunedsl.journal import Header, Journal, Tail, has_driver, journal_file
from tunedsl.journal.folders import TRIALS_FOLDER
from tunedsl.plan.output import Output
from tunedsl.sinks.contract import Sink, TrialRecord
from tunedsl.sinks.registry import registered

FOLLOW_SECONDS: Final = 0.2
MAX_NAMED: Final = 1_000
"""Maximum number of trials among which a similar name is searched."""


def _sinks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in _known() if name.startswith(incomplete)]


def _known() -> list[str]:
    return sorted(kind.name for kind in registered().values())


@cli.command("export", short_help="Write an experiment for another tool.")
@path_argument
@click.option(
    "--to", "names", multiple=True, shell_complete=_sinks, help="tensorboard, csv, jsonl, mlflow, wandb or comet."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="A folder for files, not PATH itself.")
@click.option(
    "--option", "-o", "options", multiple=True, metavar="NAME=VALUE", help="Option of the sink: -o project=digits."
)
@click.option("--follow", is_flag=True, help="Continue while the experiment runs.")
def _export(path: Path, names: Sequence[str], out: Path | None, options: Sequence[str], follow: bool) -> None:
    """Write a finished, interrupted or running experiment for another tool."""
    known = _known()
    if not names:
        raise click.UsageError(f"The option --to is missing.\n  help: pass one of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise click.BadParameter(
                with_help(f"{name!r} is not a sink.", did_you_mean(name, known)), param_hint="--to"
            )
    given = dict(_option(text) for text in options)
    specs = [getattr(tunedsl.sinks, name)(**given) for name in names]
    export(path, *specs, out=out, follow=follow)
    echo(f"exported by {', '.join(map(repr, specs))}; what they write as files is under {out or path}")


@cli.command("logs")
@path_argument
@click.argument("trial")
@click.option("--err", is_flag=True, help="Standard error, if it has its own file.")
@click.option("--follow", "-f", is_flag=True, help="Continue until the trial ends.")
def _logs(path: Path, trial: str, err: bool, follow: bool) -> None:
    """Print what a trial printed. TRIAL is its name or number."""
    index = _TrialIndex(path)
    index.read()
    number = index.number(trial)
    name = index.names[number]
    output = _output(index.header)
    if output is None:
        raise click.UsageError(
            "The experiment ran with log_to_file(False), so the output of its trials is in Ray's logs."
        )
    file = index.folder / TRIALS_FOLDER / name / (output.err if err else output.out)
    printed = False
    stream: IO[bytes] | None = None
    text = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        over = number in index.over or not (follow and has_driver(index.file))
        if stream is None and file.is_file():
            stream = file.open("rb")
        content = stream.read() if stream is not None else b""
        if content:
            printed = True
            click.echo(printable(text.decode(content), keep_colours=True), nl=False)
        if over:
            break
        time.sleep(FOLLOW_SECONDS)
        index.read()
    if stream is not None:
        stream.close()
    if not printed:
        where = "" if output.whole else "; inline, output stays on the terminal without .log_to_file(True)"
        echo(f"trial {name} has written nothing to {file.name}{where}", err=True)


class _TrialIndex(Sink):
    """The trials in a journal, and which of them have ended."""

    def __init__(self, path: Path) -> None:
        self.file = journal_file(path)
        self.folder = self.file.parent
        self.header: Header = Journal(path).header
        self.names: dict[int, str] = {}
        self.over: set[int] = set()
        self._tail = Tail(path)
        self._dispatcher = Dispatcher(self.folder, self.folder, [SinkHandle("logs", lambda: self, echo)])

    def read(self) -> None:
        """Read new records."""
        while lines := self._tail.read():
            for line in lines:
                self._dispatcher.dispatch(line)

    def on_trial(self, trial: TrialRecord) -> None:
        self.names[trial.number] = trial.id
        self.over.discard(trial.number)  # a failed trial may run again

    def on_end(self, trial: TrialRecord) -> None:
        self.over.add(trial.number)

    def number(self, trial: str) -> int:
        """The trial with a name or number."""
        for number, name in self.names.items():
            if name == trial or (trial.isdecimal() and int(trial) == number and trial not in self.names.values()):
                return number
        near = nearest(trial, self.names.values()) if len(self.names) < MAX_NAMED else None
        message = f"The {len(self.names)} trials of {self.folder} do not include {trial!r}."
        raise click.UsageError(with_help(message, f"did you mean {near!r}?" if near else ""))


def _output(header: Header) -> Output | None:
    written = header.provenance.get("output", codec.encode(Output()))
    found: Output | None = codec.decode(written)
    return found


def _option(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`; the value is a Python literal, or text."""
    name, equals, found = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.BadParameter(f"The text {text!r} is not NAME=VALUE.", param_hint="--option")
    try:
        return name, ast.literal_eval(found)
    except (ValueError, SyntaxError):
        return name, found

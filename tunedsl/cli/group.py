"""What all commands share: the group with its exit codes, arguments and options, and the console.

Exit codes: 0 done, 1 trials or policies failed, 2 the experiment is wrong, 3 replay diverged,
4 an asker should stop, 5 an asker should ask again later, 129, 130 and 143 interrupted by a signal.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import click
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.text import Text

from tunedsl.base import codec
from tunedsl.base.diagnostics import with_help
from tunedsl.base.errors import ArgumentError, CodeError, Divergence, Interrupted, JournalError, TunedslError
from tunedsl.base.interrupts import handled_interrupts, ignore_signals
from tunedsl.base.plain_json import json_text
from tunedsl.base.printable import printable
from tunedsl.cli.files import Target, import_file
from tunedsl.journal import Journal, Location, is_address, location_of

FAILED: Final = 1
WRONG: Final = 2
DIVERGED: Final = 3
STOP: Final = 4
LATER: Final = 5
_CLICK: Final = Path(click.__file__).parent
WIDE: Final = 160
"""Output width without a terminal."""


class _Commands(click.Group):
    """Turns the package's errors into their text and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with handled_interrupts() as interrupts, interrupts.raising():
                return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            ignore_signals()  # the process exits
            if not isinstance(interrupt, Interrupted):
                click.echo("\nThe command was interrupted.", err=True)
                ctx.exit(128 + interrupts.number)
            if not interrupt.is_announced:
                click.echo(interrupt, err=True)
            ctx.exit(interrupt.exit_code)
        except TunedslError as error:
            echo(_text(error, ctx), err=True)
            ctx.exit(_code(error))


def _text(error: TunedslError, ctx: click.Context) -> str:
    """The text of an error, without click's own source line, and with the repair command for a damaged journal."""
    place = error.diagnostic.place if isinstance(error, ArgumentError) else None
    if isinstance(error, ArgumentError) and place is not None and Path(place.file).is_relative_to(_CLICK):
        return str(attrs.evolve(error.diagnostic, place=None))
    text = str(error)
    damaged = isinstance(error, JournalError) and error.record is not None and "\n  help: " not in text
    repair = damaged and ctx.invoked_subcommand != "repair"
    return with_help(text, "tunedsl repair PATH recovers the valid records into a new folder" if repair else "")


def _code(error: TunedslError) -> int:
    """The exit code of an error; a damaged journal diverges, a missing one is a usage error."""
    if isinstance(error, CodeError):
        return FAILED
    if isinstance(error, Divergence) or (isinstance(error, JournalError) and error.record is not None):
        return DIVERGED
    return WRONG


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tunedsl", message="%(version)s")
def cli() -> None:
    """Hyperparameter tuning as a value: check, run, resume and replay experiments."""


def files(ctx: click.Context | None, param: click.Parameter | None, incomplete: str) -> list[CompletionItem]:
    """Make the shell complete a file or folder."""
    return [CompletionItem(incomplete, type="file")]


C = TypeVar("C", bound=Callable[..., Any])


def target_argument(command: C) -> C:
    """Add the parameter `target` to a command: a file, or with `-m` a module."""
    target = click.argument("target", metavar="FILE[:NAME]", shell_complete=files, callback=_target)
    module = click.option(
        "-m", "module", is_flag=True, is_eager=True, expose_value=False, callback=_as_module, help=_MODULE_HELP
    )
    return target(module(command))


_MODULE_HELP: Final = "FILE.py is a module's name, as for python -m: -m pkg.tune[:NAME]."
_IS_MODULE: Final = f"{__name__}.module"


def _as_module(ctx: click.Context, param: click.Parameter, is_module: bool) -> None:
    ctx.meta[_IS_MODULE] = is_module


def _target(ctx: click.Context, param: click.Parameter, text: str) -> Target:
    return Target.of(text, ctx.meta.get(_IS_MODULE, False))


def file_target(ctx: click.Context, param: click.Parameter, text: str | None) -> Target | None:
    """Reads the value of an option that names a file."""
    return None if text is None else Target.of(text)


def module_target(ctx: click.Context, param: click.Parameter, text: str | None) -> Target | None:
    """Reads the value of an option that names a module."""
    return None if text is None else Target.of(text, is_module=True)


class _AnyPlace(click.ParamType):  # type: ignore[type-arg]  # no generic in older versions
    """An existing local folder or file, or an fsspec address."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Location:
        if is_address(value):
            return location_of(value)
        found: Path = click.Path(exists=True, path_type=Path).convert(value, param, ctx)
        return found

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return files(ctx, param, incomplete)


path_argument = click.argument("path", type=_AnyPlace())
engine_option = click.option("--engine", type=click.Choice(["ray", "local", "inline"]), help="Where trials run.")
address_option = click.option("--address", help="A Ray cluster's address; without it, a local one.")
nodes_option = click.option(
    "--wait-for-nodes",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to wait for nodes of a Ray cluster that can run the trials.",
)
ship_option = click.option("--ship", is_flag=True, help="Send tunedsl and your modules to a Ray cluster without them.")
quiet_option = click.option("--quiet", is_flag=True, help="Show no progress.")
set_option = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="NAME=VALUE",
    help="Replaces a value of the file: samples=20, budget.seconds=60, space.lr='loguniform(1e-5, 1e-2)'.",
)
json_option = click.option("--json", "machine", is_flag=True, help="As JSON.")
file_option = click.option(
    "--file", type=click.Path(path_type=Path), help="A file that defines the experiment's own policies; it is imported."
)


def readable(path: Location, file: Path | None) -> Location:
    """Return the path, after importing the policies that its plan may name."""
    if file is not None:
        import_file(file)
    journal = Journal(path)
    missing = codec.unknown_tags(journal.header.plan)
    if missing:
        script = journal.header.provenance.get("script")
        hint = f"pass --file {shlex.quote(str(script)) if script else 'FILE.py'}"
        raise click.UsageError(with_help(f"The plan needs the file that defines {', '.join(missing)}.", hint))
    return path


def console() -> Console:
    """Where tables are printed."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=WIDE)


def echo(content: object, err: bool = False, nl: bool = True) -> None:
    """Print a text, whose control characters are escaped: it may contain those of other people."""
    click.echo(printable(str(content)), err=err, nl=nl)


def plain(text: str, style: str = "") -> Text:
    """The text for a table or line of the console, whose control characters are escaped."""
    return Text(printable(text), style)


def echo_json(content: Any) -> None:
    """Print data as JSON."""
    click.echo(json_text(content))

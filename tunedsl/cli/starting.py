"""The command `init`: writes a commented experiment to begin with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import click

from tunedsl.base.errors import ArgumentError
from tunedsl.cli.group import cli
from tunedsl.cli.starters import STARTERS, python_file, training_file, yaml_file
from tunedsl.configs.references import is_reference
from tunedsl.plan.command import command as command_of
from tunedsl.plan.templates import BUILT_IN, placeholders


@cli.command("init", short_help="Write a commented experiment to begin with.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--framework", type=click.Choice(list(STARTERS)), help="Whose training code to begin with.")
@click.option("--command", metavar="TEXT", help="Tune a program: 'python train.py --lr {lr}'.")
@click.option("--trainable", metavar="MODULE:FUNCTION", help="Tune a function of your own module.")
def _init(file: Path | None, framework: str | None, command: str | None, trainable: str | None) -> None:
    """Write a commented experiment: in Python as FILE.py, or in YAML as FILE.yaml; by default tune.py.

    Without --command and --trainable, it has training code that runs, to be replaced by yours. Existing files are
    never changed. On a terminal, the command asks for the file and the framework if they are missing.

    Example: tunedsl init sweep.yaml --command "python train.py --lr {lr}"
    """
    if sum(item is not None for item in (framework, command, trainable)) > 1:
        raise click.UsageError("--framework, --command and --trainable are alternatives.\n  help: pass one of them")
    asks = sys.stdin.isatty()
    if file is None:
        file = Path(click.prompt("File", default="tune.py")) if asks else Path("tune.py")
    if framework is None and command is None and trainable is None:
        kinds = click.Choice(list(STARTERS))
        framework = click.prompt("Framework", default="plain", type=kinds) if asks else "plain"
    texts = _texts(file, framework, command or "", trainable or "")
    for path in texts:
        if path.exists():
            raise click.UsageError(f"The file {path} exists, and it is not overwritten.\n  help: choose another name")
    for path, text in texts.items():
        with path.open("x", encoding="utf-8") as written:
            written.write(text)
        click.echo(f"wrote {path}")
    click.echo(f"next: tunedsl check {file}, then tunedsl run {file}")


def _texts(file: Path, framework: str | None, command: str, trainable: str) -> dict[Path, str]:
    """The files to write, with their texts."""
    if file.suffix not in (".py", ".yaml", ".yml"):
        raise click.UsageError(f"The file {file} is neither .py nor .yaml.\n  help: tunedsl init {file.stem}.yaml")
    if not file.parent.is_dir():
        raise click.UsageError(f"The folder {file.parent} does not exist.\n  help: mkdir -p {file.parent}")
    if trainable and not is_reference(trainable):
        raise click.UsageError(
            f"--trainable must be MODULE:FUNCTION, not {trainable}.\n  help: --trainable train:train"
        )
    starter = STARTERS[framework] if framework is not None else None
    params = _params(command) if command else ["lr"]
    if file.suffix == ".py":
        _check_module(file.stem)
        return {file: python_file(file.name, starter, params, command, trainable)}
    if starter is None:
        return {file: yaml_file(file.name, None, params, command, trainable)}
    module = f"{file.stem}_train"
    _check_module(module)
    return {
        file: yaml_file(file.name, starter, params, "", f"{module}:train"),
        file.with_name(f"{module}.py"): training_file(file.name, starter),
    }


def _params(command: str) -> list[str]:
    """The parameters in a command."""
    try:
        names = [name for text in command_of(command).templates() for name in placeholders(text)]
    except ArgumentError as error:
        raise click.UsageError(f"{error.diagnostic.message}\n  help: --command 'python train.py --lr {{lr}}'") from None
    found = [name for name in dict.fromkeys(names) if name.isidentifier() and name not in BUILT_IN]
    if not found:
        message = f"The command {command!r} has no parameter."
        raise click.UsageError(f"{message}\n  help: --command 'python train.py --lr {{lr}}'")
    return found


def _check_module(name: str) -> None:
    if not name.isidentifier():
        raise click.UsageError(f"The name {name} cannot be imported.\n  help: use letters, digits and underscores")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise click.UsageError(f"The name {name} is that of an installed module.\n  help: choose another name")

"""The command that prints what a shell needs to complete the commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from tunedsl.cli.group import cli

_VARIABLE = "_TUNEDSL_COMPLETE"


@cli.command("completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def _completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(tunedsl completion bash)" in its start-up file."""
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(found(cli, {}, "tunedsl", _VARIABLE).source())

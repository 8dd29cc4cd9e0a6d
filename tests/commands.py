"""Commands called in this process, as tests of the command line do."""

from __future__ import annotations

from click.testing import CliRunner, Result

from tunedsl.cli.commands import cli


def call(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])

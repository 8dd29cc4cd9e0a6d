"""The command line: arguments in, text and exit codes out. It holds no logic of other packages.

`click` and `rich` are imported when a command runs.
"""

from __future__ import annotations


def main() -> None:
    """The command `tunedsl`."""
    from tunedsl.cli.commands import cli

    cli(prog_name="tunedsl")

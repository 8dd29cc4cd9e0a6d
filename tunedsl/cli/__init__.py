"""The terminal's face: arguments in, text and exit codes out, and nothing that another room could do.

`click` and `rich` are imported when a command runs.
"""

from __future__ import annotations


def main() -> None:
    """The command `tunedsl`."""
    from tunedsl.cli.commands import cli

    cli(prog_name="tunedsl")

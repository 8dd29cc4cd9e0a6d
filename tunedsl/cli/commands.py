"""All commands of the terminal, by subject: importing a module here adds its commands to the group."""

from __future__ import annotations

from tunedsl.cli import experiments, exporting, journals, repair
from tunedsl.cli.group import cli

__all__ = ["cli", "experiments", "exporting", "journals", "repair"]

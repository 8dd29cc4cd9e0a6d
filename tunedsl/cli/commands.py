"""All commands of the terminal, by subject: importing a module here adds its commands to the group."""

from __future__ import annotations

from tunedsl.cli import (
    asking,
    completion,
    control,
    dashboards,
    experiments,
    exporting,
    journals,
    pictures,
    repair,
    starting,
    stores,
    watching,
    what_if,
)
from tunedsl.cli.group import cli

__all__ = [
    "asking",
    "cli",
    "completion",
    "control",
    "dashboards",
    "experiments",
    "exporting",
    "journals",
    "pictures",
    "repair",
    "starting",
    "stores",
    "watching",
    "what_if",
]

"""The choice of a view for a run: live in a terminal or notebook, otherwise a line of text at intervals."""

from __future__ import annotations

import sys
from typing import TextIO

from tunedsl.plan import Plan
from tunedsl.views.base import LineView, NullView


def progress(plan: Plan, name: str, stream: TextIO | None = None, quiet: bool = False) -> NullView:
    """Create the view of a run.

    Args:
        name: the name of the run.
        stream: the output; default the current notebook, or standard error.
        quiet: whether to show only warnings.
    """
    if quiet:
        return NullView()
    if stream is None and in_notebook():
        from tunedsl.views.notebook import NotebookView

        return NotebookView(plan, name)
    stream = stream or sys.stderr
    if not stream.isatty():
        return LineView(plan, name, stream)
    from tunedsl.views.live import LiveView  # draws with a library that takes its time to import

    return LiveView(plan, name, stream)


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook, which shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None

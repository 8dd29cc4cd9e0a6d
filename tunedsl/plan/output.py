"""The files of a trial's output, as `.log_to_file(...)` sets them, and the reserved names in its folder."""

from __future__ import annotations

from typing import Final

from tunedsl.base.arguments import as_text
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import shorten
from tunedsl.base.errors import ArgumentError
from tunedsl.base.names import is_portable
from tunedsl.sinks.contract import PARAMS_FILE

RESERVED_FILES: Final = (PARAMS_FILE, "progress.csv", "reports.jsonl", "checkpoints", "cleanup-error.txt")
"""File names in a trial's folder that other files use."""


@value
class Output:
    """Where the output of trials goes, in each trial's folder.

    Attributes:
        out, err: file names; equal ones for one file.
        whole: whether `.log_to_file(...)` was written. Then every trial has the files, and they also hold the output of
            C code and subprocesses if the worker is a separate process.
    """

    out: str = "stdout.log"
    err: str = "stderr.log"
    whole: bool = False


def output_of(to: bool | str | tuple[str, str] | None) -> Output | None:
    """The files that `log_to_file(to)` sets; None if output is not captured.

    Raises:
        ArgumentError: for a name that is not a file name, or that is reserved.
    """
    if to is None:
        return Output()
    if to is False:
        return None
    requested = (Output().out, Output().err) if to is True else (to, to) if isinstance(to, str) else to
    names = [as_text("log_to_file.to", name) for name in requested]
    for name in names:
        if not is_portable(name) or name in RESERVED_FILES:
            why = "is a file of tunedsl's own" if name in RESERVED_FILES else "is not a portable file name"
            hint = "use another name of letters, digits and . _ -"
            raise ArgumentError(
                "E003", "log_to_file.to", f"The name {shorten(repr(name))} in log_to_file(...) {why}.", hint
            )
    out, err = names
    return Output(out, err, whole=True)

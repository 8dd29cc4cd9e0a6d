"""The files of trials' output: what `.log_to_file(...)` means, and the names in a trial's folder that are in use."""

from __future__ import annotations

from typing import Final

from tunedsl.base.arguments import as_text
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.base.names import is_portable
from tunedsl.sinks.contract import PARAMS_FILE

RESERVED_FILES: Final = (PARAMS_FILE, "progress.csv", "reports.jsonl", "checkpoints", "cleanup-error.txt")
"""Names in a trial's folder that are in use."""


@value
class Output:
    """Where the output of trials goes, in each trial's folder.

    Attributes:
        out, err: file names; equal ones for one file.
        whole: whether it was asked for: then the files are there for each trial, and hold what C code and
            subprocesses write too, where a worker is a process of its own.
    """

    out: str = "stdout.log"
    err: str = "stderr.log"
    whole: bool = False


def output_of(to: bool | str | tuple[str, str] | None) -> Output | None:
    """What `log_to_file(to)` means; None for output that is left where it goes.

    Raises:
        ArgumentError: for a name that is no file's, or that another file has.
    """
    if to is None:
        return Output()
    if to is False:
        return None
    given = (Output().out, Output().err) if to is True else (to, to) if isinstance(to, str) else to
    names = [as_text("log_to_file.to", name) for name in given]
    for name in names:
        if not is_portable(name) or name in RESERVED_FILES:
            found = f"{name!r}, which is taken" if name in RESERVED_FILES else repr(name)
            raise ArgumentError("E003", "log_to_file.to", found, "a file name of letters, digits and . _ -")
    out, err = names
    return Output(out, err, whole=True)

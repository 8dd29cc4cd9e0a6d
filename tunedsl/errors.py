"""All exceptions that reach users, for `except` clauses; those of the test tools are in `tunedsl.testing`.

The names are implemented in `tunedsl.base.errors` and in the packages that raise them.
"""

from __future__ import annotations

from tunedsl.base.errors import (
    ArgumentError,
    CodecError,
    CodeError,
    CompileError,
    Divergence,
    FunctionError,
    Interrupted,
    JournalError,
    JournalTaken,
    NoResult,
    Paused,
    ProgramError,
    ReportError,
    ResourceError,
    SchedulerError,
    SearcherError,
    SpaceError,
    StorageError,
    TunedslError,
)
from tunedsl.export import SinkError
from tunedsl.journal.replay import ImpossibleEvent
from tunedsl.journal.requests import RequestRefused
from tunedsl.kernel import IllegalMove
from tunedsl.plan.amending import AmendError

__all__ = [
    "AmendError",
    "ArgumentError",
    "CodeError",
    "CodecError",
    "CompileError",
    "Divergence",
    "FunctionError",
    "IllegalMove",
    "ImpossibleEvent",
    "Interrupted",
    "JournalError",
    "JournalTaken",
    "NoResult",
    "Paused",
    "ProgramError",
    "ReportError",
    "RequestRefused",
    "ResourceError",
    "SchedulerError",
    "SearcherError",
    "SinkError",
    "SpaceError",
    "StorageError",
    "TunedslError",
]

"""Diagnostics as values, and the place in the user's code that they point at."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal

import attrs

Severity = Literal["error", "warning"]

_PACKAGE_FOLDER = str(Path(__file__).resolve().parent.parent) + os.sep


@attrs.frozen
class SourceLocation:
    """A file and a line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@attrs.frozen
class Diagnostic:
    """One fault or doubt about an experiment.

    Attributes:
        code: stable, `E` for errors and `W` for warnings, then three digits.
        subject: which part of the experiment, such as `space.lr` or `scheduler`.
        found: what is wrong.
        expected: what would be right.
        hint: what to do about it; may be empty.
        place: the user's file and line where that clause was written, when known.
    """

    code: str
    subject: str
    found: str
    expected: str
    hint: str = ""
    place: SourceLocation | None = None

    @property
    def severity(self) -> Severity:
        return "warning" if self.code.startswith("W") else "error"

    def __str__(self) -> str:
        place = f"\n  at {self.place}" if self.place else ""
        hint = f"\n  help: {self.hint}" if self.hint else ""
        return f"{self.code} {self.subject}: {self.found}: expected {self.expected}{place}{hint}"


def errors_of(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics that forbid a run."""
    return tuple(item for item in diagnostics if item.severity == "error")


def caller_location() -> SourceLocation | None:
    """The nearest place on the call stack that is outside this package."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not _is_inside(file):
            return SourceLocation(file, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def outside(traceback: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that is outside this package."""
    frames: list[TracebackType] = []
    while traceback is not None:
        if not _is_inside(traceback.tb_frame.f_code.co_filename):
            frames.append(traceback)
        traceback = traceback.tb_next
    kept: TracebackType | None = None
    for frame in reversed(frames):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def _is_inside(file: str) -> bool:
    """Whether a file of code belongs to this package, or was generated for it."""
    return file.startswith((_PACKAGE_FOLDER, "<attrs"))

"""Diagnostics as values, and the place in the user's code that they point at."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal

import attrs

from tunedsl.base import markup

Severity = Literal["error", "warning"]

_PACKAGE_FOLDER = str(Path(__file__).resolve().parent.parent) + os.sep


@attrs.frozen
class SourceLocation:
    """A file and a line of the user's code.

    Attributes:
        cell: the notebook's cell that the file stands for, such as `In[3]`; empty for a file that somebody wrote.
    """

    file: str
    line: int
    cell: str = ""

    def __str__(self) -> str:
        return f"cell {self.cell}, line {self.line}" if self.cell else f"{self.file}:{self.line}"


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


class Diagnostics(tuple[Diagnostic, ...]):
    """All diagnostics of an experiment: a tuple of them, which says in words how many there are."""

    __slots__ = ()

    @property
    def summary(self) -> str:
        """How many errors and warnings.

        >>> Diagnostics().summary
        'no errors'
        """
        wrong = len(errors_of(self))
        doubts = len(self) - wrong
        return ", ".join([_count(wrong, "error"), *([_count(doubts, "warning")] if doubts else [])])

    def __str__(self) -> str:
        return "\n".join([self.summary, *map(str, self)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [(each.code, each.subject, each.found, each.expected, each.hint, each.place or "") for each in self]
        head = ("code", "subject", "found", "expected", "help", "where")
        return markup.paragraph("", self.summary) + markup.table(rows, head)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def errors_of(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics that forbid a run."""
    return tuple(item for item in diagnostics if item.severity == "error")


def caller_location() -> SourceLocation | None:
    """The nearest place on the call stack that is outside this package."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not _is_inside(file):
            return SourceLocation(file, frame.f_lineno, _cell(file))
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


def _cell(file: str) -> str:
    """The cell of the notebook in this process that a file stands for; empty where there is none."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    describe = getattr(getattr(shell, "compile", None), "format_code_name", None)
    kind, name = (describe(file) if describe is not None else None) or ("", "")
    numbered = re.match(r"<ipython-input-(\d+)-", file)  # of older versions
    return name if kind == "Cell" else f"In[{numbered[1]}]" if numbered else ""

"""Diagnostics as values, with the place in the user's code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

import attrs

from tunedsl.base import markup

Severity = Literal["error", "warning"]

_PACKAGE_FOLDER = str(Path(__file__).resolve().parent.parent) + os.sep
_MAX_SHOWN: Final = 120


@attrs.frozen
class SourceLocation:
    """A file and a line of the user's code.

    Attributes:
        file: the path of the file.
        line: the number of the line, from 1.
        cell: the notebook cell, such as `In[3]`; empty for an ordinary file.
    """

    file: str
    line: int
    cell: str = ""

    def __str__(self) -> str:
        return f"cell {self.cell}, line {self.line}" if self.cell else f"{self.file}:{self.line}"


@attrs.frozen
class Diagnostic:
    """One error or warning about an experiment.

    Attributes:
        code: `E` for errors or `W` for warnings, then three digits; codes never change.
        subject: the part of the experiment, such as `space.lr` or `scheduler`.
        message: what is wrong, in one sentence with a full stop.
        hint: what to type; may be empty.
        place: the file and line of the clause in the user's code, if known.
    """

    code: str
    subject: str
    message: str
    hint: str = ""
    place: SourceLocation | None = None

    @property
    def severity(self) -> Severity:
        return "warning" if self.code.startswith("W") else "error"

    def __str__(self) -> str:
        place = f"\n  at {self.place}" if self.place else ""
        return with_help(f"{self.code}: {self.message}{place}", self.hint)


class Diagnostics(tuple[Diagnostic, ...]):
    """All diagnostics of an experiment: a tuple with a summary in words."""

    __slots__ = ()

    @property
    def summary(self) -> str:
        """The number of errors and warnings, in words.

        >>> Diagnostics().summary
        'no errors'
        """
        errors = len(errors_of(self))
        warnings = len(self) - errors
        return " and ".join([_count(errors, "error"), *([_count(warnings, "warning")] if warnings else [])])

    def __str__(self) -> str:
        return "\n".join([f"The experiment has {self.summary}.", *map(str, self)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [(each.code, each.subject, each.message, each.hint, each.place or "") for each in self]
        head = ("code", "subject", "message", "help", "where")
        return markup.paragraph("", self.summary) + markup.table(rows, head)


def with_help(message: str, hint: str) -> str:
    """A message with its hint, if any."""
    return f"{message}\n  help: {hint}" if hint else message


def must_be(name: str, value: Any, requirement: str) -> str:
    """The sentence for a wrong value.

    >>> must_be("asha.max_t", "x", "a number")
    "asha.max_t must be a number, not 'x'."
    """
    return f"{name} must be {requirement}, not {shorten(repr(value))}."


def shorten(text: str, max_chars: int = _MAX_SHOWN) -> str:
    """A text in one line of bounded length, for use inside a message.

    >>> shorten("0123456789", max_chars=7)
    '0123...'
    """
    line = " ".join(text.split()) if len(text) <= max_chars * 10 else " ".join(text[: max_chars * 10].split())
    return line if len(line) <= max_chars else f"{line[: max_chars - 3]}..."


def reason(error: object) -> str:
    """The first line of an error's text without its full stop, for use inside a sentence."""
    return shorten(str(error).partition("\n")[0], 2 * _MAX_SHOWN).rstrip(". ") or type(error).__name__


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def errors_of(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics that are errors, which prevent a run."""
    return tuple(item for item in diagnostics if item.severity == "error")


def caller_location() -> SourceLocation | None:
    """The innermost place on the call stack outside this package."""
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
    """Whether code belongs to this package, or was generated for it."""
    return file.startswith((_PACKAGE_FOLDER, "<attrs"))


def _cell(file: str) -> str:
    """The notebook cell of a generated file in this process; empty for an ordinary file."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    describe = getattr(getattr(shell, "compile", None), "format_code_name", None)
    kind, name = (describe(file) if describe is not None else None) or ("", "")
    numbered = re.match(r"<ipython-input-(\d+)-", file)  # in older versions of IPython
    return name if kind == "Cell" else f"In[{numbered[1]}]" if numbered else ""

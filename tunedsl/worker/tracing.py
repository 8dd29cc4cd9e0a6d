"""Formats errors for users: their own frames, without the frames of this package."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Final

_PACKAGE: Final = str(Path(__file__).resolve().parent.parent) + os.sep
MAX_MESSAGE: Final = 10_000
"""Characters kept of an error's text, and of a line of a traceback."""
MAX_TRACEBACK: Final = 100_000
_LIBRARIES: Final = (str(Path(os.__file__).resolve().parent) + os.sep, "<frozen")
_SITE: Final = f"{os.sep}site-packages{os.sep}"
_HEAD: Final = "Traceback (most recent call last):\n"


def message_of(error: BaseException) -> str:
    """Return an exception's type and text, also where the text is invalid, too long or raises an error."""
    try:
        text = str(error)
    except Exception as other:  # the user's own __str__
        text = f"(its text is not available: {type(other).__name__})"
    return clean_text(f"{type(error).__name__}: {text}", MAX_MESSAGE)


def clean_text(text: str, max_length: int = MAX_MESSAGE) -> str:
    """Return a text that any file can store; the middle of a text longer than `max_length` is cut out."""
    if len(text) > max_length:
        text = (
            f"{text[: max_length // 2]}\n[... {len(text) - max_length:,} characters ...]\n{text[-(max_length // 2) :]}"
        )
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def format_error(error: BaseException) -> str:
    """Format an exception and its causes without frames of this package, unless it has no others."""
    try:
        return clean_text("".join(_format_lines(error)), MAX_TRACEBACK)
    except Exception as other:  # an exception of the user's that cannot even be shown
        return f"{message_of(error)}\n(its traceback is not available: {type(other).__name__})\n"


def _format_lines(error: BaseException) -> list[str]:
    formatted = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    part: traceback.TracebackException | None = formatted
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        part.stack = _own(part.stack)
        part = part.__cause__ or part.__context__
    return [clean_text(line) for line in formatted.format()]


def format_thread(thread: int) -> str:
    """Return the current traceback of a thread without its last line; empty outside the user's code."""
    frame = sys._current_frames().get(thread)
    frames = traceback.extract_stack(frame) if frame is not None else []
    first = next(
        (index for index, frame_ in enumerate(frames) if _ours(frame_)), 0
    )  # before it: the callers of this package
    own = [one for one in frames[first:] if not _ours(one)]
    return clean_text("".join([_HEAD, *traceback.format_list(own)]), MAX_TRACEBACK) if own else ""


def line_of_thread(thread: int) -> str:
    """Return the innermost line of the user's code that a thread is in; empty outside of it.

    >>> line_of_thread(0)
    ''
    """
    frame = sys._current_frames().get(thread)
    own = [one for one in traceback.extract_stack(frame) if not _ours(one)] if frame is not None else []
    users = [one for one in own if not one.filename.startswith(_LIBRARIES) and _SITE not in one.filename]
    if not users:
        return ""
    line = users[-1]
    return clean_text(f"{line.filename}:{line.lineno} in {line.name}{f': {line.line}' if line.line else ''}", 500)


def _own(stack: traceback.StackSummary) -> traceback.StackSummary:
    kept = [frame for frame in stack if not _ours(frame)]
    return traceback.StackSummary.from_list(kept) if kept else stack


def _ours(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(_PACKAGE)

"""Tracebacks as users should see them: their own frames, and none of this package's."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Final

_PACKAGE: Final = str(Path(__file__).resolve().parent.parent) + os.sep
MAX_MESSAGE: Final = 10_000
"""Characters of an error's text, and of a line of a traceback, that are kept."""
MAX_TRACEBACK: Final = 100_000
_LIBRARIES: Final = (str(Path(os.__file__).resolve().parent) + os.sep, "<frozen")
_SITE: Final = f"{os.sep}site-packages{os.sep}"
_HEAD: Final = "Traceback (most recent call last):\n"


def message_of(error: BaseException) -> str:
    """An exception's type and text, also where the text is no text, endless, or cannot be made."""
    try:
        text = str(error)
    except Exception as other:  # the user's own __str__
        text = f"(its text cannot be made: {type(other).__name__})"
    return clean_text(f"{type(error).__name__}: {text}", MAX_MESSAGE)


def clean_text(text: str, longest: int = MAX_MESSAGE) -> str:
    """A text that any file takes, cut in its middle where it is longer than that."""
    if len(text) > longest:
        text = f"{text[: longest // 2]}\n[... {len(text) - longest:,} characters ...]\n{text[-(longest // 2) :]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def format_error(error: BaseException) -> str:
    """The traceback of an exception and of those behind it. Where all frames are this package's, all stay."""
    try:
        return clean_text("".join(_is_user_error(error)), MAX_TRACEBACK)
    except Exception as other:  # an exception of the user's that cannot even be shown
        return f"{message_of(error)}\n(its traceback cannot be made: {type(other).__name__})\n"


def _is_user_error(error: BaseException) -> list[str]:
    told = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    part: traceback.TracebackException | None = told
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        part.stack = _own(part.stack)
        part = part.__cause__ or part.__context__
    return [clean_text(line) for line in told.format()]


def format_thread(thread: int) -> str:
    """Where a thread is now, as a traceback without its last line; empty where it is nowhere in the user's code."""
    frame = sys._current_frames().get(thread)
    frames = traceback.extract_stack(frame) if frame is not None else []
    first = next((place for place, one in enumerate(frames) if _ours(one)), 0)  # what called this package comes before
    own = [one for one in frames[first:] if not _ours(one)]
    return clean_text("".join([_HEAD, *traceback.format_list(own)]), MAX_TRACEBACK) if own else ""


def line_of_thread(thread: int) -> str:
    """The innermost line of the user's code where a thread is now; empty where it is nowhere in it.

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

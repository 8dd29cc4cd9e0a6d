"""Tracebacks as users should see them: their own frames, and none of this package's."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Final

_PACKAGE: Final = str(Path(__file__).resolve().parent.parent) + os.sep


def of_error(error: BaseException) -> str:
    """The traceback of an exception and of those behind it. Where all frames are this package's, all stay."""
    told = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    part: traceback.TracebackException | None = told
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        part.stack = _own(part.stack)
        part = part.__cause__ or part.__context__
    return "".join(told.format())


def of_thread(thread: int) -> str:
    """Where a thread is now, as a traceback without its last line; empty where it is nowhere in the user's code."""
    frame = sys._current_frames().get(thread)
    frames = traceback.extract_stack(frame) if frame is not None else []
    first = next((place for place, one in enumerate(frames) if _ours(one)), 0)  # what called this package comes before
    own = [one for one in frames[first:] if not _ours(one)]
    return "".join(["Traceback (most recent call last):\n", *traceback.format_list(own)]) if own else ""


def _own(stack: traceback.StackSummary) -> traceback.StackSummary:
    kept = [frame for frame in stack if not _ours(frame)]
    return traceback.StackSummary.from_list(kept) if kept else stack


def _ours(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(_PACKAGE)

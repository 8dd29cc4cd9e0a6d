"""Failures of an experiment as text: the first lines that a run prints at its end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tunedsl.results.trial import TrialError

if TYPE_CHECKING:
    from tunedsl.results.results import Results


def failures(results: Results, resume: str = "") -> str:
    """Number of permanently failed trials by kind, and the first trial of each kind with the user's traceback.

    Args:
        resume: what resumes the run; without it, the command of the terminal.

    Returns:
        Lines without an end; empty where no trial failed.
    """
    errors = results.errors
    if not errors:
        return ""
    counts = Counter(error.kind for error in errors)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    lines = [f"{len(errors)} of {len(results.trials)} trials failed: {kinds}"]
    for kind in counts:
        lines += _lines_of(next(error for error in errors if error.kind == kind))
    suspended = results.reading.suspended
    if not suspended:
        return "\n".join(lines)
    same = next((error for error in errors if suspended.endswith(error.message.strip().partition("\n")[0])), errors[0])
    resume = resume or f"tunedsl resume {results.path}"
    again = "--retry-failed" if resume.startswith("tunedsl ") else "retry_failed=True"
    helps = [f"  help: correct the cause, then: {resume}", f"        {again} runs the failed trials again, too"]
    return "\n".join([f"the run ended early: {suspended}", *_lines_of(same), *helps, lines[0]])


def _lines_of(error: TrialError) -> list[str]:
    trace = error.traceback.rstrip()
    return [f"trial {error.id}, {error.kind}: {error.message}", *([trace] if trace else [])]

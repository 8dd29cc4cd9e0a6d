"""What failed in an experiment, in words: what a run says first when it ends."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunedsl.results.results import Results


def failures(results: Results) -> str:
    """How many trials failed for good, by kind, and the first of each kind with the user's own traceback.

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
        first = next(error for error in errors if error.kind == kind)
        lines.append(f"trial {first.id}, {kind}: {first.message}")
        if first.traceback.strip():
            lines.append(first.traceback.rstrip())
    return "\n".join(lines)

"""One trial as JSON: its configuration, curve, story, output, checkpoints, failures and identity."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from tunedsl.base.errors import JournalError, NoResult, TunedslError
from tunedsl.base.names import is_portable
from tunedsl.base.types import AUTOMATIC_METRICS
from tunedsl.journal import Address, is_inside
from tunedsl.journal.folders import TRIALS_FOLDER
from tunedsl.journal.segments import open_regular
from tunedsl.results import TrialResult, frames
from tunedsl.results.selection import find_record
from tunedsl.results.story import Story, tell_stories
from tunedsl.results.trial_history import TrialHistory
from tunedsl.runs.locations import STORE
from tunedsl.runs.provenance import Outlets
from tunedsl.web.content import RunContent
from tunedsl.web.rows import MAX_COLUMNS, cell, said, short

MAX_POINTS: Final = 2_000
"""Reports of a curve."""
MAX_LONG: Final = 20_000
"""Characters of a long text, such as a traceback, of which the end is kept."""
MAX_STORY: Final = 2_000
"""Events of a story."""
MAX_LOG: Final = 128 * 1024
"""Bytes of output in one answer."""

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def trial_of(run: RunContent, number: int) -> dict[str, Any]:
    """Everything about a trial but its story and its output."""
    results = run.results
    record = find_record(run.history, number)
    trial, config = results[number], _config(record)
    return {
        "number": record.number,
        "name": short(record.name),
        "status": record.status,
        "reason": short(trial.stop_reason, 1_000),
        "seed": trial.seed,
        "attempts": record.attempts,
        "iterations": record.iterations,
        "resources": _resources(trial),
        "config": [[name, short(text, MAX_LONG)] for name, text in config],
        "configs": [[began, short(said(dict(held)), 1_000)] for began, held in record.configs[:MAX_COLUMNS]],
        "metrics": [[short(name), cell(item)] for name, item in list(trial.metrics.items())[:MAX_COLUMNS]],
        "checkpoints": [[at, str(place)] for at, place in list(trial.checkpoints.items())[-MAX_COLUMNS:]],
        "best_checkpoint": _best_checkpoint(trial),
        "spans": [_span(span) for span in record.spans[-MAX_COLUMNS:]],
        "failures": [
            {
                "seconds": failed.seconds,
                "kind": failed.kind,
                "message": short(plain_text(failed.message), 2_000),
                "traceback": plain_text(failed.traceback)[-MAX_LONG:],
            }
            for failed in record.failures[-20:]
        ],
        "identity": list(_identity(run)),
        "folder": str(trial.path),
        "rerun": f"tunedsl.load({str(run.place)!r}).rerun({record.number})",
        "logs": [name for name, path in _outputs(run, record) if path is not None],
    }


def _config(record: TrialHistory) -> list[tuple[str, str]]:
    try:
        return [(short(name), said(item)) for name, item in list(frames.config_of(record).items())[:MAX_COLUMNS]]
    except TunedslError as error:
        return [("", str(error))]


def _resources(trial: TrialResult) -> str:
    try:
        return ", ".join(f"{name} {amount:g}" for name, amount in trial.resources.items())
    except TunedslError as error:
        return short(str(error), 300)


def _best_checkpoint(trial: TrialResult) -> str | None:
    try:
        found = trial.best_checkpoint()
    except TunedslError:
        return None
    return None if found is None else str(found)


def _span(span: Any) -> dict[str, Any]:
    return {
        "worker": short(span.worker),
        "attempt": span.attempt,
        "start": span.start,
        "end": span.end,
        "first": span.first,
        "last": span.last,
        "outcome": span.outcome,
    }


def _identity(run: RunContent) -> Iterator[tuple[str, str]]:
    """What code and data the trial ran with."""
    plan, header = run.history.plan, run.history.journal.header
    yield "trainable", short(repr(plan.trainable), 1_000)
    yield "plan", plan.digest
    yield "seed of the run", str(plan.seed)
    for name, digest in plan.contents[:MAX_COLUMNS]:
        yield short(name), short(str(digest), 200)
    for name in ("script", "git", "packages", "python", "platform"):
        item = header.provenance.get(name)
        if item is not None:
            yield name, short(said(item), 1_000)


def curves_of(run: RunContent, number: int) -> dict[str, Any]:
    """The curve of each metric of a trial, and the seconds of training at each report."""
    record = find_record(run.history, number)
    made: dict[str, Any] = {}
    for name, column in list(record.columns.items())[:MAX_COLUMNS]:
        if name in AUTOMATIC_METRICS:
            continue
        step = max(1, math.ceil(len(column.values) / MAX_POINTS))
        rows, values = np.asarray(column.rows)[::step], np.asarray(column.values)[::step]
        times = np.asarray(record.times)[rows]
        made[short(name)] = {
            "iterations": (rows + 1).tolist(),
            "seconds": times.tolist(),
            "values": [value if math.isfinite(value) else None for value in values.tolist()],
        }
    return made


def story_of(run: RunContent, number: int) -> dict[str, Any]:
    """The story of a trial: seconds and text of each event, and what became of it."""
    return told(*tell_stories(run.history.journal, [find_record(run.history, number)], run.stories))


def told(story: Story) -> dict[str, Any]:
    """A story as JSON."""
    events = [[seconds, short(text, 1_000)] for seconds, text in story.events]
    cut = max(0, len(events) - MAX_STORY)
    return {"events": events[cut:], "left": cut, "outcome": short(story.outcome, 1_000)}


def log_of(run: RunContent, number: int, name: str, offset: int | None) -> dict[str, Any]:
    """A part of a trial's output, without terminal escapes.

    Args:
        name: `out` or `err`.
        offset: the first byte; None for the last part.

    Raises:
        NoResult: when there is no such output.
    """
    path = dict(_outputs(run, find_record(run.history, number))).get(name)
    if path is None:
        raise NoResult(f"Trial {number} has no output {name[:20]!r}.")
    try:
        with open_regular(path, follow_links=False) as file:
            size = file.seek(0, 2)
            first = max(0, size - MAX_LOG) if offset is None else min(max(0, offset), size)
            file.seek(first)
            data = file.read(MAX_LOG)
    except (OSError, JournalError) as error:
        raise NoResult(f"The output of trial {number} cannot be read: {type(error).__name__}.") from error
    if (data and first + len(data) < size) or not data.endswith(b"\n"):
        data = data[: data.rfind(b"\n") + 1] or data  # the rest of a line comes with the next part
    text = plain_text(data.decode("utf-8", "replace"))
    return {"text": text, "first": first, "next": first + len(data), "size": size}


def _outputs(run: RunContent, record: TrialHistory) -> Iterator[tuple[str, Path | None]]:
    """The files with a trial's output; None for a file that does not exist."""
    output = Outlets.recorded(run.history.journal.header).output
    root = Path(STORE).absolute() / run.name if isinstance(run.place, Address) else run.place
    if output is None or not is_portable(record.name):
        return
    for name, file in (("out", output.out), ("err", output.err)):
        if not is_portable(file) or (name == "err" and file == output.out):
            continue
        try:
            path = is_inside(root, f"{TRIALS_FOLDER}/{record.name}/{file}")
        except (TunedslError, OSError):
            continue
        yield name, path if path.is_file() else None


def plain_text(text: str) -> str:
    r"""Text without terminal escapes and other control characters; of a line that was overwritten, the last content.

    >>> plain_text("\x1b[31mred\x1b[0m\n10 %\r50 %\n")
    'red\n50 %\n'
    """
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in _ESCAPES.sub("", text).split("\n"))
    return _CONTROL.sub("", "\n".join(lines))

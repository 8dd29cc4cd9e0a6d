"""The view of a run that another process drives, from its journal alone."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from tunedsl.base.errors import JournalTaken
from tunedsl.journal import Journal, Tail, events_before, has_driver
from tunedsl.kernel import RunState, initial, step
from tunedsl.kernel.amending import plan_after
from tunedsl.views.progress import progress

POLL_SECONDS: Final = 0.2


def watch(path: Path | str, stream: TextIO | None = None, once: bool = False) -> RunState:
    """Show the state of a run, and update it while a driver runs.

    Ctrl+C ends this view, not the run.

    Args:
        path: the experiment's folder or address.
        stream: where to; without it the notebook that this runs in, or standard error.
        once: whether to show how it stands now, and no more.

    Returns:
        The last state that was seen.

    Raises:
        JournalError: when there is no journal, or it is damaged.
    """
    journal, tail = Journal(path), Tail(path)
    plan = journal.first_plan
    view = progress(plan, journal.folder.name, stream)
    state, why = initial(plan), ""
    try:
        while True:
            over = once or not has_driver(journal.path)  # checked before reading, so that the last records are read
            try:
                lines = tail.read()
            except JournalTaken:
                view.close(state, driven=True)
                return watch(path, stream, once)
            for line in lines:
                if line.m is not None:
                    why = line.m.closed or ""
                if line.e is not None:
                    plan = plan_after(plan, line.e)
                    state, commands = step(plan, state, line.e, partial(events_before, journal, line.n))
                    view.on_event(line.e, commands, state)
            if not lines and (over or state.finished):
                break
            if not lines:
                view.on_wait(state)
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        why = ""
    view.close(state, driven=has_driver(journal.path))
    if why and not state.finished:
        view.on_notice(f"{why}: continue with: tunedsl resume {path}")
    return state

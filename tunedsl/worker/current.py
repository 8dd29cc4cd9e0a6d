"""Which trial the current thread runs."""

from __future__ import annotations

import os
import threading

from tunedsl.base.errors import ReportError
from tunedsl.worker.session import Session


class Current(threading.local):
    """The session of the trial that the current thread runs."""

    session: Session | None = None


CURRENT = Current()
ACTIVE: set[int] = set()
"""Identifiers of the threads that run a trial now. `report` uses them to word its error in any other thread."""


def _disable_in_child() -> None:
    if CURRENT.session is not None:
        CURRENT.session.fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disable_in_child)


def current_session(call: str) -> Session:
    """Return the session of the trial that the current thread runs.

    Raises:
        ReportError: outside a trial, or in a thread that the trial started.
    """
    if CURRENT.session is not None:
        return CURRENT.session
    if ACTIVE:
        raise ReportError(
            f"{call} was called from the thread {threading.current_thread().name!r}, which does not run a trial.\n"
            f"  help: call it from the thread that runs the trainable"
        )
    raise ReportError(f"{call} was called outside a trial.\n  help: call it in a trainable that an experiment runs")

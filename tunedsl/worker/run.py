"""Runs one trial from its seed to its end, in the form of a function, a generator, a class or a command."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tunedsl.base.errors import ProgramError, ReportError, StorageError
from tunedsl.base.forks import end_child, this_process
from tunedsl.base.keys import seed_globals
from tunedsl.base.types import FailureKind
from tunedsl.kernel.events import Failed
from tunedsl.plan.forms import is_ray_class
from tunedsl.worker import tracing
from tunedsl.worker.command import CommandRun
from tunedsl.worker.current import ACTIVE, CURRENT
from tunedsl.worker.messages import TrialStopped
from tunedsl.worker.ray_tune import RayTuneBody, ray_tune_session
from tunedsl.worker.session import Session


def run_trial(session: Session) -> None:
    """Run the session's trial in this thread. An error becomes an event, never an exception.

    A child that the trial forks with `os.fork` exits here instead of returning.
    """
    is_mine = this_process()
    CURRENT.session = session
    ACTIVE.add(threading.get_ident())
    try:
        session.begin()
        seed_globals(session.info.seed)
        _FORMS[session.shipment.form](session)
        if not is_mine():
            end_child()
        session.end()
    except BaseException as error:
        if not is_mine():
            end_child(error)
        if not isinstance(error, TrialStopped):
            session.fail(fail_session(session, error))
    finally:
        session.is_over = True
        session.release_checkpoint()
        CURRENT.session = None
        ACTIVE.discard(threading.get_ident())


def _run_function(session: Session) -> None:
    shipment = session.shipment
    with ray_tune_session(shipment.trainable):
        result = shipment.trainable(session.info.config, **session.data())
    if result is not None:
        session.report(_metrics(result, "returned"), last=True)


def _run_generator(session: Session) -> None:
    shipment = session.shipment
    rows = shipment.trainable(session.info.config, **session.data())
    with _cleaning_up(session, rows.close):
        while True:
            try:
                row = next(rows)
            except StopIteration as end:
                if end.value is not None:
                    session.report(_metrics(end.value, "returned"), last=True)
                return
            session.report(_metrics(row, "yielded"))


def _run_class(session: Session) -> None:
    shipment = session.shipment
    trainable: Any = shipment.trainable
    body = RayTuneBody(trainable, session) if is_ray_class(trainable) else trainable()
    save: Callable[[Path], None] | None = getattr(body, "save", None)
    with _cleaning_up(session, lambda: _clean_up(session, body)):
        body.setup(session.info.config, **session.data())
        if session.info.checkpoint is not None:
            session.load(body.load, session.info.checkpoint)
        while (row := body.step()) is not None:
            session.report(_metrics(row, "returned by step()"), save=save)
        if save is not None:
            session.save(save)


def _run_command(session: Session) -> None:
    command = CommandRun(session)
    with _cleaning_up(session, command.stop):
        command.run()


@contextlib.contextmanager
def _cleaning_up(session: Session, clean_up: Callable[[], None]) -> Iterator[None]:
    """Call the user's clean-up in any case. The result of the trial is stored first, since the clean-up may hang."""
    failure: Failed | None = None
    try:
        yield
    except TrialStopped:
        raise
    except BaseException as error:
        failure = fail_session(session, error)
        raise
    finally:
        session.clean_up(failure)
        clean_up()


def _clean_up(session: Session, body: Any) -> None:
    """Call `cleanup`. Its exception after the end of the trial is written to a file, as the trial cannot fail then."""
    cleanup = getattr(body, "cleanup", None)
    if cleanup is None:
        return
    try:
        cleanup()
    except Exception as error:
        if not session.is_over:
            raise
        (session.info.path / "cleanup-error.txt").write_text(tracing.format_error(error))


_FORMS: dict[str, Callable[[Session], None]] = {
    "function": _run_function,
    "generator": _run_generator,
    "class": _run_class,
    "command": _run_command,
}


def _metrics(row: Any, how: str) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise ReportError(f"The trainable must have a dict of metrics {how}, not a {type(row).__name__}: {row!r:.80}.")
    return row


def fail_session(session: Session, error: BaseException) -> Failed:
    """Return the failure event for an exception, with the traceback of the user's code."""
    kind: FailureKind = "crash"
    message, traceback = tracing.message_of(error), tracing.format_error(error)
    if isinstance(error, ProgramError):
        kind = "oom" if error.out_of_memory else "crash"
        message, traceback = tracing.clean_text(str(error)), tracing.clean_text(error.output, tracing.MAX_TRACEBACK)
    elif isinstance(error, ReportError):
        kind = "bad_report"
    elif isinstance(error, StorageError):
        kind = "storage"
    elif _is_out_of_memory(error):
        kind = "oom"
    resources = dict(session.assignment.resources) if kind == "oom" else {}
    unreadable = session.unreadable_checkpoint if kind != "oom" else ""
    return Failed(0.0, session.number, kind, message, traceback, resources, unreadable)


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether this is `MemoryError`, or the error of torch, TensorFlow or JAX for a full device."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return (
        isinstance(error, MemoryError)
        or bool(names & {"OutOfMemoryError", "ResourceExhaustedError"})
        or ("XlaRuntimeError" in names and "RESOURCE_EXHAUSTED" in tracing.message_of(error))
    )

"""Redirects the output of trials to files in their folders: by thread in a shared process, all of it in a worker.

It never fails a trial: where a file cannot be written, the output goes to the original stream.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import IO, Any, Final, Literal, cast

from tunedsl.journal import trial_folder
from tunedsl.plan.output import Output
from tunedsl.worker.current import ACTIVE
from tunedsl.worker.session import Session

StreamName = Literal["out", "err"]
_STREAMS: Final[dict[StreamName, str]] = {"out": "stdout", "err": "stderr"}


class Capture:
    """Does not redirect output."""

    def of(self, session: Session) -> contextlib.AbstractContextManager[None]:
        """Return the context in which the trial runs, in its thread."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Restore the streams."""


class Files:
    """The output files of one attempt, opened at the first write.

    Args:
        output: their names.
        session: the attempt.
    """

    def __init__(self, output: Output, session: Session) -> None:
        self._names: dict[StreamName, str] = {"out": output.out, "err": output.err}
        self._session = session
        self._open: dict[str, IO[str]] = {}
        self._lock = threading.Lock()
        self._failed = False

    def file(self, which: StreamName) -> IO[str] | None:
        """Return the file of a stream; None where it cannot be written."""
        name = self._names[which]
        found = self._open.get(name)
        if found is not None and not found.closed:
            return found
        with self._lock:
            try:
                return self._opened(name)
            except OSError:
                self._failed = True
                return None

    def close(self) -> None:
        """Close the files. A thread that outlives the trial opens them again."""
        for file in self._open.values():
            with contextlib.suppress(OSError):
                file.close()

    def _opened(self, name: str) -> IO[str] | None:
        found = self._open.get(name)
        if found is not None and not found.closed:
            return found
        if self._failed:
            return None
        assignment = self._session.assignment
        folder = trial_folder(
            self._session.shipment.root, assignment.name, assignment.config, create_new=assignment.attempt > 0
        )
        file = (folder / name).open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
        if assignment.attempt > 0 and found is None:
            start = f" from iteration {assignment.iteration}" if assignment.iteration else ""
            file.write(f"--- attempt {assignment.attempt + 1}{start}, {time.strftime('%Y-%m-%d %H:%M:%S')} ---\n")
        self._open[name] = file
        return file


class _Stream:
    """Replaces `sys.stdout` or `sys.stderr`: trials write to their files, other code to the original stream."""

    def __init__(self, before: Any, file: Callable[[], IO[str] | None]) -> None:
        self.before = before
        self.over = False
        self._file = file

    def _target(self) -> Any:
        found = None if self.over else self._file()
        return self.before if found is None else found

    def write(self, text: str) -> int:
        target = self._target()
        try:
            return cast(int, target.write(text))
        except OSError:
            if target is self.before:
                raise
            return len(text)  # a full disk must not fail `print`; the file retries its buffer

    def flush(self) -> None:
        target = self._target()
        try:
            target.flush()
        except OSError:
            if target is self.before:
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target(), name)


class _Router:
    """Routes the output of each thread to its trial. The process has one router, which all its runs share.

    A thread belongs to the trial that it runs. Another new thread was started by a trial, and belongs to the trial that
    ran at the thread's first output. Its output is not redirected where several trials ran then.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._users: weakref.WeakSet[Streams] = weakref.WeakSet()
        self._running: dict[int, Files] = {}
        self._strangers: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._children: weakref.WeakKeyDictionary[threading.Thread, Files] = weakref.WeakKeyDictionary()
        self._streams: list[tuple[str, _Stream]] = []

    def join(self, user: Streams) -> None:
        """Add a user. The threads that exist before the first user belong to no trial."""
        with self._lock:
            if not self._users:
                self._strangers = weakref.WeakSet(threading.enumerate())
            self._users.add(user)

    def exempt(self) -> None:
        """Exclude the current thread: it drives a run."""
        with self._lock:
            self._strangers.add(threading.current_thread())

    def leave(self, user: Streams) -> None:
        """Remove a user; the last one restores the streams."""
        with self._lock:
            self._users.discard(user)
            streams, self._streams = ([], self._streams) if self._users else (self._streams, [])
        for name, stream in reversed(streams):
            stream.over = True
            if getattr(sys, name) is stream:
                setattr(sys, name, stream.before)
            _redirect_logging(stream, stream.before)

    @contextlib.contextmanager
    def routed(self, files: Files) -> Iterator[None]:
        """Route the output of the current thread to a trial's files."""
        self._install()
        own = threading.get_ident()
        self._running[own] = files
        try:
            yield
        finally:
            del self._running[own]

    def _install(self) -> None:
        """Replace the current streams, also those that other code has installed since."""
        with self._lock:
            for which, name in _STREAMS.items():
                before = getattr(sys, name)
                if before is not None and not (isinstance(before, _Stream) and not before.over):
                    stream = _Stream(before, lambda which=which: self._file(which))  # type: ignore[misc]
                    setattr(sys, name, stream)
                    self._streams.append((name, stream))
                    _redirect_logging(before, stream)

    def _file(self, which: StreamName) -> IO[str] | None:
        files = self._running.get(threading.get_ident()) or self._of_child()
        return None if files is None else files.file(which)

    def _of_child(self) -> Files | None:
        thread = threading.current_thread()
        if thread in self._strangers or thread is threading.main_thread() or thread.ident in ACTIVE:
            return None
        found = self._children.get(thread)
        if found is None and not ACTIVE - self._running.keys():
            with self._lock:
                holders = {user.holder() for user in self._users} - {None}
            found = self._running.get(cast(int, holders.pop())) if len(holders) == 1 else None
            if found is not None:
                self._children[thread] = found
        return found


_router: Final = _Router()


class Streams(Capture):
    """Redirects Python's streams by thread: `print`, warnings and `logging`, also in threads that a trial starts.

    It does not capture the output of C code and subprocesses.

    Args:
        output: the files' names.
        holder: returns the identifier of the thread whose trial runs now, where trials take turns. A thread of unknown
            origin belongs to that trial.
    """

    def __init__(self, output: Output, holder: Callable[[], int | None] | None = None) -> None:
        self._output = output
        self._running: set[int] = set()
        self.holder = holder or self._only
        _router.join(self)

    @contextlib.contextmanager
    def of(self, session: Session) -> Iterator[None]:
        own = threading.get_ident()
        files = Files(self._output, session)
        self._running.add(own)
        try:
            with _router.routed(files), self._around(files):
                yield
        finally:
            self._running.discard(own)
            files.close()

    def close(self) -> None:
        _router.leave(self)

    def _around(self, files: Files) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def _only(self) -> int | None:
        return next(iter(self._running), None)


class Descriptors(Streams):
    """Redirects the process's descriptors, too, and so all output of a worker that runs one trial at a time.

    The output of a thread or subprocess that outlives its trial goes to the next trial.
    """

    @contextlib.contextmanager
    def _around(self, files: Files) -> Iterator[None]:
        saved: list[tuple[int, int]] = []
        try:
            for number, which in ((1, "out"), (2, "err")):
                file = files.file(cast(StreamName, which))
                if file is not None:
                    saved.append((number, os.dup(number)))
                    os.dup2(file.fileno(), number)
            yield
        finally:
            for number, before in saved:
                os.dup2(before, number)
                os.close(before)


def capture(output: Output | None, alone: bool, holder: Callable[[], int | None] | None = None) -> Capture:
    """Return the redirection for the trials of this process.

    Args:
        output: the names of the files.
        alone: whether the process is a worker, which runs one trial at a time. The output of the user's own process is
            redirected only where the experiment asks for it.
        holder: as in `Streams`.
    """
    if not alone:
        _router.exempt()
    if output is None or not (alone or output.whole):
        return Capture()
    return Descriptors(output) if alone and output.whole else Streams(output, holder)


def restore_streams() -> None:
    """Remove closed streams that other code has installed again."""
    for name in _STREAMS.values():
        stream = getattr(sys, name)
        if isinstance(stream, _Stream) and stream.over:
            setattr(sys, name, stream.before)


def _redirect_logging(before: Any, after: Any) -> None:
    """Switch the logging handlers of one stream to another, since handlers keep their first stream."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.StreamHandler) and handler.stream is before:
            handler.setStream(after)

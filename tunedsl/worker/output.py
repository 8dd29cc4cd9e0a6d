"""What trials print, in files of their folders: each thread's own where trials share a process, all of it in a worker.

Nothing here may fail a trial: where a file cannot be written, output goes where it went before.
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
    """Leaves output where it goes."""

    def of(self, session: Session) -> contextlib.AbstractContextManager[None]:
        """Is around a trial's run, in its thread."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Puts everything back."""


class Files:
    """The files of one attempt at a trial, opened when something is written first.

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
        """The file for one stream; None where it cannot be written."""
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
        """Closes them. A thread that outlives its trial opens them again."""
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
    """Stands for `sys.stdout` or `sys.stderr`: what a trial writes goes to its file, all else where it went before."""

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
            return len(text)  # a full disk is no fault of who prints; the file's buffer is tried again

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
    """Whose output goes where: one for the process, so that runs in several threads do not stand before each other.

    A thread belongs to the trial that it runs. One that no trial is known for was begun by a trial, and belongs to the
    one that ran when it was first heard; where several run at once, none can be told, and it is left alone.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._users: weakref.WeakSet[Streams] = weakref.WeakSet()
        self._running: dict[int, Files] = {}
        self._strangers: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._children: weakref.WeakKeyDictionary[threading.Thread, Files] = weakref.WeakKeyDictionary()
        self._streams: list[tuple[str, _Stream]] = []

    def join(self, user: Streams) -> None:
        """Has one more user; the threads that are there when the first one comes are no trial's."""
        with self._lock:
            if not self._users:
                self._strangers = weakref.WeakSet(threading.enumerate())
            self._users.add(user)

    def exempt(self) -> None:
        """This thread is no trial's: it drives a run."""
        with self._lock:
            self._strangers.add(threading.current_thread())

    def leave(self, user: Streams) -> None:
        """Has one user less; the last one puts the streams back."""
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
        """Has this thread's output go to a trial's files."""
        self._install()
        own = threading.get_ident()
        self._running[own] = files
        try:
            yield
        finally:
            del self._running[own]

    def _install(self) -> None:
        """Wraps the streams, also those that other code has installed since."""
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
        if found is None and not ACTIVE - self._running.keys():  # a trial whose output stays where it goes could be it
            with self._lock:
                holders = {user.holder() for user in self._users} - {None}
            found = self._running.get(cast(int, holders.pop())) if len(holders) == 1 else None
            if found is not None:
                self._children[thread] = found
        return found


_router: Final = _Router()


class Streams(Capture):
    """By Python's streams, for each thread: `print`, warnings and `logging`, of threads that a trial began too.

    What C code and subprocesses write is not heard.

    Args:
        output: the files' names.
        holder: gives the identity of the thread that runs a trial now, where several take turns; a thread that no
            trial is known for belongs to that trial.
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
    """Also by the process's descriptors, for a worker that runs one trial at a time: all that it writes is heard.

    A thread or subprocess that a trial leaves behind is heard as part of the next one.
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
    """What hears a process's trials.

    Args:
        output: where their output goes.
        alone: whether the process is a worker and runs one trial at a time. Elsewhere it is the user's own, and its
            output stays where it goes unless the experiment says otherwise.
        holder: as in `Streams`.
    """
    if not alone:
        _router.exempt()
    if output is None or not (alone or output.whole):
        return Capture()
    return Descriptors(output) if alone and output.whole else Streams(output, holder)


def restore_streams() -> None:
    """Takes streams away that are over, where somebody put them back after that."""
    for name in _STREAMS.values():
        stream = getattr(sys, name)
        if isinstance(stream, _Stream) and stream.over:
            setattr(sys, name, stream.before)


def _redirect_logging(before: Any, after: Any) -> None:
    """Handlers keep the stream that they began with: they get the other one."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.StreamHandler) and handler.stream is before:
            handler.setStream(after)

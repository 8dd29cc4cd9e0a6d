"""Delivery of a journal to sinks, during a run in a thread or process, or after it.

Sinks of this package read it in a process of their own, so that no trial and no driver waits for their work. The
user's own are called in a thread here, where their objects are.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from tunedsl.base import codec
from tunedsl.base.arguments import check_arguments
from tunedsl.base.errors import TunedslError
from tunedsl.base.forks import in_children
from tunedsl.export.dispatch import Say, SinkHandle, dispatch_journal
from tunedsl.journal import Address, Journal, Location, has_driver
from tunedsl.sinks.contract import Sink
from tunedsl.sinks.registry import UserSink, missing_package, registered, sink_of

LOG_FILE: Final = "sinks.log"
"""In the experiment's folder: what sinks' libraries print, and why a sink failed."""
THREAD_SHARE: Final = 0.2
"""Of the time, for sinks that work in a thread beside the driver while trials run."""
SHUTDOWN_SECONDS: Final = 60.0
"""How long the end of a run waits for sinks without progress."""
NOTICE_SECONDS: Final = 3.0
"""After which it says that it waits."""


class SinkError(TunedslError):
    """A sink failed on an export."""


def sink_handle(spec: Any, say: Say) -> SinkHandle:
    """The handle of the sink that a value of `.sinks(...)` describes; see `tunedsl.sinks.registry.sink_of`."""
    if isinstance(spec, UserSink):
        options = {name: item.copy() for name, item in spec.options}
        return SinkHandle(repr(spec), lambda: spec.make.resolve()(**options), say)
    kind = registered()[type(spec)]
    module, _, writer = kind.writer.partition(":")
    make: Callable[[], Sink] = lambda: getattr(importlib.import_module(module), writer)(spec)  # noqa: E731
    return SinkHandle(kind.name, make, say)


@check_arguments
def export(path: str | Path, *sinks: Any, out: str | Path | None = None, follow: bool = False) -> None:
    """Deliver a whole journal to sinks, of a finished, interrupted or running experiment.

    Args:
        path: the experiment's folder or address.
        sinks: as for `.sinks(...)`.
        out: where they put files; the experiment's folder without it.
        follow: whether to continue while the experiment runs.

    Raises:
        SinkError: for a sink that fails or whose package is not installed, that the running experiment has itself, or
            an address without `out`.
        JournalError: when there is no journal, or it is damaged.
    """
    specs = [sink_of(sink) for sink in sinks]
    problems = [problem for problem in map(missing_package, specs) if problem]
    if problems:
        raise SinkError("\n".join(f"A sink needs {why}.\n  help: {hint}" for why, hint in problems))
    journal = Journal(path)
    if isinstance(journal.folder, Address) and out is None:
        raise SinkError(
            f"{journal.folder} is an address, so the files need another folder.\n  help: write out='folder'"
        )
    if out is None and has_driver(journal.path):
        written = codec.encode(tuple(specs))["$tuple"]
        at_work = (journal.header.provenance.get("sinks") or {}).get("$tuple", ())
        busy = [spec for spec, item in zip(specs, written, strict=True) if item in at_work]
        if busy:
            raise SinkError(f"The running experiment writes {busy[0]!r} itself.\n  help: pass another out")
    folder = Path(journal.folder if out is None else out).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    handles = [sink_handle(spec, failed.append) for spec in specs]
    dispatch_journal(journal.folder, handles, folder, over=lambda: not (follow and has_driver(journal.path)))
    if failed:
        raise SinkError("\n".join(failed))


@contextlib.contextmanager
def export_during_run(home: Location, root: Path, sinks: Sequence[Any], quiet: bool = False) -> Iterator[None]:
    """Deliver the enclosed run to sinks, and wait at its end until every record is delivered.

    A sink that fails or hangs is reported on standard error and disabled; `sinks.log` has the details.

    Args:
        home: the experiment's folder or address; its journal has a header.
        root: the folder for files.
        sinks: specs, as in `.sinks(...)`.
        quiet: whether to print nothing.
    """
    if not sinks:
        yield
        return
    log = _Log(root / LOG_FILE, quiet)
    helpers: list[_ExportTask] = []
    own = [spec for spec in sinks if isinstance(spec, UserSink)]
    others = [spec for spec in sinks if not isinstance(spec, UserSink)]
    if own:
        helpers.append(_ExportThread(home, root, own, log))
    if others:
        helpers.append(_ExportProcess(home, root, others, log))
    try:
        yield
    finally:
        for helper in helpers:
            helper.end()
        for helper in helpers:
            helper.wait()


class _Log:
    """Prints the first line of a problem, and writes the rest to the log file."""

    def __init__(self, path: Path, quiet: bool) -> None:
        self.path = path
        self.quiet = quiet

    def __call__(self, message: str) -> None:
        with self.path.open("a") as file:
            file.write(message.rstrip() + "\n")
        self.say(message.partition("\n")[0])

    def say(self, line: str) -> None:
        """On standard error only."""
        if not self.quiet:
            print(line, file=sys.stderr)


class _ExportTask:
    """The base of the tasks that deliver to sinks during a run."""

    def __init__(self, names: str, log: _Log) -> None:
        self.names, self.log = names, log
        self.over = threading.Event()
        self.delivered = 0
        self._thread = threading.Thread(target=self._main, name="tunedsl-sinks", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.log(f"the sinks {self.names} are disabled: {type(error).__name__}: {error}")

    def work(self) -> None:
        """Deliver records until the run is over and every record is delivered."""
        raise NotImplementedError

    def end(self) -> None:
        """Signal that the journal is complete."""
        self.over.set()

    def wait(self) -> None:
        """Wait for the remaining deliveries while they make progress."""
        moved = began = time.monotonic()
        delivered, noticed = self.delivered, False
        while self._thread.is_alive():
            self._thread.join(0.2)
            now = time.monotonic()
            if self.delivered != delivered:
                delivered, moved = self.delivered, now
            if not noticed and now - began > NOTICE_SECONDS and self._thread.is_alive():
                noticed = True
                self.log.say(f"waiting for the sinks {self.names} (Ctrl+C leaves them; tunedsl export writes the rest)")
            if now - moved > SHUTDOWN_SECONDS:
                self.log(f"the sinks {self.names} do not respond and are disabled; tunedsl export writes the rest")
                self.leave()
                return

    def leave(self) -> None:
        """Terminate the task, if possible."""


class _ExportThread(_ExportTask):
    """Delivers to user-defined sinks in a thread."""

    def __init__(self, home: Location, root: Path, sinks: Sequence[Any], log: _Log) -> None:
        self._home, self._root, self._sinks = home, root, sinks
        super().__init__(", ".join(map(repr, sinks)), log)

    def work(self) -> None:
        handles = [sink_handle(spec, self.log) for spec in self._sinks]
        dispatch_journal(
            self._home, handles, self._root, over=self.over.is_set, delivered=self._note, share=THREAD_SHARE
        )

    def _note(self, count: int) -> None:
        self.delivered = count


class _ExportProcess(_ExportTask):
    """Delivers to the package's sinks in another process, which ends when this one exits."""

    def __init__(self, home: Location, root: Path, sinks: Sequence[Any], log: _Log) -> None:
        package = str(Path(__file__).resolve().parents[2])
        places = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        with log.path.open("a") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tunedsl.export"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
                start_new_session=True,  # Ctrl+C is for the run, which then ends this
                text=True,
            )
        self._input: IO[str] = self._process.stdin  # type: ignore[assignment]  # a pipe, as asked for
        self._unregister = in_children(
            self._input.close
        )  # closing it signals the end of this process; children must not keep it open
        source = home if isinstance(home, Address) else str(home.resolve())
        task = {"home": source, "root": str(root.resolve()), "sinks": codec.encode(list(sinks))}
        self._input.write(json.dumps(task) + "\n")
        self._input.flush()
        super().__init__(", ".join(registered()[type(spec)].name for spec in sinks), log)

    def work(self) -> None:
        assert self._process.stdout is not None  # a pipe, as asked for
        with self._process.stdout as lines:
            for line in lines:
                message = json.loads(line)
                if isinstance(message, int):
                    self.delivered = message
                else:
                    self.log(message)
        code = self._process.wait()
        if code:
            self.log(f"the sinks {self.names} are disabled: their process ended with code {code}")
        if self.log.path.exists() and not self.log.path.stat().st_size:
            self.log.path.unlink()

    def end(self) -> None:
        super().end()
        self._unregister()
        with contextlib.suppress(OSError):
            self._input.close()

    def leave(self) -> None:
        self._process.kill()

"""The additional processes of a distributed trial: ranks 1, 2, ... Rank 0 is the trial's own worker, which reports.

`ProcessRank` runs a rank on this machine; the Ray backend runs ranks on the nodes of a placement group. The integration
that starts a rank forms the process group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

import attrs
import cloudpickle

from tunedsl.base.import_path import process_code
from tunedsl.base.keys import seed_globals
from tunedsl.base.types import FailureKind
from tunedsl.kernel.events import Failed
from tunedsl.worker import tracing
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.current import CURRENT
from tunedsl.worker.session import Session
from tunedsl.worker.trial_info import TrialInfo

_MAX_ERROR: Final = 4000


@attrs.frozen
class RankFailure:
    """The failure of a rank.

    Attributes:
        kind: `crash` for an exception, `lost` for a process that was killed.
        message: a message of one line.
        traceback: the traceback of the user's code; may be empty.
    """

    kind: FailureKind
    message: str
    traceback: str = ""


def fail_attempt(session: Session, failure: RankFailure) -> None:
    """End an attempt with the failure of a rank."""
    session.halted = True
    session.fail(Failed(0.0, session.number, failure.kind, failure.message, failure.traceback))


class Rank(Protocol):
    """A rank that was started."""

    def is_over(self) -> bool:
        """Whether it has ended."""

    def failure(self) -> RankFailure | None:
        """Its failure; None while it runs and if it has succeeded."""

    def kill(self) -> None:
        """Kill it if it still runs."""


@attrs.frozen
class RankTask:
    """The task of a rank: its trial, and the user's code.

    Attributes:
        trial: the information about the trial; the rank fetches the checkpoint again, since it may be on another node.
        storage, checkpoint: the location of the trial's checkpoint; the checkpoint is empty for a new trial.
        body: the code to call in the rank.
    """

    trial: TrialInfo
    storage: str
    checkpoint: str
    body: Callable[[], object]

    @classmethod
    def of(cls, session: Session, body: Callable[[], object]) -> RankTask:
        """A task for the ranks of a session's trial."""
        return cls(session.info, session.shipment.storage, session.assignment.checkpoint, body)

    def run(self) -> None:
        """Run the code as a part of the trial; its reports are ignored, since rank 0 reports."""
        storage = CheckpointStorage(self.storage)
        folder = storage.fetch(self.checkpoint) if self.checkpoint else None
        CURRENT.session = _RankSession(attrs.evolve(self.trial, checkpoint=folder))  # type: ignore[assignment]
        seed_globals(self.trial.seed)
        try:
            self.body()
        finally:
            CURRENT.session = None
            if folder is not None:
                storage.release(folder)


class _RankSession:
    """The session of a rank that does not report: `trial()` works, and `report()` does nothing."""

    def __init__(self, info: TrialInfo) -> None:
        self.info = info

    def report(self, metrics: Any, checkpoint: Any = None, save: Any = None) -> None:
        """Ignore a report, which rank 0 makes too."""

    def fork(self) -> None:
        """Do nothing: a forked child cannot report either."""


class ProcessRank:
    """A rank in a process of this machine; it ends with its parent process.

    Args:
        task: the task of the rank.
        environment: variables in addition to those of this process.
    """

    def __init__(self, task: RankTask, environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `kill`
        self._process = subprocess.Popen(
            [sys.executable, "-c", process_code(__name__, "main()")],
            stdin=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **environment},
        )
        assert self._process.stdin is not None
        self._process.stdin.write(cloudpickle.dumps(task))
        self._process.stdin.flush()

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def failure(self) -> RankFailure | None:
        code = self._process.poll()
        if not code:
            return None
        if code < 0:
            return RankFailure("lost", f"a rank was killed by {signal.Signals(-code).name}")
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _MAX_ERROR))
        trace = self._errors.read().decode(errors="replace").strip()
        return RankFailure("crash", trace.rpartition("\n")[2] or f"a rank exited with code {code}", trace)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._errors.close()


def main() -> NoReturn:
    """Run the task from standard input; end at once when the other end of that pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the driver
    stream = sys.stdin.buffer
    task: RankTask = cloudpickle.load(stream)
    threading.Thread(target=_end_with, args=(stream.fileno(),), daemon=True).start()
    code = 0
    try:
        task.run()
    except BaseException as error:
        sys.stderr.write(tracing.format_error(error) or f"{tracing.message_of(error)}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the process group may still run


def _end_with(descriptor: int) -> None:
    """End this process when its parent has closed the pipe or has ended."""
    while os.read(descriptor, 1):
        pass
    os._exit(1)

"""A worker of the pool that is a process of this machine; it starts as soon as its resources are free."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any, Final

from tunedsl.backends.local.channel import Channel
from tunedsl.backends.local.machine import Grant, Machine
from tunedsl.backends.local.process import HALT, start_code
from tunedsl.backends.local.reaper import Reaper
from tunedsl.backends.pool import PooledWorker, resources_of
from tunedsl.base.machine import count_oom_kills
from tunedsl.base.types import FailureKind
from tunedsl.plan.packing import UNIT
from tunedsl.worker.commands import WorkerCommand
from tunedsl.worker.wire import pack

EXIT_SECONDS: Final = 5.0
"""How long to wait for a killed process to end."""
_MAX_ERROR: Final = 4000


class PooledProcess(PooledWorker):
    """One process and its assignments.

    Args:
        shape: the shape of its resources.
        machine: allocates them.
        shipment: descriptor of the memory with the shipment.
        reaper: ends the process after the death of this one.
        is_shown: whether the output of trials goes to the driver's streams.
    """

    def __init__(self, shape: str, machine: Machine, shipment: int, reaper: Reaper, is_shown: bool) -> None:
        super().__init__(shape)
        self.channel: Channel | None = None
        self.death: int | None = None
        self._machine = machine
        self._shipment = shipment
        self._reaper = reaper
        self._is_shown = is_shown
        self._grant: Grant | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._oom_kills = 0

    def start(self) -> bool:
        """Start the process if its resources are free now; return whether it was started."""
        resources = resources_of(self.shape)
        self._grant = self._machine.take(resources)
        if self._grant is None:
            return False
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        self._errors = None if self._is_shown else tempfile.TemporaryFile()  # noqa: SIM115  # closed by `kill`
        self._oom_kills = count_oom_kills()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", start_code(theirs.fileno(), self._shipment)],
                stdin=subprocess.DEVNULL,
                stdout=None if self._is_shown else subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(theirs.fileno(), self._shipment),
                env={**os.environ, **_environment(self._grant)},
                start_new_session=True,  # so that Ctrl+C reaches the driver alone, and kills reach what trials started
            )
        self._reaper.add(self._process.pid)
        with contextlib.suppress(AttributeError, OSError):  # Linux only
            self.death = os.pidfd_open(self._process.pid)
        return True

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def send(self, orders: Sequence[WorkerCommand]) -> None:
        if self.channel is not None:
            self.channel.send(pack(list(orders)))

    def halt(self) -> None:
        if self.channel is not None and self.ready:
            self.channel.send(HALT)

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(OSError):  # all its processes have ended
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(EXIT_SECONDS)
            self._reaper.remove(self._process.pid)
        if self.channel is not None:
            self.channel.close()
        if self.death is not None:
            os.close(self.death)
        if self._errors is not None:
            self._errors.close()
        if self._grant is not None:
            self._machine.give_back(self._grant)
        self.channel = self.death = self._process = self._errors = self._grant = None

    def cause_of_death(self) -> tuple[FailureKind, str]:
        """Return why the process has ended, and end the processes that it started."""
        process = self._process
        assert process is not None
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        code: Any = process.wait()
        who = f"its worker (pid {process.pid})"
        if code == -signal.SIGKILL and count_oom_kills() > self._oom_kills:
            return "oom", f"{who} was killed, and the kernel of this machine killed a process for lack of memory"
        if code < 0:
            return "lost", f"{who} was killed by {signal.Signals(-code).name}"
        return "lost", f"{who} exited with code {code}, by os._exit or by code outside Python"

    def last_errors(self) -> str:
        """Return the last lines that the process wrote to standard error, such as Python's report of a crash."""
        if self._errors is None:
            return ""
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _MAX_ERROR))
        return self._errors.read().decode(errors="replace").strip()


def _environment(grant: Grant) -> dict[str, str]:
    """The variables that set a process's devices, and its number of threads: the CPUs, unless the user has set it."""
    threads = max(1, grant.amounts["CPU"] // UNIT)
    return {"CUDA_VISIBLE_DEVICES": grant.visible, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}

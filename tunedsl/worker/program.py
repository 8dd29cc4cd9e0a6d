"""A running program: its supervisor, output and end. `program_metrics` interprets the output."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tunedsl.base.errors import ProgramError

_SUPERVISOR: Final = str(Path(__file__).with_name("supervisor.py"))
_BLOCK_BYTES: Final = 2**16
_EXIT_SECONDS: Final = 10.0
"""Seconds to wait for the supervisor after the grace period of the program."""
_WAKES: Final = 20
"""How often a suspended program is resumed, because a process that it has just forked may miss a signal."""

Chunk = tuple[str, bytes]
"""The name of a stream, and output of the program."""


class Program:
    """A program under supervision; it ends after `request_stop`, and when this process ends for any reason.

    Args:
        arguments: the program and its arguments.
        env: its environment.
        cwd: its working directory.
        grace: seconds between SIGTERM and SIGKILL.

    Attributes:
        exit_code: the exit code, negative for a signal; None until the program has ended.

    Raises:
        ProgramError: when it cannot be started.
    """

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], cwd: str, grace: float) -> None:
        if not hasattr(os, "fork"):
            raise ProgramError("A command(...) needs a POSIX system, such as Linux or macOS.")
        self.exit_code: int | None = None
        self._name, self._grace, self._pid = arguments[0], grace, 0
        control, self._control = os.pipe()
        self._status, status = os.pipe()
        script = [sys.executable, "-I", "-S", _SUPERVISOR, str(control), str(status), str(grace)]
        try:
            self._process = subprocess.Popen(
                [*script, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                cwd=cwd,
                pass_fds=(control, status),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(self._control)
            os.close(self._status)
            raise ProgramError(f"{self._name!r} cannot be started in {cwd!r}: {error}") from None
        finally:
            os.close(control)
            os.close(status)
        assert self._process.stdout is not None and self._process.stderr is not None
        self._streams = {
            self._process.stdout.fileno(): "stdout",
            self._process.stderr.fileno(): "stderr",
            self._status: "status",
        }
        self._poll = select.poll()
        for number in self._streams:
            os.set_blocking(number, False)
            self._poll.register(number, select.POLLIN)
        self._told = b""
        self._wakes = 0
        self._failure = ""

    @property
    def is_running(self) -> bool:
        """Whether a process of the program may still run."""
        return self._status in self._streams

    def read(self, seconds: float) -> list[Chunk]:
        """Return new output of the program; wait for it at most `seconds`.

        Raises:
            ProgramError: when the program could not be started.
        """
        chunks = []
        for number, _ in self._poll.poll(seconds * 1000):
            name = self._streams[number]
            try:
                data = os.read(number, _BLOCK_BYTES)
            except BlockingIOError:
                continue
            if not data:
                self._poll.unregister(number)
                del self._streams[number]
            elif name == "status":
                self._read_status(data)
            else:
                chunks.append((name, data))
        if self._wakes and not chunks:
            self._wakes -= 1
            self._send(signal.SIGCONT)
        failure, self._failure = self._failure, ""
        if failure:
            raise ProgramError(failure)
        return chunks

    def rest(self) -> Iterator[Chunk]:
        """Yield the remaining output after the end of all processes."""
        while any(name != "status" for name in self._streams.values()):
            chunks = self.read(0)
            if not chunks and not self._poll.poll(0):
                return  # a process that escaped the supervisor keeps a pipe open
            yield from chunks

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend the program's process group in the body, so that it writes no files."""
        self._send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._send(signal.SIGCONT)
            self._wakes = _WAKES

    def request_stop(self) -> None:
        """Ask the supervisor to end all processes of the program."""
        if self._control >= 0:
            with contextlib.suppress(OSError):  # the supervisor has ended
                os.write(
                    self._control, b"stop"
                )  # closing the pipe is not enough, because a forked process may have it open
            os.close(self._control)
            self._control = -1

    def stop_deadline(self) -> float:
        """Return the time, on the monotonic clock, by which `request_stop` must have ended the program."""
        return time.monotonic() + self._grace + _EXIT_SECONDS

    def close(self) -> None:
        """Release the pipes. If the supervisor was killed, the program's group is killed here."""
        self.request_stop()
        if self.is_running or self.exit_code is None:
            self._send(signal.SIGKILL)
        os.close(self._status)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)

    def _send(self, number: int) -> None:
        if self._pid and self.exit_code is None:
            with contextlib.suppress(OSError):
                os.killpg(self._pid, number)

    def _read_status(self, data: bytes) -> None:
        *lines, self._told = (self._told + data).split(b"\n")
        for word, number in (line.split() for line in lines):
            if word == b"pid":
                self._pid = int(number)
            elif word == b"exit":
                self.exit_code = int(number)
            else:
                self._failure = f"{self._name!r} cannot be started: {os.strerror(int(number))}"

"""Ends the worker processes of a driver that was killed, and what they have started."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Final

_CODE: Final = """
import os, select, signal, sys
parent, groups, text = os.getppid(), set(), b""
while os.getppid() == parent:
    if not select.select([0], [], [], 1.0)[0]:
        continue
    chunk = os.read(0, 65536)
    if not chunk:
        break
    *lines, text = (text + chunk).split(b"\\n")
    for line in lines:
        (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Reaper:
    """A small process that outlives its driver for a moment.

    Workers end by themselves when their driver is gone, but for those that run C code which holds Python's lock.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        """Watch a process group."""
        self._write(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Forget a process group, which has ended."""
        self._write(f"-{group}\n")

    def close(self) -> None:
        """End the process, and the groups that are left."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # somebody has ended it
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()

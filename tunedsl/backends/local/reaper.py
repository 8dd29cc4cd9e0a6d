"""Ends the worker processes of a driver that was killed, and the processes that they started."""

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
    """A small process that kills the workers when their driver has ended.

    Most workers end by themselves then. A worker that runs C code which holds Python's lock cannot.
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
        """Stop watching a process group that has ended."""
        self._write(f"-{group}\n")

    def close(self) -> None:
        """End this process, and the groups that still run."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # another process has killed it
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()

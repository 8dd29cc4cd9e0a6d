"""What a trial leaves behind in a worker's process: put back where it can be, else the worker is replaced.

Looked at after each trial is what costs next to nothing: threads, working directory, environment. Memory is looked at
at most once a second. The global random state needs no look: each trial's own seed sets it.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import Any, Final

from tunedsl.worker.messages import Notice
from tunedsl.worker.tracing import clean_text

MEMORY_SECONDS: Final = 1.0
"""The shortest time between two looks at memory."""
MAX_GROWTH_BYTES: Final = 2**30
"""Bytes that resident memory may grow by after the first look, or that much again where it was more."""
MAX_DEVICE_BYTES: Final = 2**28
"""Bytes that torch may hold on devices between two trials."""
THREAD_EXIT_SECONDS: Final = 0.2
"""How long threads that are about to end may take."""
MAX_LIBRARY_THREADS: Final = 16

_LIBRARIES: Final = (str(Path(os.__file__).resolve().parent), f"{os.sep}site-packages{os.sep}", "<frozen")


class WorkerCleanup:
    """Knows how the process was before its first trial."""

    def __init__(self) -> None:
        self._folder = os.getcwd()
        self._environment = dict(_environment())
        self._modules = len(sys.modules)
        self._threads = set(threading.enumerate())
        self._running = self._threads
        self._told: set[str] = set()
        self._looked = 0.0
        self._memory: int | None = None

    def clean_after(self, trial: str) -> tuple[list[Notice], str]:
        """Cleans up after a trial; called in its thread.

        Returns:
            Notices for the user, and why the process should not be used again, or an empty text.
        """
        notices: list[Notice] = []
        if _folder() != self._folder:
            os.chdir(self._folder)
            self._tell(notices, "folder", f"trial {trial} changed the working directory: it was put back")
        if _environment() != self._environment:
            self._put_environment_back(trial, notices)
        why = ""
        if set(threading.enumerate()) != self._running:
            why = self._left_threads(trial)
        now = time.monotonic()
        if not why and now - self._looked >= MEMORY_SECONDS:
            self._looked = now
            why = self._left_memory(trial) or self._left_on_devices(trial)
        if why:
            notices.append(Notice("replaced", f"{why}: its worker was replaced by a new one, which takes a while"))
        return notices, why

    def _tell(self, notices: list[Notice], kind: str, text: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            notices.append(Notice(kind, text))

    def _put_environment_back(self, trial: str, notices: list[Notice]) -> None:
        """Puts variables back. What is new after modules were imported is theirs, and they may look at it again."""
        found, before = _environment(), self._environment
        changed = [name for name, item in before.items() if found.get(name) != item]
        added = [name for name in found if name not in before]
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            before.update((name, found[name]) for name in added)
            added = []
        for name in changed:
            os.environ[os.fsdecode(name)] = os.fsdecode(before[name])
        for name in added:
            del os.environ[os.fsdecode(name)]
        if changed or added:
            names = clean_text(", ".join(sorted(os.fsdecode(name) for name in (*changed, *added))))
            self._tell(notices, "environment", f"trial {trial} changed the environment ({names}): it was put back")

    def _left_threads(self, trial: str) -> str:
        """Which threads a trial left running; what libraries keep in the background is theirs, up to a number."""
        deadline = time.monotonic() + THREAD_EXIT_SECONDS
        left = [thread for thread in threading.enumerate() if thread not in self._threads and not _is_foreign(thread)]
        own = [thread for thread in left if not (thread.daemon and _is_of_a_library(thread))]
        for thread in own:
            thread.join(max(0.0, deadline - time.monotonic()))
        own = [thread for thread in own if thread.is_alive()]
        self._running = set(threading.enumerate())
        if own:
            return f"trial {trial} left {_threads(len(own))} running, the first one {own[0].name!r}"
        return f"trial {trial} left {_threads(len(left))} running" if len(left) > MAX_LIBRARY_THREADS else ""

    def _left_memory(self, trial: str) -> str:
        """By how much the process has grown since the first look, where that is too much."""
        memory = _resident()
        if self._memory is None:
            self._memory = memory
        most = self._memory + max(MAX_GROWTH_BYTES, self._memory)
        if memory <= most:
            return ""
        gc.collect()
        memory = _resident()
        grown = f"{(memory - self._memory) / 2**30:.1f} GiB"
        return f"after trial {trial} its process holds {grown} more than after the first" if memory > most else ""

    def _left_on_devices(self, trial: str) -> str:
        """What torch still holds on devices, where that is too much; what it only keeps in reserve is given back."""
        torch: Any = sys.modules.get("torch")
        cuda = getattr(torch, "cuda", None)
        if cuda is None or not cuda.is_initialized():
            return ""
        devices = range(cuda.device_count())
        if sum(cuda.memory_reserved(device) for device in devices) <= MAX_DEVICE_BYTES:
            return ""
        gc.collect()
        cuda.empty_cache()
        held = sum(cuda.memory_allocated(device) for device in devices)
        text = f"trial {trial} left {held / 2**30:.1f} GiB allocated on GPUs"
        return text if held > MAX_DEVICE_BYTES else ""


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed under the process's feet
        return ""


def _environment() -> Mapping[Any, Any]:
    """The environment as the dict behind `os.environ`, which compares without decoding; elsewhere a copy."""
    return getattr(os.environ, "_data", None) or dict(os.environ)


def _resident() -> int:
    """Bytes in memory that are this process's own, not shared with the object store; 0 where nobody says."""
    try:
        fields = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def _is_foreign(thread: threading.Thread) -> bool:
    """Whether a thread was not started by Python: Ray's own, which call into it."""
    return isinstance(thread, threading._DummyThread)


def _is_of_a_library(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None) or type(thread).run
    code: CodeType | None = getattr(getattr(target, "__func__", target), "__code__", None)
    return code is None or any(part in code.co_filename for part in _LIBRARIES)


def _threads(count: int) -> str:
    return "a thread" if count == 1 else f"{count} threads"

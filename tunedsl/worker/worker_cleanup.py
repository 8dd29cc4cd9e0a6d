"""Undoes the changes of a trial to its worker's process, or asks for a new worker.

The cheap checks run after every trial: threads, working directory, environment. Memory is checked at most once a
second. The global random state needs no check, since each trial sets its own seed.
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
"""The minimum time between two checks of memory."""
MAX_GROWTH_BYTES: Final = 2**30
"""Bytes by which resident memory may grow after the first check; it may double where it was more."""
MAX_DEVICE_BYTES: Final = 2**28
"""Bytes that torch may allocate on devices between two trials."""
THREAD_EXIT_SECONDS: Final = 0.2
"""How long to wait for the trial's threads to end."""
MAX_LIBRARY_THREADS: Final = 16

_LIBRARIES: Final = (str(Path(os.__file__).resolve().parent), f"{os.sep}site-packages{os.sep}", "<frozen")


class WorkerCleanup:
    """Compares the process with its state before the first trial."""

    def __init__(self) -> None:
        self._folder = os.getcwd()
        self._environment = dict(_environment())
        self._modules = len(sys.modules)
        self._threads = set(threading.enumerate())
        self._running = self._threads
        self._reported: set[str] = set()
        self._looked = 0.0
        self._memory: int | None = None

    def clean_after(self, trial: str) -> tuple[list[Notice], str]:
        """Clean up after a trial, in its thread.

        Returns:
            The notices for the user, and why the process must be replaced; an empty text where it need not be.
        """
        notices: list[Notice] = []
        if _folder() != self._folder:
            os.chdir(self._folder)
            self._warn_once(notices, "folder", f"trial {trial} changed the working directory, which was restored")
        if _environment() != self._environment:
            self._restore_environment(trial, notices)
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

    def _warn_once(self, notices: list[Notice], kind: str, text: str) -> None:
        if kind not in self._reported:
            self._reported.add(kind)
            notices.append(Notice(kind, text))

    def _restore_environment(self, trial: str, notices: list[Notice]) -> None:
        """Restore environment variables, except those that newly imported modules may have added."""
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
            self._warn_once(
                notices, "environment", f"trial {trial} changed the environment ({names}), which was restored"
            )

    def _left_threads(self, trial: str) -> str:
        """Return why the threads that a trial left are too many; a limited number of library threads is allowed."""
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
        """Return how much the process has grown since the first check; empty where it is little."""
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
        """Release torch's cached device memory; return how much is still allocated, empty where it is little."""
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
    except FileNotFoundError:  # another process removed it
        return ""


def _environment() -> Mapping[Any, Any]:
    """Return the dict behind `os.environ`, which compares without decoding, or `os.environ` itself."""
    return getattr(os.environ, "_data", None) or dict(os.environ)


def _resident() -> int:
    """Return the resident bytes that are not shared; 0 where the system does not report them."""
    try:
        fields = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def _is_foreign(thread: threading.Thread) -> bool:
    """Return whether a thread was not started by Python, such as those of Ray."""
    return isinstance(thread, threading._DummyThread)


def _is_of_a_library(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None) or type(thread).run
    code: CodeType | None = getattr(getattr(target, "__func__", target), "__code__", None)
    return code is None or any(part in code.co_filename for part in _LIBRARIES)


def _threads(count: int) -> str:
    return "a thread" if count == 1 else f"{count} threads"

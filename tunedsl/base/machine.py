"""The resources of this machine that this process may use: CPUs, memory and GPUs."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

NVIDIA_SECONDS: Final = 10.0
"""How long `nvidia-smi` may take to list the GPUs."""
_CGROUPS: Final = Path("/sys/fs/cgroup")


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use at a time, limited by its affinity and control groups."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_share(text) for text in _cgroup_texts("cpu.max")]
    for quota in _cgroup_texts("cpu/cpu.cfs_quota_us"):
        quotas += [_share(f"{quota} {period}") for period in _cgroup_texts("cpu/cpu.cfs_period_us")]
    return max(1, int(min([count, *quotas])))


def physical_memory() -> float:
    """Return the bytes of memory of this machine; infinity if the system does not report it."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def usable_memory() -> float:
    """Return the bytes of memory that this process may use, limited by its control groups."""
    texts = [*_cgroup_texts("memory.max"), *_cgroup_texts("memory/memory.limit_in_bytes")]
    return min([physical_memory(), *(float(text) for text in texts if text.isdigit())])


def usable_gpus() -> tuple[str, ...]:
    """Return the names of the GPUs that this process sees, as in `CUDA_VISIBLE_DEVICES`."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(map(str, range(_nvidia_gpus())))
    names: list[str] = []
    for name in map(str.strip, visible.split(",")):
        if not (name.isdigit() or name.startswith(("GPU-", "MIG-"))):
            break  # CUDA ignores the names after an invalid one
        names.append(name)
    return tuple(dict.fromkeys(names))


def count_oom_kills() -> int:
    """Return how many processes this machine's kernel has killed for lack of memory; 0 if it does not report it."""
    try:
        counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counts.get("oom_kill", 0))


@lru_cache(maxsize=1)
def _nvidia_gpus() -> int:
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        listed = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=NVIDIA_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _share(text: str) -> float:
    """Return the CPUs of a quota and its period in microseconds; infinity for no quota."""
    try:
        quota, period = map(float, text.split())
    except ValueError:
        return math.inf
    return quota / period if quota > 0 < period else math.inf


def _cgroup_texts(name: str) -> Iterator[str]:
    """Yield the contents of a file in this process's control group and in those around it."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    folder = _CGROUPS / own
    for place in (folder, *folder.parents):
        if place.is_relative_to(_CGROUPS):
            try:
                yield (place / name).read_text().strip()
            except OSError:
                continue

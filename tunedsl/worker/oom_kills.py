"""How many processes the kernel of this machine has killed for lack of memory."""

from __future__ import annotations

from pathlib import Path


def count_oom_kills() -> int:
    """Return how many processes this machine's kernel has killed for lack of memory; 0 where it does not say."""
    try:
        counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counts.get("oom_kill", 0))

"""Medians of several runs, and one line a figure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds(work: Callable[[], object], times: int = 5) -> float:
    """Median wall time of `work`, in seconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def show(what: str, figure: str) -> None:
    print(f"{what:58s} {figure}", flush=True)

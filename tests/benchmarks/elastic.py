"""Clusters that change, in real nodes on this machine: how long a run takes beside the least possible time.

1. 24 trials of 2 seconds on 2 cores, 6 more cores after 4 seconds: 10 seconds are possible.
2. The same kind of trials on two nodes, one of which leaves and comes back ten times.

Each node starts before it counts: starting one takes seconds of these cores, and is no part of a run.
"""

from __future__ import annotations

import logging
import math
import sys
import tempfile
import threading
import time
from typing import Any

import ray
from ray.cluster_utils import Cluster

from tests.benchmarks.measure import show
from tunedsl import report, space, uniform
from tunedsl.driver.driver import Listener
from tunedsl.kernel import CapacityChanged, Failed, Started

SECONDS = 2.0
TRIALS, JOINS_AFTER = 24, 4.0
CYCLES, CYCLE_SECONDS = 10, 6.0


def work(config: dict[str, Any]) -> None:
    time.sleep(SECONDS)
    report(loss=config["x"])


class Watch(Listener):
    """Notes when trials start, and when the width changes."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.first = 0.0
        self.slots: list[tuple[float, int]] = []

    def on_event(self, event: Any, commands: Any, state: Any) -> None:
        if isinstance(event, Started) and not self.began.is_set():
            self.first = time.monotonic()
            self.began.set()
        if isinstance(event, CapacityChanged):
            self.slots.append((time.monotonic(), event.width))


def run(trials: int, watch: Watch, results: list[Any]) -> threading.Thread:
    """Run trials in a thread, since nodes can only be started in the main one."""

    def body() -> None:
        with tempfile.TemporaryDirectory() as store:
            made = space(x=uniform(0, 1)).trainable(work).minimize("loss").samples(trials).seed(0).store(store)
            found = made.run(quiet=True, listeners=[watch])
            results.extend([found, time.monotonic(), list(found.journal.events())])

    thread = threading.Thread(target=body)
    thread.start()
    watch.began.wait()
    return thread


def least(trials: int, widths: list[tuple[float, int]]) -> float:
    """Seconds of the best schedule of whole trials, by the number of slots from some second on.

    A slot that goes takes its trial with it: the slots that came last go first.
    """
    opened: list[float] = []  # when each slot came
    whole: list[float] = []  # when trials end
    for at, width in [*widths, (widths[-1][0] + trials * SECONDS, 0)]:
        while len(opened) > width:
            since = opened.pop()
            whole += [since + SECONDS * (n + 1) for n in range(math.floor((at - since) / SECONDS + 1e-9))]
        opened += [at] * (width - len(opened))
    return sorted(whole)[trials - 1]


def joining(cluster: Cluster) -> None:
    watch, results = Watch(), list[Any]()
    thread = run(TRIALS, watch, results)
    began = time.monotonic()
    cluster.add_node(num_cpus=6)
    late = time.monotonic() - began
    thread.join()
    joined = watch.slots[-1][0] - watch.first
    took, possible = results[1] - watch.first, least(TRIALS, [(0.0, 2), (joined, 8)])
    show("6 more cores, counted from the first start", f"after {joined:.1f} s (the node took {late:.1f} s to start)")
    show("24 trials of 2 s", f"{took:.1f} s, {possible:.1f} s possible: {took / possible:.2f} x")


def cycling(cluster: Cluster) -> None:
    node = cluster.add_node(num_cpus=2)
    watch, results = Watch(), list[Any]()
    trials = int(CYCLES * CYCLE_SECONDS * 3 / SECONDS)
    thread = run(trials, watch, results)
    for _ in range(CYCLES):
        time.sleep(CYCLE_SECONDS)
        cluster.remove_node(node)
        node = cluster.add_node(num_cpus=2)
    thread.join()
    end = results[1]
    failed = [event.kind for event in results[2] if isinstance(event, Failed)]
    widths = [(max(at - watch.first, 0.0), width) for at, width in watch.slots]
    took, possible = end - watch.first, least(trials, widths)
    show(f"{trials} trials while a node leaves and comes back {CYCLES} times", f"{took:.1f} s")
    show("possible with whole trials", f"{possible:.1f} s: {took / possible:.2f} x")
    show("attempts that a node took with it", f"{len(failed)}, all preempted: {set(failed) <= {'preempted'}}")
    show("retries used", str(sum(kind != "preempted" for kind in failed)))


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    ray.init(cluster.address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    cases = {"joining": joining, "cycling": cycling}
    for name in sys.argv[1:] or cases:
        cases[name](cluster)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()

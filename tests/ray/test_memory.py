"""Real out-of-memory failures, within narrow bounds: a failure kind of their own, and retries with more memory."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ray.test_nodes import second_node, taken
from tunedsl import backoff, replay, report, space, trial, uniform
from tunedsl.driver.driver import Listener
from tunedsl.kernel import Failed

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]

GROUPS = Path("/sys/fs/cgroup/memory")
HUNDRED = 100_000_000


def experiment(train, store):
    made = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(1).seed(0).store(store)
    return made.resources(cpu=1, memory="100MB").retry(oom=2, grow=3, backoff=backoff(initial=0.1))


def failures(results):
    return [event for event in results.journal.events() if isinstance(event, Failed)]


def given(results):
    return [int(t.metrics["memory"]) for t in results.trials]


@contextlib.contextmanager
def group_of_little_memory() -> Iterator[Path]:
    """A control group whose processes the kernel kills at 64 MB."""
    group = GROUPS / f"tunedsl-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(64 * 2**20))
    except OSError:
        pytest.skip("control groups for memory cannot be made here")
    try:
        yield group
    finally:
        deadline = time.monotonic() + 30
        while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        group.rmdir()


def test_allocations_that_fail_and_kills_by_the_kernel_are_out_of_memory(tmp_path):
    """One trial has a limit of its own addresses, the other is in a control group."""
    with group_of_little_memory() as group:

        def train(config):
            memory = trial().resources["memory"]
            if trial().number == 0:
                fail_beyond(memory)
            elif memory < 2 * HUNDRED:
                (group / "cgroup.procs").write_text(str(os.getpid()))
                bytearray(2 * HUNDRED)
            report(loss=1.0, memory=memory)

        results = experiment(train, tmp_path).samples(2).parallel(2).run(quiet=True)
    failed, killed = sorted(failures(results), key=lambda event: event.trial)
    assert failed.kind == "oom" and "bytearray(2 * HUNDRED)" in failed.traceback, failed
    assert killed.kind == "oom" and "kernel" in killed.message, killed
    assert given(results) == [3 * HUNDRED] * 2 and replay(results.path)


def fail_beyond(memory):
    """Allocates twice a hundred megabytes in a process that may have `memory` bytes more than it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + int(memory), before[1]))
    try:
        bytearray(2 * HUNDRED)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_worker_that_rays_monitor_kills_is_out_of_memory(tmp_path, monkeypatch):
    """Its node counts as full at 0.1 % of this machine's memory; its retry fits only the other one."""

    def train(config):
        if trial().attempt == 0:
            time.sleep(200)
        report(loss=1.0, memory=trial().resources["memory"])

    class Gives(Listener):
        def on_event(self, event, commands, state):
            if isinstance(event, Failed):
                room.close()

        def on_wait(self, state): ...
        def close(self, state): ...

    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "250")
    with second_node(num_cpus=1, memory=2 * HUNDRED), contextlib.ExitStack() as room:
        monkeypatch.delenv("RAY_memory_usage_threshold")
        room.enter_context(taken(4))
        results = experiment(train, tmp_path).run(quiet=True, listeners=[Gives()])
    (failure,) = failures(results)
    assert failure.kind == "oom" and failure.message.startswith("Ray killed its worker"), failure
    assert given(results) == [3 * HUNDRED] and replay(results.path)

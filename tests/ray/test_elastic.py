"""Clusters that grow, shrink and drain nodes during a run; the nodes have a resource of their own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.ray.test_nodes import taken
from tests.victim import CALM, Walk, walking
from tunedsl import asha
from tunedsl.base.errors import Paused, ResourceError
from tunedsl.driver.driver import Listener
from tunedsl.kernel import CapacityChanged, Failed, Launch, Reported, Started
from tunedsl.results import Results

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]

LAST = 6
GATE = "gate"
"""The file in the store without which no trial goes beyond its second report."""


class Gated(Walk):
    """A walk that stops half-way until the gate is open."""

    def step(self) -> dict[str, float]:
        while self.done >= 2 and not _gate().exists():
            time.sleep(0.02)
        return super().step()


def _gate() -> Path:
    from tunedsl import trial

    return trial().path.parents[2] / GATE


def node_of_worker() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


class Nodes:
    """Adds nodes to the shared cluster, each with an amount of the resource `slot`, and removes them."""

    def __init__(self) -> None:
        import ray
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(shutdown_at_exit=False)
        self._cluster.head_node = ray._private.worker._global_node
        self._there: list[Any] = []

    def add(self, slots: int) -> Any:
        node = self._cluster.add_node(num_cpus=slots, resources={"slot": slots})
        self._there.append(node)
        return node

    def remove(self, node: Any) -> None:
        """Ends a node as a cloud does; returns once Ray knows."""
        self._there.remove(node)
        self._cluster.remove_node(node, allow_graceful=True)
        wait_until(lambda: node.node_id not in alive())

    def close(self) -> None:
        for node in list(self._there):
            self.remove(node)


def alive() -> list[str]:
    import ray

    return [node["NodeID"] for node in ray.nodes() if node["Alive"]]


def drain(node: Any, seconds: int) -> None:
    """Drains a node by the command that people use."""
    words = ["ray", "drain-node", "--node-id", node.node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION"]
    words += ["--reason-message", "spot", "--deadline-remaining-seconds", str(seconds), "--address", address()]
    subprocess.run([str(Path(sys.executable).parent / words[0]), *words[1:]], check=True, capture_output=True)


def address() -> str:
    import ray

    return str(ray.get_runtime_context().gcs_address)


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    found = Nodes()
    try:
        yield found
    finally:
        found.close()


class Seen(Listener):
    """Remembers events, for the thread of the test."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.passes = 0

    def on_wait(self, state):
        self.passes += 1

    def on_event(self, event, commands, state):
        self.events.append(event)

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self.events)


@contextlib.contextmanager
def running(experiment: Any, **options: Any) -> Iterator[tuple[Seen, list[Results]]]:
    """A run in a thread: nodes can only be added from the main one. The list has its results at the end."""
    seen, found, errors = Seen(), list[Results](), list[BaseException]()

    def run() -> None:
        try:
            found.append(experiment.run(quiet=True, listeners=[seen], **options))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen, found
    finally:
        thread.join(PATIENCE_SECONDS * 2)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def gated(store: Path) -> Any:
    return (
        walking(store)
        .trainable(Gated)
        .order("arrival")
        .resources(cpu=0, custom={"slot": 1})
        .stop(training_iteration=LAST)
    )


def widths(results: Results) -> list[int]:
    return [event.width for event in results.journal.events() if isinstance(event, CapacityChanged)]


def test_trials_start_on_nodes_that_join_and_move_from_a_node_that_is_drained(tmp_path, nodes):
    first = nodes.add(1)
    with running(gated(tmp_path).samples(6)) as (seen, found):
        wait_until(lambda: seen.count(Reported))
        nodes.add(2)
        wait_until(lambda: seen.count(Started) == 3)  # all of them are held at the gate
        drain(first, 600)
        wait_until(lambda: any(isinstance(event, CapacityChanged) and event.width == 2 for event in seen.events))
        (tmp_path / GATE).touch()
    (results,) = found
    assert widths(results) == [1, 3, 2]
    lines = [line for line in results.journal.records() if isinstance(line.e, Failed)]
    assert [(line.e.trial, line.e.kind) for line in lines] == [(0, "preempted")]
    (left,) = lines
    (launched,) = [command for command in left.c if isinstance(command, Launch)]
    assert left.e.saved and launched.checkpoint == launched.known_iterations == 3
    after = [event for event in seen.events[seen.events.index(left.e) :] if getattr(event, "trial", None) == 0]
    assert [type(event) for event in after[:2]] == [Failed, Started] and after[1].attempt == 1
    assert [row for event in after for row in getattr(event, "rows", ())]
    assert results.trials[0].iterations == LAST and results.trials[0].error is None
    assert "preempted after iteration 3: its node is being drained" in str(results.why(0))


def test_a_trial_that_no_node_can_carry_is_refused_or_waits_for_one(tmp_path, nodes):
    made = walking(tmp_path / CALM).order("arrival").resources(cpu=0, custom={"slot": 1})
    made = made.samples(4).stop(training_iteration=2)
    with pytest.raises(ResourceError, match=r"needs slot=1, which no node(.|\n)*wait_for_nodes=600"):
        made.run(quiet=True)
    with pytest.raises(ResourceError, match=r"No suitable node has joined for 0.5 s(.|\n)*slot=1(.|\n)*resume"):
        made.run(quiet=True, wait_for_nodes=0.5)
    with running(made, wait_for_nodes=300) as (seen, found):
        wait_until(lambda: seen.passes > 1)
        assert not seen.count(Started)
        nodes.add(2)
    assert widths(found[0])[-1] == 2 and found[0].finished


def test_a_run_that_has_lost_all_nodes_waits_and_pauses_after_its_limit(tmp_path, nodes):
    node = nodes.add(1)
    with pytest.raises(Paused) as paused, running(gated(tmp_path).samples(2), wait_for_nodes=1) as (seen, _):
        wait_until(lambda: seen.count(Reported))
        nodes.remove(node)
    assert seen.events[-1].width == 0 or isinstance(seen.events[-1], Failed)
    (tmp_path / GATE).touch()
    nodes.add(1)
    results = gated(tmp_path).samples(2).resume(paused.value.path, quiet=True)
    assert results.finished and not results.errors
    assert {event.kind for event in results.journal.events() if isinstance(event, Failed)} == {"preempted"}


CYCLES = 3


def test_nodes_that_come_and_go_change_no_result_in_logical_order(tmp_path, nodes):
    made = walking(tmp_path).resources(cpu=0, custom={"slot": 1}).samples(40).parallel(2).stop(training_iteration=LAST)
    made = made.checkpoint(every=1)
    nodes.add(1)
    flaky = nodes.add(1)
    with running(made) as (seen, found):
        for _ in range(CYCLES):
            before = seen.count(Reported)
            wait_until(lambda before=before: seen.count(Reported) > before + 3)
            nodes.remove(flaky)
            flaky = nodes.add(1)
    (results,) = found
    whole = (
        walking(tmp_path / CALM)
        .resources(cpu=0, custom={"slot": 1})
        .samples(40)
        .parallel(2)
        .stop(training_iteration=LAST)
    )
    whole = whole.checkpoint(every=1).run(engine="inline", quiet=True)
    failures = [event for event in results.journal.events() if isinstance(event, Failed)]
    assert failures and {event.kind for event in failures} == {"preempted"}
    assert results.journal.digest == whole.journal.digest


OTHER = """
import sys
from tests.victim import walking
from tunedsl import space, uniform

store, address = sys.argv[1:]
found = walking(store).samples(8).parallel(3).stop(training_iteration=6).run(quiet=True, address=address)
print(found.stats.statuses)
"""


def test_runs_of_two_processes_and_two_threads_share_a_cluster(tmp_path):
    """In logical order each needs three of the four cores at once; no core is free at first."""
    busy = taken(4)
    busy.__enter__()
    words = [sys.executable, "-c", OTHER, str(tmp_path / CALM / "other"), address()]
    other = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    logical = walking(tmp_path / CALM / "here").samples(8).parallel(3).stop(training_iteration=LAST)
    freely = walking(tmp_path / CALM / "free").samples(8).stop(training_iteration=LAST).order("arrival")
    with running(logical) as (seen, found), running(freely) as (free, more):
        wait_until(lambda: seen.passes > 1 and free.passes > 1)
        busy.__exit__(None, None, None)
    told, _ = other.communicate(timeout=PATIENCE_SECONDS * 4)
    assert other.returncode == 0 and "8" in told, told
    assert found[0].finished and more[0].finished and not found[0].errors


def test_two_experiments_with_asha_end_while_a_node_is_lost_and_returns(tmp_path, nodes):
    """With one node there is room for one of them; the other one gets it from idle workers, or the node returns."""

    def made(name: str) -> Any:
        asked = walking(tmp_path / name).resources(cpu=0, custom={"slot": 1}).samples(12).parallel(2)
        return asked.scheduler(asha(max_t=LAST, grace_period=2, reduction_factor=2)).checkpoint(every=1)

    nodes.add(2)
    flaky = nodes.add(2)
    with running(made("first")) as (first, found), running(made("second")) as (second, more):
        wait_until(lambda: first.count(Reported) > 2 and second.count(Reported) > 2)
        nodes.remove(flaky)
        before = first.count(Reported) + second.count(Reported)
        wait_until(lambda: first.count(Reported) + second.count(Reported) > before + 6)
        nodes.add(2)
    (one,), (other,) = found, more
    assert one.finished and other.finished and not one.errors and not other.errors
    calm = made(CALM).run(engine="inline", quiet=True)
    assert one.journal.digest == other.journal.digest == calm.journal.digest


def test_of_two_experiments_on_too_small_a_cluster_one_waits_for_idle_workers(tmp_path, nodes, capfd):
    """It says what it waits for; the workers of the first one end once they are idle."""

    def made(name: str) -> Any:
        asked = walking(tmp_path / name).resources(cpu=0, custom={"slot": 1}).samples(6).parallel(2)
        return asked.scheduler(asha(max_t=4, grace_period=2, reduction_factor=2))

    nodes.add(2)
    with running(made("first")) as (first, found):
        wait_until(lambda: first.count(Reported))
        second = made("second").run(listeners=[Seen()])
    assert found[0].finished and second.finished and found[0].journal.digest == second.journal.digest
    assert "waiting for another run of this process in logical order" in capfd.readouterr().err

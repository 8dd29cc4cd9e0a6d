"""Nodes that join and leave: trials of a lost node count as lost, and continue elsewhere from their checkpoints."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.replay.killing import nothing_finished_ran_again, story
from tests.victim import CALM, Walk, steps_made, walking
from tunedsl import replay, trial
from tunedsl.driver.driver import Listener
from tunedsl.kernel import Failed, Launch, Reported, Started
from tunedsl.testing.final_invariants import told

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]

LAST = 12
LOST = 2
"""Trials that run on the node that is killed."""


DOOMED = "doomed"
"""The file in the store that names the node that will be killed."""


class Lingers(Walk):
    """A walk that gets half-way on a node that dies; its workers outlive the node for a while."""

    def step(self) -> dict[str, float]:
        doomed = trial().path.parents[2] / DOOMED
        if self.done == LAST // 2 and doomed.exists() and doomed.read_text() == node_here():
            time.sleep(200)
        return super().step()


def node_here() -> str:
    import ray

    return ray.get_runtime_context().get_node_id()


@contextlib.contextmanager
def second_node(**amounts: Any) -> Iterator[Any]:
    """A second node of the shared cluster, which `end` kills; returns after Ray has noticed."""
    import ray
    from ray.cluster_utils import Cluster

    both = Cluster(shutdown_at_exit=False)
    both.head_node = ray._private.worker._global_node
    node = both.add_node(**amounts)
    gone = threading.Event()

    def remove(gently: bool) -> None:
        if not gone.is_set():
            gone.set()
            both.remove_node(node, allow_graceful=gently)

    node.end = lambda: remove(gently=False)
    try:
        yield node
    finally:
        remove(gently=True)
        deadline = time.monotonic() + 60
        while any(other["NodeID"] == node.node_id and other["Alive"] for other in ray.nodes()):
            assert time.monotonic() < deadline, "Ray still reports a removed node as alive"
            time.sleep(0.1)


@contextlib.contextmanager
def taken(cpus: int) -> Iterator[None]:
    """Occupies `cpus` cores of the first node on behalf of another job."""
    import ray

    @ray.remote
    class Other:
        def here(self) -> str:
            return node_here()

    other = Other.options(num_cpus=cpus).remote()
    assert ray.get(other.here.remote()) == node_here()
    try:
        yield
    finally:
        ray.kill(other)


class KillsANode(Listener):
    """Kills a node once trials have reported so often, from a thread beside the driver's, and makes room for them."""

    def __init__(self, node: Any, reports: int, room: contextlib.ExitStack) -> None:
        self.left, self.node, self.room, self.thread = reports, node, room, None

    def on_event(self, event, commands, state):
        if isinstance(event, Failed):
            self.room.close()
        if isinstance(event, Reported):
            self.left -= 1
            if self.left == 0:
                self.thread = threading.Thread(target=self.node.end)
                self.thread.start()

    def on_wait(self, state): ...

    def close(self, state):
        if self.thread is not None:
            self.thread.join()


def test_what_a_lost_node_ran_goes_on_elsewhere_from_its_checkpoints(tmp_path):
    made = walking(tmp_path).trainable(Lingers).samples(4).stop(training_iteration=LAST).checkpoint(every=3)
    with contextlib.ExitStack() as room, second_node(num_cpus=2) as node:
        (tmp_path / DOOMED).write_text(node.node_id)
        room.enter_context(taken(2))
        results = made.run(quiet=True, listeners=[KillsANode(node, 20, room)])
    records = list(results.journal.records())
    losses = [line for line in records if isinstance(line.e, Failed)]
    assert len({line.e.trial for line in losses}) == LOST, "two trials ran there"
    assert {line.e.kind for line in losses} == {"lost"}, "also of a worker that was to start there again"
    calm = walking(tmp_path / CALM).trainable(Lingers).samples(4).stop(training_iteration=LAST).checkpoint(every=3)
    whole = calm.run(engine="inline", quiet=True)
    assert list(story(results.path)) == list(story(whole.path))
    assert replay(results.path).digest == results.journal.digest
    nothing_finished_ran_again(results.path)
    newest: dict[int, int] = {}
    for line in records:
        if isinstance(line.e, Reported) and line.e.saved:
            newest[line.e.trial] = line.e.last
        for command in line.c:
            if isinstance(command, Launch) and isinstance(line.e, Failed):
                assert command.checkpoint == newest[command.trial]
                again = [step for attempt, step in steps_made(results.trials[command.trial].path) if attempt]
                assert again == [*range(command.checkpoint + 1, LAST + 1)], (
                    "nothing before the checkpoint is made again"
                )
    proof, expected = replay(results.path), replay(whole.path)
    assert [told(trial) for _, trial in sorted(proof.state.trials.items())] == [
        told(trial) for _, trial in sorted(expected.state.trials.items())
    ]
    workers = [event.worker for event in results.journal.events() if isinstance(event, Started)]
    assert len(set(workers)) >= 4

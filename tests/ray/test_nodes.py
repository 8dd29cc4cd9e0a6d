"""Nodes that come and go: what a lost one ran is lost, not broken, and goes on elsewhere from its checkpoint."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.replay.killing import nothing_finished_ran_again, story
from tests.victim import CALM, Walk, steps_made, walking
from tunedsl import replay, trial
from tunedsl.kernel import Failed, Launch, Reported, Started
from tunedsl.testing.endings import told

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]

LAST = 12
LOST = 2
"""Trials that run on the node that is killed."""


GO = "go"
"""The file in the store that says that the losses are known."""


class Lingers(Walk):
    """A walk that is half-way until the losses are known: workers of a dead node go on until they notice."""

    def step(self) -> dict[str, float]:
        go = trial().path.parents[2] / GO
        deadline = time.monotonic() + 60
        while self.done == LAST // 2 and not trial().attempt and not go.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        return super().step()


@contextlib.contextmanager
def second_node(**amounts: Any) -> Iterator[Any]:
    """A node beside that of the shared cluster; what is given can be killed."""
    import ray
    from ray.cluster_utils import Cluster

    both = Cluster(shutdown_at_exit=False)
    both.head_node = ray._private.worker._global_node
    node = both.add_node(**amounts)
    gone = threading.Event()

    def kill() -> None:
        if not gone.is_set():
            gone.set()
            both.remove_node(node, allow_graceful=False)

    node.end = kill
    try:
        yield node
    finally:
        kill()


@contextlib.contextmanager
def taken(cpus: int) -> Iterator[None]:
    """While it lasts, somebody else has so many cores of the first node."""
    import ray

    @ray.remote
    class Other:
        def here(self) -> str:
            return ray.get_runtime_context().get_node_id()

    other = Other.options(num_cpus=cpus).remote()
    assert ray.get(other.here.remote()) == ray.get_runtime_context().get_node_id()
    try:
        yield
    finally:
        ray.kill(other)


class KillsANode:
    """Kills a node once trials have reported so often, from a thread beside the driver's, and makes room for them.

    Those that linger go on when as many are lost as ran there.
    """

    def __init__(self, node: Any, reports: int, room: contextlib.ExitStack, go: Path) -> None:
        self.left, self.node, self.room, self.go, self.thread = reports, node, room, go, None
        self.lost: set[int] = set()

    def on_event(self, event, commands, state):
        if isinstance(event, Failed):
            self.room.close()
            self.lost.add(event.trial)
            if len(self.lost) == LOST:
                self.go.touch()
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
        room.enter_context(taken(2))
        results = made.run(quiet=True, listeners=[KillsANode(node, 20, room, tmp_path / GO)])
    records = list(results.journal.records())
    losses = [line for line in records if isinstance(line.e, Failed)]
    assert len({line.e.trial for line in losses}) == LOST, "two trials ran there"
    assert {line.e.kind for line in losses} == {"lost"}, "also of a worker that was to start there again"
    (tmp_path / CALM).mkdir()
    (tmp_path / CALM / GO).touch()
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

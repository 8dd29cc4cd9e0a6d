"""A distributed trial over two nodes of a Ray cluster."""

from __future__ import annotations

import os

import pytest

from tests.ray.test_nodes import second_node
from tunedsl import report, space

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]


def train(config):
    import ray

    rank = torch.distributed.get_rank()
    nodes = [None, None]
    torch.distributed.all_gather_object(nodes, ray.get_runtime_context().get_node_id())
    assert os.environ["RANK"] == str(rank)
    report(loss=config["lr"], nodes=len(set(nodes)))


def die(config):
    import signal

    from tunedsl import trial

    torch.distributed.barrier()
    if torch.distributed.get_rank() == 1 and trial().attempt == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    torch.distributed.barrier()
    report(loss=1.0)


def test_ranks_run_on_the_nodes_of_their_bundles(tmp_path):
    from tunedsl.integrations.torch import distributed

    experiment = space(lr=0.1).minimize("loss").samples(1).store(str(tmp_path))
    spread = experiment.resources(bundles=[{"cpu": 1}, {"cpu": 1}], strategy="STRICT_SPREAD")
    with second_node(num_cpus=1):
        results = spread.trainable(distributed(train, workers=2)).run(quiet=True)
        assert not results.errors and results.best.metrics["nodes"] == 2
        again = spread.trainable(distributed(die, workers=2)).run(quiet=True)
        assert not again.errors and "lost" in str(again.why(0))

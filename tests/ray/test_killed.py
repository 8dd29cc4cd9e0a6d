"""SIGKILL to drivers and workers on Ray: nothing acknowledged is lost, nothing finished runs again, one end."""

from __future__ import annotations

import os

import pytest

from tests.replay.killing import kill_until_done

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]

KILLS = int(os.environ.get("TUNEDSL_KILLS", "2"))
"""Of each experiment; `python -m tests.replay.killing` tries all of them."""


@pytest.mark.parametrize(
    ("name", "whom"),
    [("asha", ["driver"]), ("pbt", ["driver", "worker"]), ("hyperband", ["worker"])],
    ids=["asha: its driver", "pbt: driver and workers", "hyperband: its workers"],
)
def test_killed_at_random_moments(tmp_path, name, whom):
    import ray

    address = ray.get_runtime_context().gcs_address
    counts = kill_until_done(tmp_path, "ray", KILLS, 0, address, name, whom)
    assert sum(counts[one] for one in whom) == KILLS

"""SIGKILL to drivers and workers on Ray: acknowledged events survive, finished trials do not repeat, same result."""

from __future__ import annotations

import os

import pytest

from tests.replay.killing import kill_until_done

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]

KILLS = int(os.environ.get("TUNEDSL_KILLS", "0"))
"""Of each experiment; by itself one of them is killed twice. `python -m tests.replay.killing` tries all of them."""
SEED = 1
"""By which a worker is killed first, and then the driver."""


@pytest.mark.parametrize(
    ("name", "whom"),
    [("asha", ["driver"]), ("pbt", ["driver", "worker"]), ("hyperband", ["worker"])],
    ids=["asha: its driver", "pbt: driver and workers", "hyperband: its workers"],
)
def test_killed_at_random_moments(tmp_path, name, whom):
    import ray

    if not KILLS and len(whom) == 1:
        pytest.skip("TUNEDSL_KILLS=20 for this one")
    address = ray.get_runtime_context().gcs_address
    counts = kill_until_done(tmp_path, "ray", KILLS or 2, SEED, address, name, whom)
    assert sum(counts[one] for one in whom) == (KILLS or 2)
    assert KILLS or counts == {"driver": 1, "worker": 1, "events": counts["events"]}

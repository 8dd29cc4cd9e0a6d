"""The Ray engine: what only a cluster has."""

from __future__ import annotations

import time

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.experiments import quadratic, searching
from tunedsl.backends.ray.reservation import Reservation
from tunedsl.base.errors import ResourceError
from tunedsl.plan import Resources

pytestmark = pytest.mark.usefixtures("cluster")


def test_resources_that_no_node_has_are_refused_at_once(tmp_path):
    with pytest.raises(ResourceError, match="GPU=64"):
        searching(tmp_path).resources(gpu=64).run(quiet=True, address="auto")


def test_a_function_that_asks_for_more_than_any_node_has_is_refused_at_once(tmp_path):
    greedy = searching(tmp_path).resources(lambda config: {"cpu": 1 if config["x"] < 0.5 else 4096})
    with pytest.raises(ResourceError, match="CPU=4096"):
        greedy.run(quiet=True, address="auto")


def test_nothing_of_ours_stays_behind(tmp_path):
    from ray._private.state import actors

    def alive():
        return [actor for actor in actors().values() if actor["State"] != "DEAD"]

    searching(tmp_path, quadratic).run(quiet=True)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and alive():
        time.sleep(0.2)
    assert actors() and not alive()


def test_a_reservation_that_is_removed_at_any_moment_gives_all_back():
    """Also while the cluster grants it. Without waiting for that, Ray loses one of some 100."""
    import ray

    for number in range(300):
        reservation = Reservation("worker", Resources.of(cpu=1), 1)
        moment = time.perf_counter() + number % 10 * 5e-5
        while time.perf_counter() < moment:
            pass  # a sleep is too coarse
        reservation.remove()
        if number % 10 == 9:
            time.sleep(0.02)  # until the cluster has freed them
    held = Reservation("worker", Resources.of(cpu=1), 4)
    ray.get(held.group.ready(), timeout=PATIENCE_SECONDS)
    Reservation("worker", Resources.of(cpu=1), 4).remove()  # nothing waits for one that cannot be granted
    held.remove()

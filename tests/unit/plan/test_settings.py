"""Resources, retries: what users write and what it comes to."""

import pytest

from tunedsl.plan import Resources, Retry


@pytest.mark.parametrize(
    ("text", "amount"), [("2GiB", 2**31), ("500MB", 500_000_000), ("1.5 kb", 1500), ("7", 7), (7, 7)]
)
def test_memory(text, amount):
    assert Resources.of(memory=text).memory == amount


def test_bundles_add_up():
    resources = Resources.of(bundles=[{"cpu": 1, "gpu": 1}, {"cpu": 2, "tpu": 1}])
    assert resources.amounts() == {"cpu": 3.0, "gpu": 1.0, "tpu": 1.0}
    assert resources.bundles == ((("cpu", 1.0), ("gpu", 1.0)), (("cpu", 2.0), ("tpu", 1.0)))


def test_no_resources_are_amounts_of_nothing():
    assert Resources.of(cpu=0).amounts() == {}
    assert Resources.of() == Resources()


def test_a_lost_node_is_no_fault_of_the_trial():
    assert Retry.of() == Retry(0, 0, 3, 0, 0, 0)
    assert Retry.of(5) == Retry(5, 5, 5, 5, 5, 5)
    assert Retry.of(-1) == Retry(-1, -1, -1, -1, -1, -1)
    assert Retry.of(1, lost=0) == Retry(1, 1, 0, 1, 1, 1)

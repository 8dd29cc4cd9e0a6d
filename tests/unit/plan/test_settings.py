"""Resources and retries: notations and their values."""

import pytest

from tunedsl.base import codec
from tunedsl.base.types import LIMITED_KINDS
from tunedsl.plan import Resources, Retry, backoff


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
    assert counts(Retry.of()) == (0, 0, 3, 0, 0, 0, 0)
    assert counts(Retry.of(5)) == (5,) * 7
    assert counts(Retry.of(-1)) == (-1,) * 7
    assert counts(Retry.of(1, lost=0)) == (1, 1, 0, 1, 1, 1, 1)


def counts(retry):
    return tuple(getattr(retry, kind) for kind in LIMITED_KINDS)


def test_a_trial_that_kills_its_workers_has_a_bound_of_its_own():
    assert Retry.of(lost=-1).in_a_row == 5 and Retry.of(oom=9).in_a_row == 9
    assert Retry.of(oom=9, max_consecutive=-1).in_a_row == -1


@pytest.mark.parametrize(
    "retry",
    [
        Retry.of(),
        Retry.of(2, oom=-1),
        Retry.of(oom=2, grow=1.5),
        Retry.of(1, backoff=backoff(initial=0), max_consecutive=-1),
        Retry.of(oom=7, max_consecutive=5, backoff=backoff(factor=3, maximum=9.5)),
        Retry(),
    ],
)
def test_retries_print_as_they_are_written(retry):
    assert eval(repr(retry), {"retry": Retry.of, "backoff": backoff}) == retry
    assert codec.from_json(codec.to_json(retry)) == retry


def test_retries_of_before_are_read_as_they_were_meant():
    old = '{"$value":["Retry",{"bad_report":0,"crash":1,"lost":3,"oom":0,"storage":0,"timeout":0}]}'
    assert codec.to_json(Retry(crash=1)) == old
    assert codec.from_json(old).wait == 0 and codec.from_json(old).in_a_row == -1

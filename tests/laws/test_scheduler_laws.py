"""Every scheduler, driven by its contract alone: whatever happens, all trials end.

Trials report, fail, end and are stopped from outside in an order that a seed chooses; slots go first to those
that the scheduler promotes, then to new trials. In no state is work left with nothing in progress.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunedsl.schedulers import fifo
from tunedsl.schedulers.contract import registered_schedulers, scheduler_of
from tunedsl.testing import SCHEDULERS, SchedulerHarness

worlds = st.tuples(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 30))


@pytest.mark.parametrize("spec", SCHEDULERS, ids=repr)
@settings(max_examples=40)
@given(worlds, st.booleans())
@example((0, 1, 1), True)
@example((1, 1, 30), True)
@example((2, 6, 30), False)
def test_all_trials_end_whatever_happens(spec, world, calm):
    seed, width, trials = world
    SchedulerHarness(spec, seed, width, scheduler_of(spec).requirements(spec).trials or trials, calm).run()


@pytest.mark.parametrize("spec", [spec for spec in SCHEDULERS if spec != fifo()], ids=repr)
def test_large_worlds_end_too(spec):
    for seed in range(3):
        SchedulerHarness(spec, seed, 8, scheduler_of(spec).requirements(spec).trials or 150).run()


def test_every_scheduler_of_the_package_lives_in_it():
    inside = {spec for spec in registered_schedulers() if spec.__module__.startswith("tunedsl.")}
    assert inside == {type(spec) for spec in SCHEDULERS}

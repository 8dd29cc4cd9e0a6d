"""Every searcher under every scheduler: a pair is refused, or warned of, or its results change later proposals."""

import pytest

from tests.natives import LEARNING
from tests.unit.compiler.test_diagnostics import saving
from tunedsl import asha, hyperband, uniform
from tunedsl.base.codec import decode
from tunedsl.kernel import Proposed
from tunedsl.runs import dry_run
from tunedsl.schedulers import asha_promote, fifo, median_stopping, pasha, pb2, pbt
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers import random_search, searcher_of

SCHEDULERS = [
    fifo(),
    asha(max_t=9),
    asha_promote(max_t=9),
    pasha(max_t=9),
    hyperband(max_t=9),
    median_stopping(time_attr="training_iteration", grace_period=2),
    pbt(perturbation_interval=3),
    pb2(perturbation_interval=3, hyperparam_bounds={"x": [0.0, 1.0]}),
]


def pair(scheduler, searcher):
    experiment = saving(x=uniform(0, 1).prior(0.9)).scheduler(scheduler).searcher(searcher)
    return experiment.samples(16).parallel(2).stop(training_iteration=9)


def name(spec):
    return (searcher_of if spec in LEARNING else scheduler_of)(spec).name


def proposed(experiment, sign):
    events = dry_run(experiment, curve=lambda config, at: sign * config["x"] + 1 / at).journal.events()
    return [decode(event.config) for event in events if isinstance(event, Proposed)]


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=name)
@pytest.mark.parametrize("searcher", LEARNING, ids=name)
def test_a_searcher_that_cannot_learn_under_a_scheduler_is_reported(searcher, scheduler):
    experiment = pair(scheduler, searcher)
    found = {each.code for each in experiment.check()}
    if scheduler_of(scheduler).name in ("pbt", "pb2"):
        assert "E070" in found
    elif scheduler_of(scheduler).name in ("asha_promote", "pasha") and not searcher_of(searcher).supports.intermediate:
        assert "W044" in found
    else:
        assert not found & {"E070", "W044"}
        assert proposed(experiment, 1.0) != proposed(experiment, -1.0)


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=name)
def test_random_search_needs_no_warning(scheduler):
    assert not {each.code for each in pair(scheduler, random_search()).check()} & {"E070", "W044"}

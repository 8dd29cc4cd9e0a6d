"""The work for an event does not grow with the number of trials, counted in lines of Python that run.

Each turn of a loop or comprehension counts as a line, so a walk over all trials shows. What NumPy and other compiled
code do within a line does not: `python -m tests.benchmarks.scale` measures that.
"""

import sys
from collections import Counter
from functools import cache
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import pytest

import tunedsl
from tests.benchmarks import scale
from tests.benchmarks.scale import SCHEDULERS, driver_of
from tests.pasha_reference import grow_if_unsettled
from tunedsl import uniform
from tunedsl.driver import driver as driver_module
from tunedsl.schedulers import distribute, fifo, pbt, resource_changing
from tunedsl.schedulers.contract import registered_schedulers
from tunedsl.schedulers.pb2 import Pb2
from tunedsl.schedulers.pbt_replay import PbtReplay
from tunedsl.searchers import bohb, evolution, random_search, sobol, tpe, zoopt

FEW, MANY, WORKERS = 100, 400, 8
MAX_GROWTH = 1.1
"""An event may cost this much more with four times as many trials; a loop over all of them costs 1.2 to 4 times."""
MAX_GROWTH_OF_MODELS = 1.5
"""The same for searchers: a model is asked only after the first trials, which are a larger part of a short run."""
SPARE = 10
"""Lines that are added for each package, so that those that hardly run do not count."""
PROJECT = Path(tunedsl.__file__).parents[1]
MUTATIONS = {"x": uniform(0, 1)}
OTHERS = {
    "pbt, synchronous": pbt(perturbation_interval=3, synch=True, hyperparam_mutations=MUTATIONS),
    "resource_changing": resource_changing(fifo(), resources=distribute(cpu=100)),
}
# A Gaussian process is fitted in steps whose number depends on the data, so its searchers are not here.
SEARCHERS = {
    "random_search": random_search(),
    "sobol": sobol(),
    "tpe": tpe(),
    "bohb": bohb(),
    "evolution": evolution(),
    "zoopt": zoopt(),
}


class CountedLines:
    """Counts the lines that run in a `with` statement, by the package of this project that has them."""

    def __enter__(self):
        self.counts, self.before = Counter(), sys.gettrace()
        sys.settrace(self._enter_function)
        return self

    def __exit__(self, *error):
        sys.settrace(self.before)

    def _enter_function(self, frame, event, argument):
        package = package_of(frame.f_code.co_filename)
        if package is None:
            return None

        def count_line(frame, event, argument):
            self.counts[package] += event == "line"
            return count_line

        return count_line


@cache
def package_of(file):
    path = Path(file)
    return path.relative_to(PROJECT).parts[:2] if path.is_relative_to(PROJECT) else None


def lines_of_an_event(scheduler, trials, searcher=None):
    driver, records = driver_of(scheduler, trials, WORKERS, searcher)
    with CountedLines() as lines:
        driver.run()
    return {package: count / records.count for package, count in lines.counts.items()}


def growth(scheduler, searcher=None):
    """The largest growth of the work for an event from few trials to many, by package."""
    few, many = (lines_of_an_event(scheduler, trials, searcher) for trials in (FEW, MANY))
    return max((many[package] + SPARE) / (few.get(package, 0) + SPARE) for package in many)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SCHEDULERS, *OTHERS])
def test_the_work_for_an_event_of_a_scheduler_does_not_grow(name):
    assert growth((SCHEDULERS | OTHERS)[name]) < MAX_GROWTH


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHERS)
def test_the_work_for_an_event_of_a_searcher_does_not_grow(name):
    assert growth(fifo(), SEARCHERS[name]) < MAX_GROWTH_OF_MODELS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["asha", "median_stopping, seconds", "pbt"])
def test_the_work_for_an_event_does_not_grow_where_all_trials_report_the_same(name):
    with patch.object(scale, "curve", lambda config, iteration: 0.5):
        assert growth(SCHEDULERS[name]) < MAX_GROWTH


def test_every_scheduler_is_measured():
    """All but PB2, which is PBT with a costly model of a bounded number of reports, and the replay of one trial."""
    own = {spec for spec in registered_schedulers() if spec.__module__.startswith("tunedsl.")}
    assert own - {type(spec) for spec in (*SCHEDULERS.values(), *OTHERS.values())} == {Pb2, PbtReplay}


@pytest.mark.slow
def test_a_walk_over_all_trials_shows():
    step = driver_module.step

    def walks(plan, state, event, history):
        assert sum(1 for _ in state.trials) >= 0
        return step(plan, state, event, history)

    with patch.object(driver_module, "step", walks):
        assert growth(fifo()) > MAX_GROWTH_OF_MODELS


@pytest.mark.slow
def test_passes_over_all_trials_at_a_rung_show():
    with patch.object(import_module("tunedsl.schedulers.pasha"), "_grow_if_unsettled", grow_if_unsettled):
        assert growth(SCHEDULERS["pasha"]) > MAX_GROWTH_OF_MODELS

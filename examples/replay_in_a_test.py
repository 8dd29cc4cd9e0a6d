"""Uses an experiment as a test: with logical order, every run on every engine gives the same journal.

    python -m pytest examples/replay_in_a_test.py

`tunedsl_run` and `golden` are pytest fixtures of tunedsl. `--golden-new` wrote `journals/bowl.jsonl` once. The tests
repeat each decision in it, and compare every new run with it.
"""

from tunedsl import asha, replay, report, space, uniform
from tunedsl.backends import Recorded
from tunedsl.testing import cluster, faults


def train(config):
    for step in range(1, 10):
        report(loss=(config["x"] - 0.3) ** 2 + 1 / step)


experiment = (
    space(x=uniform(0, 1))
    .trainable(train)
    .minimize("loss")
    .scheduler(asha(max_t=9, reduction_factor=3))
    .samples(12)
    .parallel(4)
    .order("logical")
    .retry(-1)
    .seed(7)
)


def test_the_search_finds_the_minimum_and_replays(tunedsl_run, golden):
    results = tunedsl_run(experiment)
    assert abs(results.best.config["x"] - 0.3) < 0.1
    assert replay(results.path).digest == results.journal.digest
    golden("journals/bowl.jsonl", results)


def test_a_simulation_of_the_run_gives_its_journal(tunedsl_run, golden):
    results = tunedsl_run(experiment)
    golden("journals/bowl.jsonl", tunedsl_run(experiment, curve=Recorded(results.path)))


def test_workers_and_drivers_that_die_change_nothing(tunedsl_run):
    results = tunedsl_run(experiment)
    unreliable = cluster(curve=Recorded(results.path), faults=faults(crash=0.05, lost=0.05, driver_killed=0.1), seed=1)
    outcome = unreliable.run(experiment)  # checks every invariant, and compares with a run without faults
    assert outcome.drivers > 1 and [trial.row for trial in outcome.state.trials.values()]

"""Laws of failed trials that are run again: all of them end, under every scheduler and after a cut anywhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.experiments import Quadratic, quadratic, searching
from tests.laws.test_amended_runs import Breaker
from tunedsl import asha, fifo, hyperband, load, pbt, replay
from tunedsl.base.diagnostics import errors_of
from tunedsl.base.errors import Interrupted, NoResult
from tunedsl.experiment import Experiment
from tunedsl.export.dispatch import SinkHandle, dispatch_journal
from tunedsl.journal import Journal, TrialStatuses, fold
from tunedsl.kernel import RetryRequested, initial
from tunedsl.plan import Plan
from tunedsl.schedulers import asha_promote, median_stopping, pasha, pb2
from tunedsl.searchers import limit, random_search, repeat, tpe
from tunedsl.sinks import Sink
from tunedsl.stopping import failing
from tunedsl.testing import faults
from tunedsl.testing.invariant_listener import InvariantListener
from tunedsl.testing.simulation.backend import ClusterEngine, Storage
from tunedsl.testing.simulation.faults import FaultInjector
from tunedsl.views.counters import Counters

SCHEDULERS = {
    "fifo": (quadratic, fifo()),
    "asha": (quadratic, asha(max_t=9, reduction_factor=3)),
    "median": (Quadratic, median_stopping(time_attr="training_iteration", grace_period=2)),
    "promotion": (Quadratic, asha_promote(max_t=9)),
    "hyperband": (Quadratic, hyperband(max_t=9)),
    "pasha": (Quadratic, pasha(max_t=9)),
    "pbt": (Quadratic, pbt(hyperparam_mutations={"x": [0.1, 0.5, 0.9]}, perturbation_interval=3)),
    "pbt together": (Quadratic, pbt(hyperparam_mutations={"x": [0.1, 0.9]}, perturbation_interval=3, synch=True)),
    "pb2": (Quadratic, pb2(hyperparam_bounds={"x": [0.0, 1.0]}, perturbation_interval=3)),
}
SEARCHERS = {
    "random": random_search(),
    "tpe": tpe(),
    "limit": limit(random_search(), 3),
    "repeat": repeat(tpe(), 2),
}


def loss(config: dict[str, Any], iteration: int) -> float:
    return float((config["x"] - 0.3) ** 2 + 1 / iteration)


def engine(seed: int, crash: float, storage: Storage) -> ClusterEngine:
    """A simulated cluster where trials crash; its checkpoints outlive it."""
    return ClusterEngine(FaultInjector(faults(crash=crash), seed), loss, 1.0, 9, None, 2, storage)


def held_to_the_laws(plan: Plan) -> InvariantListener:
    return InvariantListener(plan, initial(plan))


def cut(call: Any) -> Path:
    """The folder of a run, finished or not."""
    try:
        return Path(call().path)
    except Interrupted as caught:
        return Path(caught.path)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(SCHEDULERS)),
    st.sampled_from(sorted(SEARCHERS)),
    st.sampled_from(["arrival", "logical"]),
    st.integers(0, 1_000),
    st.integers(5, 250),
    st.integers(1, 120),
)
def test_failed_trials_end_when_they_are_run_again(
    tmp_path_factory, scheduler, searcher, order, seed, before, after
) -> None:
    trainable, spec = SCHEDULERS[scheduler]
    e: Experiment = searching(tmp_path_factory.mktemp("retried"), trainable).scheduler(spec).order(order)
    e = e.searcher(SEARCHERS[searcher]).retry(0).samples(8).stop(training_iteration=9)
    assume(not errors_of(e.check()))  # some schedulers and searchers are incompatible
    plan, storage = e.compile(engine="simulated"), Storage()
    path = cut(
        lambda: e.run(
            engine=engine(seed, 0.1, storage), quiet=True, listeners=[held_to_the_laws(plan), Breaker(before)]
        )
    )
    failed = [trial.number for trial in load(path).trials if trial.status == "failed"]
    cut(  # once more, in the middle of what runs again
        lambda: e.resume(
            path,
            engine=engine(seed + 1, 0.1, storage),
            quiet=True,
            retry_failed=True,
            listeners=[held_to_the_laws(plan), Breaker(before + after)],
        )
    )
    asked = [event.trials for event in Journal(path).events() if isinstance(event, RetryRequested)]
    assert asked == ([tuple(sorted(failed))] if failed else [])
    results = e.resume(
        path, engine=engine(0, 0.0, storage), quiet=True, retry_failed=True, listeners=[held_to_the_laws(plan)]
    )
    assert results.finished and not results.errors and replay(path).state.finished
    assert set(results.stats.statuses) <= {"completed", "stopped"}
    for number in failed:
        assert results[number].status in ("completed", "stopped") and results[number].iterations


class Ends(Sink):
    """The last notice of each trial that a sink receives."""

    def __init__(self) -> None:
        self.ends: dict[int, str] = {}

    def on_trial(self, trial: Any) -> None:
        self.ends[trial.number] = "open"

    def on_end(self, trial: Any) -> None:
        self.ends[trial.number] = trial.status


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(SCHEDULERS)),
    st.sampled_from([0, 1]),
    st.integers(0, 1_000),
    st.sampled_from([{}, {"iterations": 30}, {"seconds": 8}, {"failures": 2}]),
    st.booleans(),
)
def test_every_reader_of_a_journal_counts_the_same(tmp_path_factory, scheduler, retry, seed, budget, fail_fast) -> None:
    trainable, spec = SCHEDULERS[scheduler]
    e = (
        searching(tmp_path_factory.mktemp("counted"), trainable)
        .scheduler(spec)
        .order("arrival")
        .retry(retry)
        .until(failing(same=0))
        .samples(10)
    )
    e = e.stop(training_iteration=9).budget(**budget) if budget else e.stop(training_iteration=9)
    path = Path((e.fail_fast() if fail_fast else e).run(engine=engine(seed, 0.1, Storage()), quiet=True).path)
    results = load(path)
    statuses, tally, sink = TrialStatuses(), Counters(results.plan), Ends()
    dispatch_journal(path, [SinkHandle("ends", lambda: sink, print)], path)
    for line, state in fold(results.journal):
        statuses.take(line)
        if line.e is not None:
            tally.take(line.e, line.c, state)
    counts = statuses.counts
    assert state.terminated_count == counts["completed"] + counts["stopped"] + counts["cancelled"]
    assert state.errored_count == counts["failed"] == len(results.errors)
    assert results.stats.statuses == +counts == +tally.statuses.counts == Counter(sink.ends.values())
    assert list(results.dataframe()["status"]) == [trial.status for trial in results.trials]
    assert results.stats.ended == tally.statuses.over == sum(counts.values()) - counts["cancelled"]
    for trial in results.trials:
        assert results.why(trial.id).splitlines()[-1].startswith(trial.status)
        assert (trial.error is not None) == (trial.status == "failed")
        assert trial.status != "cancelled" or trial.stop_reason
    try:
        best = results.best
    except NoResult:
        assert not any(trial.iterations for trial in results.trials)
    else:
        assert tally.best is not None and tally.best.trial == best.number
        assert tally.best.value == best.metrics["loss"]


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_a_retried_run_is_proved_by_its_journal_under_each_scheduler(tmp_path, scheduler) -> None:
    trainable, spec = SCHEDULERS[scheduler]
    e = searching(tmp_path, trainable).scheduler(spec).retry(0).samples(8).stop(training_iteration=9)
    storage = Storage()
    results = e.run(engine=engine(5, 0.2, storage), quiet=True)
    assert results.errors
    again = e.resume(results.path, engine=engine(0, 0.0, storage), quiet=True, retry_failed=True)
    assert not again.errors and replay(again.path).digest == again.journal.digest

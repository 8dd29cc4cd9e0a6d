"""The simulated cluster: it depends on one seed only, each fault has its effect, and the laws hold."""

import pytest

from tests.experiments import Quadratic, searching
from tunedsl import asha, load, pbt, replay
from tunedsl.base.errors import ArgumentError
from tunedsl.testing import Fault, cluster, faults
from tunedsl.testing.simulation.faults import CHANNELS

ALL_AT_ONCE = faults(crash=0.03, lost=0.03, node=0.02, delay=0.1, duplicate=0.1, late=0.05, driver_slow=0.05)
KINDS = sorted({**CHANNELS, "late": "halt"}.keys() - {"unheard"})


def tuned():
    return searching("nowhere", Quadratic).retry(-1)


def test_one_seed_gives_one_run():
    first, again = (cluster(faults=ALL_AT_ONCE, seed=3).run(tuned()) for _ in range(2))
    assert first.journal.digest == again.journal.digest and first.faults == again.faults and first.faults
    assert cluster(faults=ALL_AT_ONCE, seed=4).run(tuned()).faults != first.faults


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_happens_and_every_law_holds(kind):
    experiment = (
        tuned().scheduler(pbt(perturbation_interval=2)).stop(training_iteration=9)
        if kind.startswith("storage")
        else tuned()
    )
    share, seed = (0.7, 3) if kind == "resume_amended" else (0.15, 1)  # it is drawn once per driver
    outcome = cluster(faults=faults(**{kind: share}), seed=seed).run(experiment)
    assert outcome.faults and {fault.kind for fault in outcome.faults} <= {kind, "unheard"}
    assert outcome.state.finished and str(len(outcome.faults)) in str(outcome)
    failed = sum(sum(trial.failures) for trial in outcome.state.trials.values())
    assert bool(failed) == (
        kind in ("crash", "oom", "timeout", "bad_report", "idle", "lost", "node", "late", "storage_fails", "drain")
    )


def test_the_faults_that_happened_make_it_happen_again():
    outcome = cluster(faults=ALL_AT_ONCE, seed=5).run(tuned())
    again = cluster(faults=eval(repr(outcome.faults)), seed=99).run(tuned())
    assert again.journal.digest == outcome.journal.digest and again.faults == outcome.faults


def test_a_driver_that_dies_again_and_again_gives_the_undisturbed_journal():
    outcome = cluster(faults=faults(driver_killed=0.3), seed=2).run(tuned())
    assert outcome.drivers > 5
    assert outcome.journal.digest == cluster().run(tuned()).journal.digest


def test_a_write_is_torn_at_any_byte():
    for amount in (0.0, 0.01, 0.5, 0.99, 1.0):
        outcome = cluster(faults=[Fault("driver_killed", 3, amount)]).run(tuned())
        assert outcome.drivers == 2 and outcome.journal.digest == cluster().run(tuned()).journal.digest


def test_failures_that_are_run_again_leave_no_trace_under_logical_order():
    calm = cluster().run(tuned())
    for seed in range(5):
        outcome = cluster(faults=faults(crash=0.1, node=0.05), seed=seed).run(tuned())
        assert sum(sum(trial.failures) for trial in outcome.state.trials.values()) > 3
        rows = [[trial.iteration, trial.row] for trial in outcome.state.trials.values()]
        assert rows == [[trial.iteration, trial.row] for trial in calm.state.trials.values()]


def test_a_node_takes_all_its_workers_with_it():
    outcome = cluster(nodes=2, faults=[Fault("node", 9, 0.9)]).run(tuned())
    assert sum(trial.failures[2] for trial in outcome.state.trials.values()) == 2


def test_it_is_an_engine_for_a_run_with_a_folder(tmp_path):
    experiment = tuned().store(str(tmp_path))
    results = experiment.run(engine=cluster(faults=ALL_AT_ONCE, seed=1).engine(), quiet=True)
    assert len(load(results.path).trials) == 12 and replay(results.path).digest == results.journal.digest


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: faults(crahs=0.1), "crash"),
        (lambda: faults(crash=1.5), "from 0 to 1"),
        (lambda: faults(crash=True), "from 0 to 1"),
        (lambda: cluster(workers=0), "at least 1"),
        (lambda: cluster(nodes=1.5), "at least 1"),
        (lambda: cluster(faults=faults(driver_killed=0.1)).engine(), "driver_killed"),
        (lambda: cluster(faults=[Fault("driver_killed", 3)]).engine(), "driver_killed"),
        (lambda: cluster(faults=[Fault("crush", 3)]), "crash"),
    ],
)
def test_what_cannot_be_is_said_where_it_is_written(call, named):
    with pytest.raises(ArgumentError, match=named):
        call()


def test_asha_under_a_real_width_of_its_own():
    outcome = cluster(workers=3, iterations=9, faults=ALL_AT_ONCE).run(
        searching("nowhere", Quadratic).scheduler(asha(max_t=9)).retry(-1)
    )
    assert outcome.state.width == 4, "the plan's own width is the one that counts"

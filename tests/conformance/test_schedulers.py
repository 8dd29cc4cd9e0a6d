"""The contract of schedulers, for each registered one."""

import math
import random
from collections import Counter

import pytest
from msgspec.structs import replace

import tunedsl.schedulers as faces
from tunedsl.base import codec
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.objective import Objective
from tunedsl.schedulers import (
    asha,
    asha_promote,
    distribute,
    distribute_to_top,
    fifo,
    hyperband,
    median_stopping,
    nondominated,
    pasha,
    pb2,
    pbt,
    pbt_replay,
    resource_changing,
)
from tunedsl.schedulers.contract import (
    At,
    Every,
    Exploit,
    Never,
    Report,
    Resize,
    SchedulerContext,
    is_due,
    registered_schedulers,
    scheduler_of,
)
from tunedsl.spaces import Space, loguniform, uniform
from tunedsl.testing.schedulers import a_bad_first_trial_blocks_no_other

EXAMPLES = [
    fifo(),
    asha(),
    asha(max_t=27, grace_period=2, reduction_factor=2.5, brackets=2, stop_last_trials=False),
    asha(max_t=50, time_attr="epochs"),
    asha(max_t=27, ranking=nondominated()),
    pasha(max_t=27, noise="rungs", final_trials=0),
    hyperband(max_t=9),
    hyperband(max_t=20, reduction_factor=2.5, stop_last_trials=False, bohb=True),
    hyperband(max_t=30, time_attr="epochs"),
    asha_promote(max_t=9, reduction_factor=2),
    asha_promote(max_t=40.5, grace_period=2.5, reduction_factor=2.5, time_attr="epochs"),
    pasha(max_t=27, reduction_factor=2),
    pasha(max_t=27, epsilon=0.5, time_attr="epochs"),
    median_stopping(time_attr="training_iteration", grace_period=3),
    median_stopping(grace_period=3),
    median_stopping(time_attr="epochs", grace_period=1, min_time_slice=2, hard_stop=False),
    pbt(perturbation_interval=3),
    pbt(perturbation_interval=2, burn_in_period=5, synch=True, hyperparam_mutations={"lr": [0.1, 0.01]}),
    pbt(perturbation_interval=2.5, time_attr="epochs", quantile_fraction=0.5, perturbation_factors=[2]),
    pb2(perturbation_interval=20, hyperparam_bounds={"lr": [1e-4, 1e-1]}),
    pbt_replay([(0, {"lr": 0.1}), (4, {"lr": 0.05}), (9, {"lr": 0.02})]),
    resource_changing(fifo(), distribute(cpu=40), every=3),
    resource_changing(asha(max_t=27), distribute_to_top(cpu=30, gpu=2, increase_by={"cpu": 2}, increase_by_times=3)),
]


def begun(spec, setting, trials=20):
    """The state with trials added."""
    scheduler = scheduler_of(spec)
    state = scheduler.init(spec, setting)
    for trial in range(trials if scheduler.on_add else 0):
        state = scheduler.on_add(spec, state, trial, {"x": trial / trials})
    return state


def reports(seed, trials=20, iterations=30):
    rng = random.Random(seed)
    order = [trial for trial in range(trials) for _ in range(iterations)]
    rng.shuffle(order)
    clock = dict.fromkeys(range(trials), 0)
    for trial in order:
        clock[trial] += 1
        value = rng.choice([rng.random(), rng.random(), math.nan, math.inf, -math.inf])
        yield Report(trial, clock[trial], value, float(clock[trial]), {"epochs": 2 * clock[trial]})


def test_every_scheduler_of_the_package_is_held_to_this():
    inside = {spec for spec in registered_schedulers() if spec.__module__.startswith("tunedsl.schedulers.")}
    assert inside == {type(spec) for spec in EXAMPLES}


@pytest.mark.parametrize("spec", EXAMPLES, ids=repr)
class TestScheduler:
    def test_the_same_state_and_report_give_the_same_answer_and_leave_the_state(self, spec):
        scheduler = scheduler_of(spec)
        state = begun(spec, SchedulerContext(1, 20, Objective("loss", "min")))
        for report in reports(0):
            before = repr(state)
            first, again = scheduler.on_report(spec, state, report), scheduler.on_report(spec, state, report)
            assert first == again and repr(state) == before
            ended = scheduler.on_end(spec, first[0], report)
            assert ended == scheduler.on_end(spec, first[0], report)
            state = ended if first[1] == "stop" else first[0]

    def test_answers_any_report_of_any_trial(self, spec):
        scheduler = scheduler_of(spec)
        state = begun(spec, SchedulerContext(1, 20, None))
        for report in [*reports(1), Report(99, 1, math.nan, 0.0, {}), Report(0, 10**6, -0.0, 1e300, {"epochs": "x"})]:
            state, decision, note = scheduler.on_report(spec, state, report)
            assert decision in ("continue", "stop", "pause") or isinstance(decision, (Exploit, Resize))
            assert decision in ("continue", "stop") or scheduler.requirements(spec).checkpoints
            assert decision != "pause" or scheduler.requirements(spec).pause
            assert note is None or codec.encode(note.facts) == note.facts
            assert decision == "continue" or note is not None

    def test_decides_only_where_it_says_or_when_the_last_iteration_has_come(self, spec):
        scheduler = scheduler_of(spec)
        points, last = scheduler.decision_points(spec), scheduler.last_iteration(spec)
        assert isinstance(points, (Never, At, Every))
        state = begun(spec, SchedulerContext(1, 20, Objective("loss", "max")))
        off, clock = set(), Counter()
        for report in reports(2):
            if report.trial not in off:
                clock[report.trial] += 1
                report = replace(report, iteration=clock[report.trial], metrics={"epochs": 2 * clock[report.trial]})
                state, decision, _ = scheduler.on_report(spec, state, report)
                assert decision == "continue" or is_due(points, report.iteration) or (last and report.iteration >= last)
                off |= {report.trial} if decision in ("pause", "stop") else set()
            chosen = None
            if off and scheduler.promote:
                state, chosen = scheduler.promote(spec, state)
            off -= {chosen[0]} if chosen else set()

    def test_describes_and_checks_itself(self, spec):
        scheduler = scheduler_of(spec)
        assert scheduler.describe(spec) and "\n" not in scheduler.describe(spec)
        assert scheduler.validate(spec) == []
        assert all(isinstance(fault, Diagnostic) for fault in scheduler.validate(spec))
        assert isinstance(scheduler.metrics_used(spec), tuple)
        assert scheduler.requirements(spec) == scheduler.requirements(spec)

    def test_a_bad_first_trial_blocks_no_other(self, spec):
        a_bad_first_trial_blocks_no_other(spec, Space.of({"lr": loguniform(1e-4, 1e-1), "x": uniform(0, 1)}))

    def test_is_a_value_that_data_and_repr_give_back(self, spec):
        assert codec.from_json(codec.to_json(spec)) == spec
        back = eval(repr(spec), vars(faces).copy())
        assert back == spec and hash(back) == hash(spec)

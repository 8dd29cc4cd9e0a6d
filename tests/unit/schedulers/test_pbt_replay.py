"""Replay of PBT: the schedule's configurations, each at its iteration."""

import json

import pytest

from tunedsl import space as experiment_space
from tunedsl import uniform
from tunedsl.base import codec
from tunedsl.base.errors import ArgumentError, NoResult
from tunedsl.results import ray_policy
from tunedsl.schedulers import pbt_replay
from tunedsl.schedulers.contract import At, Exploit, Report, SchedulerContext, scheduler_of
from tunedsl.spaces.space import Space

SPEC = pbt_replay([(0, {"lr": 0.1}), (4, {"lr": 0.05}), (8, {"lr": 0.02, "momentum": 0.9})])


def test_each_configuration_holds_from_its_iteration_on():
    scheduler = scheduler_of(SPEC)
    assert scheduler.decision_points(SPEC) == At((4, 8))
    state = scheduler.on_add(SPEC, scheduler.init(SPEC, SchedulerContext(0, 1, None)), 0, {"lr": 0.1})
    answers = {}
    for iteration in range(1, 12):
        state, decision, note = scheduler.on_report(SPEC, state, Report(0, iteration, 0.0, 0.0, {}))
        if decision != "continue":
            answers[iteration] = decision, note
    assert {at: decision for at, (decision, _) in answers.items()} == {
        4: Exploit(0, {"lr": 0.05}),
        8: Exploit(0, {"lr": 0.02, "momentum": 0.9}),
    }
    assert answers[8][1].facts["config/momentum"] == "none -> 0.9"
    assert answers[4][1].facts["config/lr"] == "0.1 -> 0.05"


def test_what_is_no_schedule_is_refused_and_another_start_is_said():
    for wrong in ("policy.txt", {"lr": 1}, [(1, 2)], [3], [(-1, {})]):
        with pytest.raises(ArgumentError, match=r"E003: pbt_replay\.policy"):
            pbt_replay(wrong)
    scheduler = scheduler_of(SPEC)
    backwards = pbt_replay([(4, {}), (2, {})])
    assert [fault.code for fault in scheduler.validate(backwards)] == ["E077"]
    for params, count in (({"lr": 0.1}, 0), ({"lr": 0.2}, 1), ({"lr": uniform(0, 1)}, 1)):
        assert len(scheduler.check_compatibility(SPEC, SchedulerContext(0, 1, None, Space.of(params)))) == count
    assert codec.from_json(codec.to_json(SPEC)) == SPEC == eval(repr(SPEC))
    assert experiment_space(**dict(SPEC.policy)[0].object).clauses.space == Space.of({"lr": 0.1})


def test_policy_files_of_ray_tune_are_read_as_ray_tune_reads_them(tmp_path):
    pbt = pytest.importorskip("ray.tune.schedulers.pbt")
    rows = [
        ["b", "c", 3, 2, {"lr": 9.0}, {"lr": 8.0}],
        ["x", "y", 4, 4, {"lr": 0.3}, {"lr": 0.2}],
        ["a", "x", 10, 12, {"lr": 0.2}, {"lr": 0.1}],
    ]
    file = tmp_path / "pbt_policy_1.txt"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for chain in (rows, rows[::-1], rows[2:]):
        file.write_text("".join(json.dumps(row) + "\n" for row in chain))
        original = pbt.PopulationBasedTrainingReplay(str(file))
        assert ray_policy(file) == ((0, original.config), *original._policy)
        assert pbt_replay(ray_policy(file)).policy[0][0] == 0
    file.write_text("no policy")
    with pytest.raises(NoResult, match="not a policy file"):
        ray_policy(file)

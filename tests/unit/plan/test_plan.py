"""Plans as data: JSON both ways, one digest in all processes, differences, previews."""

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from tests.experiments import Quadratic, quadratic, searching
from tests.unit.plan.test_experiment import full
from tunedsl import Experiment, Plan, asha, diff, fifo, grid, plateau, space, uniform
from tunedsl.base.errors import ArgumentError, CodecError

ROOT = Path(__file__).parents[3]


def everything():
    clauses = full().clauses
    experiment = Experiment(
        attrs.evolve(clauses, timeout=None, isolate=None, checkpoint=None, log_to_file=None, data=())
    )
    return experiment.trainable(Quadratic).data(scale=2)


@pytest.fixture
def plan(tmp_path):
    return searching(tmp_path).compile()


@pytest.mark.parametrize("experiment", [searching("x"), everything()], ids=["small", "full"])
def test_json_gives_the_plan_back(experiment):
    plan = experiment.compile(engine="inline")
    back = Plan.from_json(plan.to_json())
    assert back == plan and back.digest == plan.digest and back.to_json() == plan.to_json()
    assert back.trainable.resolve() is plan.trainable.object


def test_what_is_no_plan_is_refused():
    with pytest.raises(CodecError, match="expected a plan, found dict"):
        Plan.from_json("{}")


@pytest.mark.slow
def test_the_digest_is_one_in_all_processes():
    code = "from tests.unit.plan.test_plan import *; print(everything().compile('inline').digest)"
    digests = {everything().compile("inline").digest}
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        digests.add(done.stdout.strip() or done.stderr)
    assert len(digests) == 1


def test_equal_settings_have_one_digest():
    base = searching("x")
    assert base.scheduler(asha(max_t=9.0)).compile().digest == base.scheduler(asha(max_t=9)).compile().digest
    assert base.stop(loss=1).compile().digest == base.stop(loss=1.0).compile().digest
    steady = [base.stop(plateau("loss", std=1, metric_threshold=bound)) for bound in (2, 2.0)]
    assert steady[0] == steady[1] and steady[0].compile().digest == steady[1].compile().digest
    assert base.resources(cpu=1).compile().digest == base.compile().digest
    assert base.store("elsewhere").compile().digest == base.compile().digest


def test_without_a_seed_one_is_drawn():
    experiment = space(x=uniform(0, 1)).trainable(quadratic).minimize("loss")
    assert experiment.compile().seed != experiment.compile().seed


def test_differences_are_named_by_path():
    base = searching("x")
    other = base.replace(x=uniform(0, 2)).space(y=1).scheduler(asha(max_t=9)).retry(1).stop(loss=1)
    assert str(diff(base.compile(), other.compile())).splitlines() == [
        "space.x: uniform(0.0, 1.0) -> uniform(0.0, 2.0)",
        "space.y: (none) -> 1",
        "scheduler.reduction_factor: 3 -> 4",
        "stop: metric('training_iteration') >= 9 -> (metric('loss') <= 1) | (metric('training_iteration') >= 9)",
        "decision_points.iterations: (1, 3) -> (1, 4)",
        "retry.crash: 0 -> 1",
        "retry.oom: 0 -> 1",
        "retry.timeout: 0 -> 1",
        "retry.bad_report: 0 -> 1",
        "retry.storage: 0 -> 1",
        "retry.idle: 0 -> 1",
    ]
    assert not diff(base.compile(), base.compile())
    assert "scheduler: asha(max_t=9, reduction_factor=3) -> fifo()" in str(
        diff(base.compile(), base.scheduler(fifo()).compile())
    )
    with pytest.raises(ArgumentError, match="3: expected a plan"):
        diff(base.compile(), 3)


def test_previews_are_the_first_configurations(plan):
    configs = plan.preview()
    assert len(configs) == 12 and configs[:3] == plan.preview(3) == searching("x").preview(3)
    assert all(0 <= config["x"] <= 1 for config in configs)


def test_grids_are_crossed_and_repeated():
    plan = space(x=grid([1, 2, 3]), y=uniform(0, 1)).trainable(quadratic).minimize("loss").samples(2).compile()
    assert plan.trials == 6
    assert [config["x"] for config in plan.preview()] == [1, 2, 3, 1, 2, 3]

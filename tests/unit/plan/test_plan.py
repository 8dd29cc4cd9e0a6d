"""Plans as data: JSON round trip, one digest in all processes, differences, previews."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from tests.experiments import Quadratic, quadratic, searching
from tests.unit.plan.test_experiment import full
from tunedsl import Experiment, Plan, asha, diff, fifo, grid, plateau, run, space, uniform
from tunedsl.base.errors import ArgumentError, CodecError, CompileError, TunedslError

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
    with pytest.raises(CodecError, match="The data holds a dict, not a plan"):
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


def test_without_a_seed_one_is_drawn_for_the_next_run(tmp_path):
    experiment = space(x=uniform(0, 1)).trainable(quadratic).minimize("loss").samples(3).store(tmp_path)
    assert space(x=uniform(0, 1)).trainable(quadratic).compile().seed != experiment.compile().seed
    shown = experiment.preview()
    plan, forecast = experiment.parallel(2).compile(), experiment.dry_run()  # of the same chain, the same seed
    assert experiment.preview() == shown == plan.preview()
    assert f"{plan.seed}, drawn; .seed({plan.seed}) keeps it" in experiment.explain()
    assert f"seed: {plan.seed}, drawn" in str(forecast) and plan.seed == forecast.plan.seed
    assert "drawn" not in experiment.seed(3).explain() and "seed" not in str(experiment.seed(3).dry_run())
    results = experiment.run(engine="inline", quiet=True)
    assert results.seed == plan.seed and [trial.config for trial in results] == shown
    again = experiment.run(engine="inline", quiet=True)
    assert again.seed != plan.seed and again.seed == again.plan.seed
    kept = experiment.seed(plan.seed)
    assert kept.preview() == kept.preview() == shown
    assert kept.run(engine="inline", quiet=True).seed == plan.seed


def test_a_plan_runs_as_it_is(tmp_path):
    experiment = space(x=uniform(0, 1)).trainable(quadratic).minimize("loss").samples(3).store(tmp_path)
    plan = experiment.compile()
    first, second = plan.run("inline", quiet=True), run(plan, "inline", quiet=True)
    assert plan.digest == first.plan.digest == second.plan.digest
    assert [trial.config for trial in first] == plan.preview() == [trial.config for trial in second]
    assert first.path.parent == tmp_path and experiment.compile().seed != plan.seed

    shared = experiment.data(table=[1]).trainable(with_table)
    assert shared.compile().run("inline", quiet=True).best.metrics["loss"] == 1
    read = Plan.from_json(shared.compile().to_json())
    with pytest.raises(TunedslError, match=r"without the objects of .data\(table\)"):
        read.run("inline")
    wrong = shared.resources(cpu=100_000).compile("simulated")
    with pytest.raises(CompileError, match="cpu=100000"):
        wrong.run("ray")


def with_table(config, table):
    return {"loss": table[0]}


def test_a_plan_that_was_read_runs_in_the_default_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = Plan.from_json(searching("x").compile().to_json())
    results = plan.run("inline", quiet=True)
    assert results.plan == plan and results.path.parent == tmp_path / "tunedsl-results"


def test_runs_at_the_same_time_use_no_seed_twice(tmp_path):
    experiment = space(x=uniform(0, 1)).trainable(quadratic).minimize("loss").store(tmp_path)
    seed = experiment.upcoming_seed.peek()
    assert [experiment.upcoming_seed.take(seed) for _ in range(2)] == [True, False]
    ready = threading.Barrier(4)

    def start(_: int) -> int:
        ready.wait()
        return experiment.run(engine="inline", quiet=True).seed

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 4


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
    with pytest.raises(ArgumentError, match=r"diff.b must be a plan, not 3"):
        diff(base.compile(), 3)


def test_previews_are_the_first_configurations(plan):
    configs = plan.preview()
    assert len(configs) == 12 and configs[:3] == plan.preview(3) == searching("x").preview(3)
    assert all(0 <= config["x"] <= 1 for config in configs)


def test_grids_are_crossed_and_repeated():
    plan = space(x=grid([1, 2, 3]), y=uniform(0, 1)).trainable(quadratic).minimize("loss").samples(2).compile()
    assert plan.trials == 6
    assert [config["x"] for config in plan.preview()] == [1, 2, 3, 1, 2, 3]


def test_plans_are_equal_by_their_data_conditions_included():
    base = space(x=uniform(0, 1)).trainable(lambda config: 1.0).minimize("loss").seed(0)
    one = base.stop(loss=0.5).compile(engine="inline")
    assert one == attrs.evolve(one) and hash(one) == hash(attrs.evolve(one))
    assert one != base.stop(loss=0.25).compile(engine="inline") and one != one.to_json()

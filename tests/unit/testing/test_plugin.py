"""The pytest plugin and the suites, run by a separate pytest in a separate folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments import breaks_at_times, quadratic_by_yield, searching
from tests.unit.testing.test_shrinking import MINE
from tunedsl.backends import SimulatedEngine
from tunedsl.base.errors import ArgumentError, Divergence, JournalError
from tunedsl.journal import Journal
from tunedsl.testing import GoldenError, check_golden, first_difference, scheduler_suite

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "replay" / "golden"
AGREES = next(file for file in sorted(GOLDEN.glob("*.jsonl")) if file.stem != "divergent")

USERS = """
import pytest
from mine import Forgets
from tunedsl import asha, report, space, uniform
from tunedsl.searchers import sobol
from tunedsl.testing import scheduler_suite, searcher_suite


def train(config):
    for step in range(1, 4):
        report(loss=config["x"] / step)


experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(4).parallel(2).order("logical").seed(1)

test_forgets = scheduler_suite(Forgets(), seeds=10)
test_asha = scheduler_suite(asha(max_t=4), seeds=3)
test_sobol = searcher_suite(sobol(), space(lr=uniform(0, 1)), seeds=3)


def test_golden(golden, tunedsl_run):
    assert golden("journals/run.jsonl", tunedsl_run(experiment)).state.finished


def test_simulated(golden, tunedsl_run, tmp_path):
    results = tunedsl_run(experiment, curve=lambda config, iteration: config["x"] / iteration, iterations=3)
    assert results.path.parent == tmp_path
    golden("journals/run.jsonl", results)


def test_other(golden, tunedsl_run):
    golden("journals/run.jsonl", tunedsl_run(experiment.seed(2)))


def test_both(tunedsl_run):
    with pytest.raises(TypeError, match="iterations"):
        tunedsl_run(experiment, engine="inline", iterations=3)
"""


def run_pytest(folder, *words):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tunedsl.testing.pytest_plugin",
        "-p",
        "no:cacheprovider",
        *words,
    ]
    told = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return told.returncode, told.stdout + told.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("users")
    (folder / "mine.py").write_text(MINE)
    (folder / "test_users.py").write_text(USERS)
    return folder


@pytest.mark.slow
def test_a_users_tests(folder):
    code, said = run_pytest(folder, "-k", "golden")
    assert code == 1 and "--golden-new" in said and not (folder / "journals").exists()
    code, said = run_pytest(folder, "--golden-new", "-k", "golden")
    assert code == 0, said
    code, said = run_pytest(folder, "-k", "golden or simulated or both or asha or sobol")
    assert code == 0 and (folder / "journals" / "run.jsonl").exists(), said
    code, said = run_pytest(folder, "--golden-new", "-k", "other or forgets")
    assert code == 1 and "The plan is different" in said and "seed" in said
    assert "test_forgets[all_trials_end]" in said and "work is left, but nothing is in progress" in said
    assert "test_forgets[experiments-0-9]" in said and "repeat with: python -m tunedsl.testing --seed " in said
    assert "test_forgets[is_a_value]" not in said, "what holds does not fail"


def test_loading_the_plugin_loads_the_front_of_the_package_only():
    code = "import pytest, sys, tunedsl; old = set(sys.modules); import tunedsl.testing.pytest_plugin; "
    code += "print(*sorted(set(sys.modules) - old))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["tunedsl.testing", "tunedsl.testing.pytest_plugin"]


def test_the_room_needs_no_pytest():
    code = "import sys; sys.modules['pytest'] = None; import tunedsl.testing as t; t.scenario(0).run(); "
    code += "t.scheduler_suite(t.SCHEDULERS[0])"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "tunedsl[testing]" in told.stderr and "ArgumentError" in told.stderr


def test_a_spec_that_is_none_is_refused_where_it_is_written():
    with pytest.raises(ArgumentError, match="a scheduler such as"):
        scheduler_suite(3)


def simulated(store, **parts):
    made = searching(store, **parts).named("bowl")
    return made.run(engine=SimulatedEngine(curve=lambda config, t: config["x"] / t), quiet=True)


class TestGolden:
    def test_is_written_once_without_what_is_of_the_machine(self, tmp_path):
        results = simulated(tmp_path)
        file = tmp_path / "deep" / "run.jsonl"
        with pytest.raises(GoldenError, match="golden-new"):
            check_golden(file, results)
        with pytest.raises(ArgumentError, match="run"):
            check_golden(file, None, new=True)
        proof = check_golden(file, results, new=True)
        assert proof.digest == results.journal.digest and Journal(file).header.provenance == {}
        before = file.read_bytes()
        assert check_golden(file, new=True).digest == proof.digest and file.read_bytes() == before
        assert str(tmp_path).encode() not in before

    def test_says_the_first_difference(self, tmp_path):
        results = simulated(tmp_path)
        check_golden(tmp_path / "run.jsonl", results, new=True)
        other = (
            searching(tmp_path)
            .named("bowl")
            .run(engine=SimulatedEngine(curve=lambda config, t: -config["x"] / t), quiet=True)
        )
        with pytest.raises(GoldenError, match=r"Event \d+ is different.\n  golden: .*reported.*\s  found:  .*reported"):
            check_golden(tmp_path / "run.jsonl", other.path)
        assert first_difference(results.journal, results.journal) == ""
        assert "The plan is different" in first_difference(results.journal, Journal(simulated(tmp_path, y=1).path))

    def test_the_training_code_may_move_and_change_where_its_reports_stay(self, tmp_path):
        first, moved = simulated(tmp_path), simulated(tmp_path, trainable=quadratic_by_yield)
        plan = moved.journal.plan
        assert plan.trainable != first.journal.plan.trainable
        assert "The plan is different" in first_difference(first.journal, moved.journal), "the form is another, too"
        assert first_difference(first.journal, simulated(tmp_path, trainable=breaks_at_times).journal) == ""

    def test_one_that_ends_early_is_another(self, tmp_path):
        whole = simulated(tmp_path).journal
        lines = whole.path.read_bytes().splitlines(keepends=True)
        assert "the journal ends here" in first_difference(whole, Journal(lines[:20]))
        assert "found:  nothing" in first_difference(whole, Journal(lines[:20]))

    def test_a_decision_that_is_made_otherwise_now_is_found(self):
        with pytest.raises(Divergence, match="milestone"):
            check_golden(GOLDEN / "divergent.jsonl")

    def test_what_is_no_run_is_refused(self, tmp_path):
        with pytest.raises(ArgumentError, match="results, a journal"):
            check_golden(AGREES, 3)
        with pytest.raises(JournalError):
            check_golden(AGREES, tmp_path)

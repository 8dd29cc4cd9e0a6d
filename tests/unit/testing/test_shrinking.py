"""A failing scenario is shrunk, and the printed command repeats the failure."""

import subprocess
import sys
from pathlib import Path

import pytest

import tunedsl
import tunedsl.schedulers
import tunedsl.searchers
import tunedsl.testing
from tunedsl.testing import Fault, Faults, Scenario, scenario
from tunedsl.testing.__main__ import main
from tunedsl.testing.fuzz import FuzzTarget, check_seed, fuzz
from tunedsl.testing.shrinking import complaint, shrink

PARTS = (tunedsl.schedulers, tunedsl.searchers, tunedsl.testing)
NAMES = {name: getattr(part, name) for part in (tunedsl, *PARTS) for name in part.__all__}
ROOT = Path(__file__).resolve().parents[3]

MINE = '''
from tunedsl.base.codec import value
from tunedsl.schedulers.contract import Every, Reason, Requirements, Scheduler, register_scheduler


@value
class Forgets:
    """Pauses every trial, and never brings one back."""


register_scheduler(
    Forgets,
    Scheduler(
        "forgets",
        lambda spec, setting: (),
        lambda spec, state, report: (state, "pause", Reason("forgets", {})),
        lambda spec: Every(2),
        lambda spec: "forgets",
        requirements=lambda spec: Requirements(checkpoints=True, pause=True),
    ),
)
'''


@pytest.mark.parametrize("seed", range(60))
def test_a_scenario_is_a_value_that_its_text_gives_back(seed):
    made = scenario(seed)
    assert eval(repr(made), NAMES) == made and scenario(seed) == made
    assert hash(made) == hash(scenario(seed))


def test_a_space_of_ones_own_stands_in_the_text():
    made = scenario(3, over=tunedsl.space(lr=tunedsl.uniform(0, 1)).clauses.space)
    assert "lr" in repr(made) and made.plan().trials >= 1


def test_scenarios_of_different_seeds_cover_what_there_is():
    made = [scenario(seed) for seed in range(400)]
    assert {type(one.scheduler) for one in made} == {type(spec) for spec in tunedsl.testing.SCHEDULERS}
    assert {type(one.searcher) for one in made} == {type(spec) for spec in tunedsl.testing.SEARCHERS}
    assert {one.order for one in made} == {"arrival", "logical"} and len({one.faults for one in made}) > 10


def test_what_is_not_needed_to_fail_is_taken_away():
    def fails(one):
        kinds = [fault.kind for fault in one.faults] if isinstance(one.faults, tuple) else []
        return "both" if one.trials >= 3 and {"crash", "lost"} <= set(kinds) else None

    faults = tuple(Fault(("crash", "delay", "lost", "duplicate")[at % 4], at) for at in range(20))
    small = shrink(scenario(7).changed(trials=40, width=8, faults=faults), fails)
    assert small.trials == 3 and small.width == 1 and small.stop == 1
    assert sorted(fault.kind for fault in small.faults) == ["crash", "lost"]
    assert small == Scenario(trials=3, width=1, stop=1, faults=small.faults, seed=7)


def test_another_failure_does_not_stand_in():
    seen = []

    def fails(one):
        seen.append(one)
        return "first" if one.trials > 5 else "second" if one.trials > 2 else None

    assert shrink(Scenario(trials=20), fails).trials == 6
    assert len(seen) <= 401
    assert shrink(Scenario(trials=1), fails) == Scenario(trials=1)


def test_shares_become_the_faults_that_happened():
    made = Scenario(trials=6, width=2, faults=Faults(crash=0.3), seed=1)
    assert complaint(made) is None

    def fails(one):
        outcome = one.run()
        return "many" if sum(fault.kind == "crash" for fault in outcome.faults) >= 2 else None

    small = shrink(made, fails)
    assert isinstance(small.faults, tuple) and [fault.kind for fault in small.faults] == ["crash", "crash"]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)


def test_a_scheduler_that_forgets_is_found_shrunk_and_repeated(mine, capsys):
    assert main(["--count", "5", "--scheduler", "mine:Forgets()"]) == 1
    said = capsys.readouterr().out
    assert "all_trials_end" in said and "the scheduler forgot trial 0" in said
    assert "Scenario(scheduler=Forgets(), trials=1, width=1" in said
    again = [
        line.partition("repeat with: python -m tunedsl.testing ")[2]
        for line in said.splitlines()
        if "repeat with:" in line
    ]
    assert again and again[0].startswith("--seed ") and again[0].endswith(" --scheduler 'mine:Forgets()'")
    assert main(again[0].replace("'", "").split()) == 1


def test_a_good_one_passes_and_is_counted(capsys):
    assert main(["--count", "3", "--searcher", "tunedsl.searchers:sobol()"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3 experiments, ") and "sobol 3" in said and "every invariant held" in said


def test_one_seed_says_what_it_runs_and_the_laws_can_be_listed(capsys):
    assert main(["--seed", "5"]) == 0
    assert capsys.readouterr().out.startswith(repr(scenario(5)))
    assert main(["--invariants"]) == 0
    assert "something_is_under_way: " in capsys.readouterr().out
    for named in (
        "asha()",
        "no_such_module:asha()",
        "tunedsl.schedulers:no_such_scheduler()",
        "tunedsl.schedulers:asha(",
    ):
        with pytest.raises(SystemExit, match="MODULE:SPEC"):
            main(["--scheduler", named])


def test_a_hunt_ends_by_its_time_and_by_its_findings(mine):
    import mine as module

    forgets = FuzzTarget(schedulers=(module.Forgets(),))
    found = []
    assert fuzz(range(100), forgets, heard=found.append, most=2).findings == found and len(found) == 2
    assert fuzz(range(10**9), seconds=0.0).seeds == 1
    assert check_seed(found[0].seed, forgets, small=False)[2].law == "all_trials_end"


@pytest.mark.slow
def test_processes_share_the_seeds():
    told = subprocess.run(
        [sys.executable, "-m", "tunedsl.testing", "--count", "60", "--jobs", "2"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert told.stdout.startswith("60 experiments, ")

"""An interrupted run of each searcher continues with the proposals of the uninterrupted run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.adapters import SLOW
from tests.conformance.test_searchers import FLAT, PARAMS
from tests.natives import COMBINED
from tunedsl import CompileError, asha, load, replay, report, resume, space
from tunedsl.experiment import Experiment
from tunedsl.journal import journal_file
from tunedsl.kernel import Proposed
from tunedsl.results import Results
from tunedsl.searchers import PriorBand, cfo, cmaes, hyperopt, optuna
from tunedsl.searchers.adapters.libraries import LibraryContext, PackageRequirement

TRIALS = 18
RUNS = [*PARAMS, *(pytest.param(spec, id=repr(spec)) for spec in COMBINED)]


def train(config: dict[str, Any]) -> None:
    """Three reports; one configuration in four fails, so that a search observes every kind of end."""
    if config["x"] > 0.5:
        raise ValueError("x is too large")
    for step in range(1, 4):
        report(loss=(config["x"] - 0.3) ** 2 + config["n"] / 10 + 1 / step)


def searching(spec: Any, store: Path) -> Experiment:
    params: dict[str, Any] = dict(FLAT.params)
    if isinstance(spec, PriorBand):
        params["x"] = params["x"].prior(0.3)
    return (
        space(**params)
        .trainable(train)
        .minimize("loss")
        .searcher(spec)
        .scheduler(asha(max_t=3, grace_period=1, reduction_factor=2))
        .samples(min(TRIALS, SLOW.get(spec, TRIALS)))
        .parallel(3)
        .order("logical")
        .seed(5)
        .store(store)
    )


def cut(whole: Results, store: Path, proposals: int) -> Path:
    """A copy of a run's journal, as of a driver killed after some proposals."""
    kept, left = [], proposals
    for line in journal_file(whole.path).read_bytes().splitlines(keepends=True):
        kept.append(line)
        left -= b'"e":["proposed"' in line
        if not left:
            break
    folder = store / "cut"
    folder.mkdir(parents=True)
    journal_file(folder).write_bytes(b"".join(kept))
    return folder


def configs(results: Results) -> list[Any]:
    return [event.config for event in results.journal.events() if isinstance(event, Proposed)]


@pytest.mark.parametrize("spec", RUNS)
def test_an_interrupted_run_proposes_what_the_whole_one_does(spec, tmp_path, capsys):
    experiment = searching(spec, tmp_path)
    whole = experiment.run(engine="inline", quiet=True)
    count = len(configs(whole))
    assert count == len(whole.trials)
    capsys.readouterr()
    resumed = experiment.resume(path=cut(whole, tmp_path, (count + 1) // 2), quiet=False)
    assert "proposes otherwise" not in capsys.readouterr().err
    assert configs(resumed) == configs(whole)
    assert resumed.journal.digest == whole.journal.digest


@pytest.mark.parametrize("spec", [optuna(n_startup_trials=3), hyperopt(n_startup_jobs=3), cmaes(), cfo()], ids=repr)
def test_what_another_version_of_a_library_would_propose_does_not_change_what_was_run(
    spec, tmp_path, capsys, monkeypatch
):
    """Another seed represents another version: the search continues from the journaled proposals."""
    pytest.importorskip(spec.__class__.__module__.rpartition(".")[2])
    experiment = searching(spec, tmp_path)
    whole = experiment.run(engine="inline", quiet=True)
    half = TRIALS // 2
    monkeypatch.setattr(LibraryContext, "seed", 3)
    resumed, again = (
        experiment.resume(path=cut(whole, tmp_path / name, half), quiet=False) for name in ("one", "other")
    )
    told = capsys.readouterr().err
    assert (
        f"the searcher now proposes other configurations for {half} trials (0, 1, 2, 3, 4, 5, 6, 7, 8): "
        "the journal takes precedence" in told
    )
    assert configs(resumed)[:half] == configs(whole)[:half]
    assert configs(resumed)[half:] != configs(whole)[half:]
    assert configs(resumed) == configs(again)
    assert load(resumed.path).finished and len(configs(resumed)) == TRIALS


def test_without_its_library_a_run_is_replayed_and_read_but_not_gone_on_with(tmp_path, monkeypatch):
    pytest.importorskip("cmaes")
    whole = searching(cmaes(), tmp_path).run(engine="inline", quiet=True)
    folder = cut(whole, tmp_path, 6)
    monkeypatch.setattr(
        PackageRequirement, "unmet_reason", lambda package: f"the package {package.module} is not installed"
    )
    assert replay(folder) and len(load(folder).trials) == 6
    with pytest.raises(CompileError, match=r"E049: .*cmaes.* not installed(?s:.*)tunedsl\[cmaes\]"):
        resume(folder)

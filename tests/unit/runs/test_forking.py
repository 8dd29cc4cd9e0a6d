"""Forks share the beginning of another run, which stays as it is, and continue like it."""

from __future__ import annotations

import shutil
from pathlib import Path

import fsspec
import msgspec
import pytest

from tests.experiments import Breaker, Quadratic, quadratic_engine, searching
from tunedsl import asha, fifo, fork, hyperband, load, pbt, replay, resume
from tunedsl.backends.inline import InlineEngine
from tunedsl.base.errors import ArgumentError, Interrupted, JournalError
from tunedsl.experiment import Experiment
from tunedsl.journal import Address, Journal, repair
from tunedsl.journal.forking import PrefixCheck
from tunedsl.journal.reader import Digest
from tunedsl.journal.records import Line, to_line
from tunedsl.kernel import Amended, Proposed
from tunedsl.results import Results


def digest_until(path: object, record: int) -> str:
    journal = Journal(str(path))
    digest = Digest(journal.header)
    for line in journal.records():
        if line.e is not None and line.n <= record:
            digest.add(line.e)
    return digest.text


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def finished(e: Experiment, engine: object = None) -> Results:
    return e.run(engine=engine or quadratic_engine(), quiet=True)  # type: ignore[arg-type]


def records(path: object) -> int:
    return sum(1 for _ in Journal(str(path)).records())


def test_a_fork_at_any_event_ends_like_its_parent(tmp_path):
    parent = finished(searching(tmp_path))
    folder = Path(str(parent.path))
    before, digest = contents(folder), parent.journal.digest
    for at in range(records(parent.path)):
        new = fork(folder, at)
        assert digest_until(new, at) == digest_until(folder, at)
        results = resume(new, engine=quadratic_engine(), quiet=True)
        assert results.journal.digest == digest
        assert results.forked_from is not None
        assert (results.forked_from.run, results.forked_from.record) == (str(folder), at)
        assert results.forked_from.digest == digest_until(folder, at)
    assert contents(folder) == before
    assert parent.forked_from is None


@pytest.mark.parametrize(
    "scheduler",
    [
        asha(max_t=9, reduction_factor=3),
        hyperband(max_t=9),
        pbt(hyperparam_mutations={"x": [0.1, 0.5, 0.9]}, perturbation_interval=3),
    ],
)
def test_a_fork_of_trials_with_checkpoints_has_its_own_copies(tmp_path, scheduler):
    e = searching(tmp_path, Quadratic).scheduler(scheduler).checkpoint(every=1, keep=100)
    parent = finished(e, InlineEngine())
    folder, digest = Path(str(parent.path)), parent.journal.digest
    before = contents(folder)
    for at in range(5, records(folder), 11):
        new = Path(str(fork(folder, at)))
        assert resume(new, engine="inline", quiet=True).journal.digest == digest
        shutil.rmtree(new)
    assert contents(folder) == before


def test_trials_whose_checkpoints_the_parent_has_deleted_start_from_older_ones_or_the_beginning(tmp_path):
    e = searching(tmp_path, Quadratic).scheduler(hyperband(max_t=9)).checkpoint(every=1, keep=1)
    parent = finished(e, InlineEngine())
    amended = 0
    for at in range(5, records(parent.path), 7):
        results = resume(fork(str(parent.path), at), engine="inline", quiet=True)
        assert replay(results.path).state.finished
        assert {trial.number: list(trial.curve["loss"]) for trial in results.trials} == {
            trial.number: list(trial.curve["loss"]) for trial in parent.trials
        }
        amended += sum(isinstance(event, Amended) and bool(event.missing) for event in results.journal.events())
    assert amended


def test_a_trial_names_the_moment_before_its_proposal(tmp_path):
    parent = finished(searching(tmp_path))
    for at in ("trial 7", "trial 00007"):
        new = fork(str(parent.path), at)
        assert [event.trial for event in Journal(new).events() if isinstance(event, Proposed)] == list(range(7))
    with pytest.raises(ArgumentError, match="trial 70"):
        fork(str(parent.path), "trial 70")
    for wrong in (-1, 10_000, "7", True):
        with pytest.raises(ArgumentError, match=r"fork\.at"):
            fork(str(parent.path), wrong)


def test_a_fork_continues_by_another_experiment(tmp_path):
    e = searching(tmp_path)
    parent = finished(e)
    new = e.scheduler(fifo()).stop(training_iteration=9).samples(14)
    results = new.fork(parent.path, at="trial 6", engine=quadratic_engine(), quiet=True)
    assert [trial.config for trial in results.trials][:6] == [trial.config for trial in parent.trials][:6]
    assert len(results.trials) == 14 and replay(results.path).state.finished
    assert all(trial.iterations == 9 for trial in results.trials[6:])
    assert len(load(parent.path).trials) == 12


def test_a_fork_of_a_fork_names_both(tmp_path):
    parent = finished(searching(tmp_path))
    first = fork(str(parent.path), 40)
    resume(first, engine=quadratic_engine(), quiet=True)
    second = resume(fork(first, 50), engine=quadratic_engine(), quiet=True)
    assert second.journal.digest == parent.journal.digest
    found = second.forked_from
    assert found is not None and (found.run, found.record) == (str(first), 50)
    assert found.parent is not None and (found.parent.run, found.parent.record) == (str(parent.path), 40)


def test_a_parent_that_is_interrupted_or_runs_can_be_forked(tmp_path):
    e = searching(tmp_path)
    with pytest.raises(Interrupted) as cut:
        e.run(engine=quadratic_engine(), quiet=True, listeners=[Breaker(30)])
    new = fork(cut.value.path)
    assert records(new) == records(cut.value.path)
    ended = resume(new, engine=quadratic_engine(), quiet=True)
    assert ended.journal.digest == resume(cut.value.path, engine=quadratic_engine(), quiet=True).journal.digest


def test_damage_of_the_parent_matters_only_before_the_moment(tmp_path):
    parent = finished(searching(tmp_path))
    file = Path(str(parent.path), "journal.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    lines[40] = lines[40].replace(b"0", b"1", 1)
    file.write_bytes(b"".join(lines))
    assert resume(fork(file.parent, 39), engine=quadratic_engine(), quiet=True).finished
    before = set(tmp_path.iterdir())
    with pytest.raises(JournalError):
        fork(file.parent, 41)
    assert set(tmp_path.iterdir()) == before


def test_a_fork_whose_beginning_was_changed_is_refused(tmp_path):
    parent = finished(searching(tmp_path))
    new = Path(str(fork(str(parent.path), 40)))
    other = Path(str(fork(str(finished(searching(tmp_path).seed(8)).path), 40)))
    theirs, ours = (Path(folder, "journal.jsonl") for folder in (other, new))
    mine = ours.read_bytes()
    lines = mine.splitlines(keepends=True)
    header = msgspec.structs.replace(Journal(theirs).header, provenance=Journal(ours).header.provenance)
    ours.write_bytes(to_line(Line(0, h=header)) + b"".join(theirs.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(JournalError, match="Records 0 to 40 are not those of"):
        resume(new, engine=quadratic_engine(), quiet=True)
    ours.write_bytes(b"".join(lines[:30]))
    with pytest.raises(JournalError, match="has 30 of the 41 records"):
        replay(new)
    assert "30 of the 41" in repair(new).reason


def test_a_fork_at_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    e = searching("memory://forks", Quadratic).checkpoint(every=3)
    parent = finished(e, InlineEngine())
    files = fsspec.filesystem("memory")
    before = {name: files.cat(name) for name in files.find(str(parent.path).removeprefix("memory:/"))}
    new = fork(str(parent.path), 40)
    assert isinstance(new, Address) and new.parent == "memory://forks"
    results = resume(new, engine="inline", quiet=True)
    assert results.journal.digest == parent.journal.digest
    assert {name: files.cat(name) for name in before} == before


def test_a_header_with_an_invalid_parent_is_refused(tmp_path):
    parent = finished(searching(tmp_path))
    header = parent.journal.header
    bad = msgspec.structs.replace(header, provenance={**header.provenance, "fork": {"run": 7}})
    journal = Journal(str(parent.path))
    journal.__dict__["header"] = bad
    with pytest.raises(JournalError, match="parent cannot be read"):
        PrefixCheck(journal)

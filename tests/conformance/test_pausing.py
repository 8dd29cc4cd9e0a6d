"""Pause, promote, cull, exploit and resize on the engines of one process, with real checkpoints."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import fsspec
import pytest

from tests.experiments import Breaker, Quadratic, searching
from tests.pausing import Pausing
from tunedsl import Trainable, replay, report, trial
from tunedsl.backends import Recorded, SimulatedEngine
from tunedsl.base.errors import Interrupted
from tunedsl.journal import Journal
from tunedsl.kernel import CopyCheckpoint, DeleteCheckpoints, Pause, Reported
from tunedsl.stopping import failing


class Walk(Trainable):
    """A random walk whose next step depends on its whole state."""

    def setup(self, config, **data):
        self.random, self.at = random.Random(config["x"]), config["x"]

    def step(self):
        self.at += self.random.random()
        return {"loss": self.at}

    def save(self, folder: Path):
        (folder / "state").write_text(repr((self.random.getstate(), self.at)))

    def load(self, folder: Path):
        state, self.at = eval((folder / "state").read_text())
        self.random.setstate(state)


def curves(results):
    return {t.id: list(t.curve["loss"]) for t in results.trials}


def test_a_trial_that_is_paused_at_every_iteration_ends_as_one_that_never_was(tmp_path):
    base = searching(tmp_path, Walk).stop(training_iteration=9)
    paused = base.scheduler(Pausing()).run(engine="inline", quiet=True)
    from tunedsl import fifo

    whole = base.scheduler(fifo()).run(engine="inline", quiet=True)
    assert curves(paused) == curves(whole)
    pauses = [c for line in Journal(paused.path).records() for c in line.c if isinstance(c, Pause)]
    assert len(pauses) == 12 * 8
    assert replay(paused.path).digest == paused.journal.digest


def test_functions_go_on_through_their_checkpoint(tmp_path):
    def train(config):
        done = int((trial().checkpoint / "done").read_text()) if trial().checkpoint else 0
        assert done == trial().iteration
        for step in range(done + 1, 10):
            folder = trial().path / "mine"
            folder.mkdir(exist_ok=True)
            (folder / "done").write_text(str(step))
            report(loss=config["x"] + step, checkpoint=folder)

    results = searching(tmp_path, train).scheduler(Pausing(2)).run(engine="inline", quiet=True)
    assert all(
        curve == [t.config["x"] + s for s in range(1, 10)] for t in results.trials for curve in [curves(results)[t.id]]
    )


def test_a_function_that_saves_nothing_where_it_may_be_paused_is_told(tmp_path):
    def train(config):
        for _ in range(5):
            report(loss=1.0, checkpoint=trial().checkpoint)

    e = searching(tmp_path, train).scheduler(Pausing()).until(failing(same=0))
    results = e.run(engine="inline", quiet=True)
    assert all(error.kind == "bad_report" and "checkpoint=folder" in error.message for error in results.errors)
    assert len(results.errors) == 12


def test_paused_trials_can_be_ended(tmp_path):
    results = searching(tmp_path, Quadratic).scheduler(Pausing(3, cull_at=6)).run(engine="inline", quiet=True)
    assert [t.iterations for t in results.trials] == [6] * 12
    assert all(t.status in ("completed", "stopped") for t in results.trials)


def test_an_exploit_goes_on_from_the_donors_state(tmp_path):
    base = searching(tmp_path, Walk).stop(training_iteration=9).parallel(4).samples(4)
    results = base.scheduler(Pausing(3, exploit=3)).run(engine="inline", quiet=True)
    adopted = [c for line in Journal(results.path).records() for c in line.c if isinstance(c, CopyCheckpoint)]
    assert [c.trial for c in adopted] == [1, 3]
    assert results.trials[1].config["from"] == "0"
    donors = set(curves(results)["00000"])
    for other in ("00001", "00003"):
        assert curves(results)[other][3] in donors or curves(results)[other][3] > min(donors)
        assert curves(results)[other][3] - curves(results)["00000"][2] < 1.0001  # one step on from a donor's state
    assert replay(results.path)


def test_a_resize_reaches_the_trial(tmp_path):
    seen = []

    class Asks(Walk):
        def step(self):
            seen.append((trial().number, dict(trial().resources)))
            return super().step()

    base = searching(tmp_path, Asks).stop(training_iteration=6).samples(1)
    base.scheduler(Pausing(3, resize=3)).run(engine="inline", quiet=True)
    assert [resources["cpu"] for _, resources in seen] == [1.0] * 3 + [0.5] * 3


@pytest.mark.parametrize("after", [5, 17, 60, 111])
def test_an_interrupted_run_with_paused_trials_is_resumed(tmp_path, after):
    base = searching(tmp_path / "cut", Walk).stop(training_iteration=9).scheduler(Pausing(2))
    whole = base.store(tmp_path / "whole").run(engine="inline", quiet=True)
    with pytest.raises(Interrupted) as caught:
        base.run(engine="inline", quiet=True, listeners=[Breaker(after)])
    resumed = base.resume(path=caught.value.path, quiet=True)
    assert resumed.journal.digest == whole.journal.digest
    assert curves(resumed) == curves(whole)


def test_a_simulation_of_it_gives_the_same_journal(tmp_path):
    base = searching(tmp_path, Walk).stop(training_iteration=9).scheduler(Pausing(2, exploit=4))
    results = base.run(engine="inline", quiet=True)
    simulated = base.run(engine=SimulatedEngine(Recorded(results.path)), quiet=True)
    assert simulated.journal.digest == results.journal.digest


def test_only_what_is_needed_stays_on_disk(tmp_path):
    base = searching(tmp_path, Walk).stop(training_iteration=9)
    one = base.scheduler(Pausing(1)).run(engine="inline", quiet=True)
    left = sorted(folder.name for folder in (one.path / "trials" / "00000" / "checkpoints").iterdir())
    assert left == ["00000008"]
    two = base.scheduler(Pausing(1)).checkpoint(keep=2, best="loss").run(engine="inline", quiet=True)
    left = sorted(folder.name for folder in (two.path / "trials" / "00000" / "checkpoints").iterdir())
    assert left == ["00000001", "00000007", "00000008"]  # the newest two, and the best: a walk only grows
    assert sorted(two.trials[0].checkpoints) == [1, 7, 8]
    gone = [
        folder
        for line in Journal(two.path).records()
        for c in line.c
        if isinstance(c, DeleteCheckpoints)
        for folder in c.folders
    ]
    assert len(gone) == len(set(gone)) == 12 * 5


def test_a_donors_checkpoint_stays_while_it_is_needed(tmp_path):
    """A donor's checkpoint outlives retention: the exploiting trial fails first and is retried from it."""
    failed = []

    class Fails(Walk):
        def setup(self, config, **data):
            super().setup(config, **data)
            self.steps = 0

        def step(self):
            if trial().number == 1 and trial().iteration == 2 and trial().attempt < 4:
                failed.append(trial().attempt)
                raise OSError("not yet")
            return super().step()

    base = searching(tmp_path, Fails).stop(training_iteration=8).samples(2).parallel(2).retry(5).checkpoint(keep=1)
    results = base.scheduler(Pausing(2, exploit=2)).run(engine="inline", quiet=True)
    assert failed == [1, 2, 3] or len(failed) >= 2
    assert all(t.status == "completed" and t.iterations == 8 for t in results.trials)
    assert replay(results.path)


def test_reports_come_once_each(tmp_path):
    results = (
        searching(tmp_path, Walk).stop(training_iteration=9).scheduler(Pausing(2)).run(engine="inline", quiet=True)
    )
    seen = [(event.trial, event.first) for event in results.journal.events() if isinstance(event, Reported)]
    assert len(seen) == len(set(seen)) == 12 * 9


@pytest.mark.parametrize("address", ["memory://tuning", "file://{tmp_path}/remote"])
def test_checkpoints_at_an_address(tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    store = address.format(tmp_path=tmp_path)
    base = searching(store, Walk).stop(training_iteration=9).scheduler(Pausing(2)).samples(3)
    there = base.run(engine="inline", quiet=True)
    here = base.store(tmp_path / "here").run(engine="inline", quiet=True)
    assert curves(there) == curves(here) and there.journal.digest == here.journal.digest
    assert there.best_checkpoint == f"{store}/{there.path.name}/trials/{there.best.id}/checkpoints/00000008"
    files, root = fsspec.core.url_to_fs(store)
    assert sorted(files.find(f"{root}/{there.path.name}/trials")) == sorted(
        f"{root}/{there.path.name}/trials/{t.id}/checkpoints/00000008/state" for t in there.trials
    )


def test_storage_that_fails_is_a_failure_of_its_own_kind(tmp_path):
    class Locked(Walk):
        def save(self, folder):
            raise PermissionError(errno.EACCES, "Permission denied")

    e = searching(tmp_path, Locked).stop(training_iteration=3).checkpoint(every=1).until(failing(same=0))
    results = e.run(engine="inline", quiet=True)
    assert {error.kind for error in results.errors} == {"storage"} and len(results.errors) == 12
    assert "Permission denied" in results.errors[0].message
    assert all(t.iterations == 0 and not t.checkpoints for t in results.trials)


def test_a_file_that_did_not_change_is_stored_once(tmp_path):
    class Frozen(Walk):
        def save(self, folder):
            super().save(folder)
            (folder / "embedding").write_bytes(b"x" * 10_000)

    results = (
        searching(tmp_path, Frozen)
        .samples(1)
        .stop(training_iteration=3)
        .checkpoint(every=1)
        .run(engine="inline", quiet=True)
    )
    first, *_, last = results.best.checkpoints.values()
    assert (first / "embedding").stat().st_ino == (last / "embedding").stat().st_ino
    assert (first / "state").stat().st_ino != (last / "state").stat().st_ino

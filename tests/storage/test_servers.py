"""Journals and checkpoints on real servers: S3 and SFTP on loopback, also while they are away."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest

from tests.experiments import Quadratic, searching
from tests.said import once_said
from tests.storage.servers import S3, SFTP
from tests.storage.two_drivers import Folder, play
from tunedsl import load, replay, resume
from tunedsl.base.errors import Interrupted, JournalError, StorageError
from tunedsl.driver.driver import Listener
from tunedsl.journal import Journal, file_system, read_status, reconnect, reopen, repair
from tunedsl.journal.segments import segments_in
from tunedsl.journal.small_files import remove_object
from tunedsl.worker.checkpoints import CheckpointStorage

pytestmark = pytest.mark.slow

NEEDS = {S3: ("s3fs", "moto", "flask"), SFTP: ("paramiko",)}


def experiment(store):
    return searching(store, Quadratic).checkpoint(every=3, keep=1)


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    """Of the same run in a local folder."""
    return experiment(tmp_path_factory.mktemp("store")).run(engine="inline", quiet=True).journal.digest


@pytest.fixture(params=[S3, SFTP], ids=lambda kind: kind.protocol)
def server(request, tmp_path, monkeypatch):
    import fsspec.config

    for name in NEEDS[request.param]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install 'tunedsl[{request.param.protocol}]' moto[server]")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    monkeypatch.chdir(tmp_path)
    kind = request.param(tmp_path / "served")
    (tmp_path / "served").mkdir()
    if request.param is S3:
        import s3fs

        monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # its own patience, which comes before this package's
    monkeypatch.setitem(fsspec.config.conf, kind.protocol, kind.conf)
    kind.start()
    reconnect(kind.address)
    kind.prepare()
    yield kind
    kind.stop()
    reconnect(kind.address)


def stored(place):
    files, root = file_system(str(place))
    files.invalidate_cache()
    return [name[len(root) :].lstrip("/") for name in files.find(root)]


class After(Listener):
    """Does something once, after a number of events; the next event has commands, so it is stored at once."""

    def __init__(self, count, act):
        self.left, self.act = count, act

    def on_event(self, event, commands, state):
        self.left -= 1
        if self.left <= 0 and commands and self.act is not None:
            act, self.act = self.act, None
            act()

    def on_wait(self, state): ...
    def close(self, state): ...


def interrupted(store, after):
    """A run that ends by Ctrl+C; its address."""

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        experiment(store).run(engine="inline", quiet=True, listeners=[After(after, stop)])
    return caught.value.path


def test_a_run_lies_at_the_address_as_it_would_in_a_folder(server, digest):
    results = experiment(server.address).run(engine="inline", quiet=True)
    assert replay(results.path).digest == digest
    assert load(str(results.path)).state.startswith("finished")
    names = stored(results.path)
    assert [name for name in names if name.startswith("journal")] == [
        f"journal/000000000000-{len(list(Journal(results.path).records())) - 1:012d}.jsonl.gz"
    ], "one packed object is left of all, and no hold"
    assert sorted(name.rpartition("/")[0] for name in names if name.startswith("trials")) == sorted(
        place.removeprefix(f"{results.path}/") for trial in results for place in trial.checkpoints.values()
    )


def test_it_goes_on_where_it_was_interrupted(server, digest):
    path = interrupted(server.address, after=20)
    assert load(path).state == "interrupted"
    assert experiment(server.address).resume(engine="inline", quiet=True).journal.digest == digest
    assert resume(path, quiet=True).finished


def test_a_server_that_goes_away_is_waited_for(server, digest, capsys, monkeypatch):
    """Nothing is lost, and the wait is reported once."""
    once_said(monkeypatch, "the run is paused", act=server.start)
    results = experiment(server.address).run(engine="inline", listeners=[After(20, server.stop)])
    said = capsys.readouterr().err
    assert said.count("the run is paused") == said.count("can be written again") == 1
    assert replay(results.path).digest == digest


def test_checkpoints_wait_for_a_server_in_the_same_way(server, digest, monkeypatch):
    write, outcomes = CheckpointStorage.write, []

    def away_at_first(self, *args):
        if not outcomes:
            server.stop()
        try:
            write(self, *args)
        except StorageError:
            outcomes.append("away")
            server.start()
            raise
        outcomes.append("there")

    monkeypatch.setattr(CheckpointStorage, "write", away_at_first)
    results = experiment(server.address).run(engine="inline", quiet=True)
    assert outcomes[:2] == ["away", "there"] and "away" not in outcomes[1:]
    assert replay(results.path).digest == digest


def test_a_missing_object_is_told_and_the_rest_saved(server, digest, tmp_path, monkeypatch):
    monkeypatch.setattr("tunedsl.journal.objects.MAX_BATCH", 10**6)
    monkeypatch.setattr("tunedsl.journal.objects.ObjectWriter._pack", lambda self, pieces: False)
    path = interrupted(server.address, after=30)
    pieces = sorted(segments_in(Journal(path).path), key=lambda piece: piece.first)
    assert len(pieces) > 4
    gone = pieces[len(pieces) // 2]
    remove_object(gone.place)
    with pytest.raises(JournalError, match=f"records {gone.first} to {gone.last} are missing") as caught:
        replay(path)
    assert caught.value.record == gone.first
    saved = repair(path, tmp_path / "saved")
    assert saved.records == gone.first and saved.lost and not saved.missing
    assert resume(tmp_path / "saved", engine="inline", quiet=True).journal.digest == digest


def test_a_server_that_is_not_there_is_an_error_at_once(server):
    server.stop()
    with pytest.raises(JournalError, match="cannot be"):
        experiment(server.address).run(engine="inline", quiet=True)
    assert not [*Path("tunedsl-results").iterdir()], "an experiment that did not begin leaves nothing"


def test_two_drivers_cannot_have_it(server):
    path = interrupted(server.address, after=20)
    journal = Journal(path)
    held = reopen(journal, read_status(journal).count)
    try:
        assert load(path).state == "running"
        with pytest.raises(JournalError, match="Another driver"):
            experiment(server.address).resume(engine="inline", quiet=True)
    finally:
        held.close()


def test_a_driver_that_sleeps_while_another_one_takes_over_is_refused(server, digest, tmp_path):
    """The named case, with real processes; `python -m tests.storage.two_drivers 20` plays more."""
    if server.protocol != "s3":
        pytest.skip("one store is enough")
    calm = searching(tmp_path / "calm", Quadratic).run(engine="inline", quiet=True).journal.digest
    for seed in range(2):
        play(seed, server, tmp_path, calm)
        play(seed, Folder(tmp_path), tmp_path, calm)

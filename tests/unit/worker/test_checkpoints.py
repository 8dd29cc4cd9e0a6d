"""Checkpoints in local and remote storage: complete or absent, with no partial files left."""

from __future__ import annotations

import errno
import shutil
import tempfile
from types import SimpleNamespace

import fsspec
import pytest

from tunedsl.base.errors import StorageError
from tunedsl.base.retry import CHECKPOINT_POLICY, SLICE_SECONDS, retry_transient
from tunedsl.worker.checkpoints import CheckpointStorage

PLACE = "trials/00000/checkpoints/00000003"
NEXT = "trials/00000/checkpoints/00000006"


@pytest.fixture(params=["path", "address"])
def storage(request, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    yield CheckpointStorage(str(tmp_path / "run") if request.param == "path" else "memory://bucket/run")
    fsspec.filesystem("memory").store.clear()


def filled(folder):
    (folder / "weights").write_bytes(b"w" * 1000)
    (folder / "deep").mkdir()
    (folder / "deep" / "state").write_text("s")


def stored(storage):
    """All files by name."""
    files, root = fsspec.core.url_to_fs(storage.base)
    try:
        return {name.removeprefix(root).lstrip("/") for name in files.find(root)}
    except FileNotFoundError:
        return set()


def test_what_was_written_is_fetched_and_let_go(storage, tmp_path):
    storage.write(PLACE, filled)
    folder = storage.fetch(PLACE)
    assert (folder / "weights").read_bytes() == b"w" * 1000 and (folder / "deep" / "state").read_text() == "s"
    storage.release(folder)
    assert not list((tmp_path / "scratch").iterdir()), "a copy that was downloaded is removed"
    assert stored(storage) == {f"{PLACE}/weights", f"{PLACE}/deep/state"}


def test_one_that_fails_half_way_leaves_nothing(storage, tmp_path):
    def full(folder):
        filled(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="No space left on device"):
        storage.write(PLACE, full)
    assert stored(storage) == set() and not list((tmp_path / "scratch").iterdir())
    storage.write(PLACE, filled)
    assert f"{PLACE}/weights" in stored(storage)


def test_an_upload_that_breaks_off_leaves_nothing(monkeypatch):
    storage, files = CheckpointStorage("memory://bucket/run"), fsspec.filesystem("memory")
    put, count = type(files).put_file, []

    def breaks(self, *words, **options):
        count.append(1)
        if len(count) == 2:
            raise ConnectionError("reset by peer")
        return put(self, *words, **options)

    monkeypatch.setattr(type(files), "put_file", breaks)
    with pytest.raises(StorageError, match=r"cannot be written.*reset by peer"):
        storage.write(PLACE, filled)
    assert stored(storage) == set()
    storage.write(PLACE, filled)
    assert len(stored(storage)) == 2
    files.store.clear()


def test_one_that_is_not_there(storage, tmp_path):
    if storage.base.startswith("memory"):
        with pytest.raises(StorageError, match="is not at"):
            storage.fetch(PLACE)
    assert storage.discard([PLACE]) == [] and not list((tmp_path / "scratch").iterdir())


def test_a_run_that_goes_on_sweeps_what_no_journal_knows(storage, tmp_path):
    storage.write(PLACE, filled)
    storage.write(NEXT, filled)
    files, root = fsspec.core.url_to_fs(storage.base)
    own = ["trials/00000/metrics.csv", "trials/00000/checkpoints/mine/weights", "other/checkpoints/00000001/x"]
    half = f"{NEXT}.123-abcdef01.part/weights"
    for name in (*own, half):
        files.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        files.pipe_file(f"{root}/{name}", b"x")
    storage.sweep([PLACE])
    assert stored(storage) == {f"{PLACE}/weights", f"{PLACE}/deep/state", *own}, "what users put there stays"
    storage.discard([PLACE])
    assert stored(storage) == set(own)


def test_storage_that_is_away_keeps_what_is_to_be_discarded(monkeypatch):
    storage, files = CheckpointStorage("memory://bucket/run"), fsspec.filesystem("memory")
    storage.write(PLACE, filled)

    def away(self, *words, **options):
        raise ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(type(files), "rm", away)
        assert storage.discard([PLACE]) == [PLACE]
        storage.sweep([])
    assert storage.discard([PLACE]) == [] and stored(storage) == set()


def test_a_full_disk_is_waited_for_longer_than_other_faults():
    tries, slept, told = [], [], []

    def full():
        tries.append(1)
        if len(tries) < 40:
            raise StorageError("the checkpoint cannot be written") from OSError(errno.ENOSPC, "No space left")
        return "there"

    assert retry_transient(full, lambda: False, slept.append, told.append) == "there"
    assert sum(slept) > 5 * CHECKPOINT_POLICY.total and max(slept) <= SLICE_SECONDS
    assert told == ["the checkpoint cannot be written; its trial waits until there is room"]

    def broken():
        raise StorageError("no answer") from OSError(errno.EIO, "Input/output error")

    slept.clear()
    with pytest.raises(StorageError, match="no answer"):
        retry_transient(broken, lambda: False, slept.append, told.append)
    assert sum(slept) == pytest.approx(CHECKPOINT_POLICY.total) and len(told) == 1
    with pytest.raises(StorageError):
        retry_transient(broken, lambda: True, pytest.fail)


@pytest.mark.parametrize("error", [shutil.Error([("a", "b", "[Errno 28]")]), RuntimeError("file write failed")])
def test_a_full_disk_is_known_where_a_library_does_not_say_so(tmp_path, monkeypatch, error):
    def fails(folder):
        raise error

    with pytest.raises((StorageError, RuntimeError)) as other:
        CheckpointStorage(str(tmp_path)).write(PLACE, fails)
    assert "No space" not in str(other.value)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(StorageError, match="No space left") as full:
        CheckpointStorage(str(tmp_path)).write(PLACE, fails)
    assert full.value.__cause__.errno == errno.ENOSPC

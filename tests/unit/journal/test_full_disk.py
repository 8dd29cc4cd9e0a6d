"""A full disk: the run waits, reports it once, and continues without lost or partial records."""

from __future__ import annotations

import errno
import subprocess

import pytest

from tests.experiments import searching
from tests.journals import opened, write
from tests.plans import make_plan
from tests.said import once_said
from tunedsl import replay
from tunedsl.base.errors import JournalError
from tunedsl.journal import FileWriter, Journal, Mark, journal_file, patience
from tunedsl.journal import writer as writing


class Disk:
    """Replaces writing and syncing by those of a disk with room for `room` more bytes."""

    def __init__(self, monkeypatch, room):
        self.room, self.tries, self.say_late = room, 0, False
        self._write, self._sync = writing.write_at, writing.sync
        monkeypatch.setattr(writing, "write_at", self.write_at)
        monkeypatch.setattr(writing, "sync", self.sync)
        monkeypatch.setattr(patience, "FIRST_SECONDS", 0.01)
        monkeypatch.setattr(patience, "MAX_SECONDS", 0.01)

    def write_at(self, file, data, place):
        if self.say_late:
            return self._write(file, data, place)
        taken = min(self.room, len(data))
        if not taken:
            self.tries += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= taken
        return self._write(file, bytes(data)[:taken], place)

    def sync(self, file):
        if self.say_late and not self.room:
            self.tries += 1
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        self._sync(file)


def frees(disk, after):
    """A cancel check that frees space after `after` attempts; a waiting writer calls it."""

    def asked():
        if disk.tries >= after:
            disk.room = 10**9
        return False

    return asked


@pytest.mark.parametrize("late", [False, True], ids=["when written", "when synced"])
def test_it_waits_and_goes_on(tmp_path, monkeypatch, late):
    disk = Disk(monkeypatch, 10**9)
    monkeypatch.setattr(writing, "SYNC_SECONDS", 0.0)
    said = []
    plan = make_plan(trials=4)
    writer = FileWriter(tmp_path / "journal.jsonl", tell=said.append)
    write(writer, plan, opened(4))
    kept = (tmp_path / "journal.jsonl").read_bytes()
    disk.room, disk.say_late = (0 if late else 37), late  # some bytes of the next record still go
    writer.set_cancel_check(frees(disk, 3))
    writer.mark(Mark(note="a record that does not fit"))
    assert writer.flush() is True
    writer.mark(Mark(closed="finished"))
    assert writer.flush() is False
    writer.close()
    assert disk.tries >= 3 and len(said) == 2
    assert "the run is paused until it can" in said[0] and "goes on" in said[1]
    assert (tmp_path / "journal.jsonl").read_bytes().startswith(kept)
    assert replay(tmp_path).torn == 0 and replay(tmp_path).records == len(opened(4)) + 3


def test_nothing_half_written_stays_while_it_waits(tmp_path, monkeypatch):
    disk = Disk(monkeypatch, 10**9)
    writer = FileWriter(tmp_path / "journal.jsonl", tell=lambda text: None)
    write(writer, make_plan(trials=4), opened(4))
    size = (tmp_path / "journal.jsonl").stat().st_size
    disk.room = 10
    sizes = []

    def asked():
        sizes.append((tmp_path / "journal.jsonl").stat().st_size)
        return len(sizes) > 2

    writer.set_cancel_check(asked)
    writer.mark(Mark(note="x"))
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    assert set(sizes) == {size}
    writer.close()
    assert Journal(tmp_path).plan == make_plan(trials=4) and replay(tmp_path).torn == 0


def test_a_run_that_cannot_begin_does_not_wait(tmp_path, monkeypatch):
    Disk(monkeypatch, 0)
    with pytest.raises(JournalError, match="No space left"):
        searching(tmp_path).run(engine="inline", quiet=True)


def test_errors_that_stay_are_no_reason_to_wait(tmp_path, monkeypatch):
    disk = Disk(monkeypatch, 10**9)
    writer = FileWriter(tmp_path / "journal.jsonl")
    write(writer, make_plan(trials=4), opened(4))
    monkeypatch.setattr(disk, "write_at", None)

    def gone(*args):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(writing, "write_at", gone)
    writer.mark(Mark(note="x"))
    with pytest.raises(JournalError, match="Bad file descriptor"):
        writer.flush()
    monkeypatch.undo()
    writer.close()


def test_a_small_disk_that_is_full_for_a_while(tmp_path, capsys, monkeypatch):
    """On a real file system of 256 KiB, which another program fills and empties."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    made = subprocess.run(mount, check=False, capture_output=True)
    if made.returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        filler = disk / "filler"

        class Fill:
            count = 0

            def on_event(self, event, commands, state):
                self.count += 1
                if self.count == 15:
                    with filler.open("wb", buffering=0) as file:
                        try:
                            while True:
                                file.write(b"x" * 512)
                        except OSError:
                            pass

            def on_wait(self, state): ...
            def close(self, state): ...

        once_said(monkeypatch, "the run is paused", act=filler.unlink)
        experiment = searching(disk, note="x" * 3000)
        results = experiment.run(engine="inline", listeners=[Fill()])
        said = capsys.readouterr().err
        assert said.count("No space left on device): the run is paused") == 1 == said.count("can be written again")
        digest = searching(tmp_path / "roomy", note="x" * 3000).run(engine="inline", quiet=True).journal.digest
        proof = replay(results.path)
        assert (proof.digest, proof.torn) == (digest, 0)
        assert journal_file(results.path).read_bytes().count(b"\n") == proof.records
    finally:
        subprocess.run(["umount", str(disk)], check=True)

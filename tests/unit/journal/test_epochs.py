"""Epochs: of drivers that share a journal, each record that one acted on stays, whatever the others write and when."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from tests.experiments import searching
from tests.schedules import Schedule, begin
from tunedsl import replay, resume
from tunedsl.base.errors import JournalError, JournalTaken
from tunedsl.dashboard.watching import WatchedRun
from tunedsl.journal import (
    FileWriter,
    Journal,
    Mark,
    Tail,
    create,
    file_system,
    has_driver,
    lease,
    location_of,
    read_status,
    reopen,
    repair,
)
from tunedsl.journal.segments import chain, name_of, segments_in
from tunedsl.journal.small_files import write_object


@pytest.fixture(params=["address", "folder"])
def place(request, tmp_path):
    yield tmp_path if request.param == "folder" else location_of("memory://bucket/run")
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def no_locks(monkeypatch):
    def unsupported(descriptor: int, flags: int) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(fcntl, "flock", unsupported)


def noted(writer, text):
    writer.mark(Mark(note=text))
    writer._urgent = True
    writer.flush()


def notes(place):
    return [line.m.note for line in Journal(place).records() if line.m is not None]


SEEDS = 25
"""Of schedules; `python -m tests.schedules 200` runs more."""


def on_other_machines(monkeypatch):
    """After this, drivers that have begun are on machines that no longer answer."""
    monkeypatch.setattr(lease, "machine_id", lambda: "another machine")
    monkeypatch.setattr(lease, "STALE_SECONDS", -1.0)


def test_what_a_driver_acted_on_stays_in_every_schedule(place):
    written = 0
    for seed in range(SEEDS):
        run = place / f"run-{seed}"
        begin(run)
        written += Schedule(seed, run).run()
    assert written > SEEDS * 20


def test_a_driver_that_lost_its_claim_changes_nothing(place, no_locks, monkeypatch):
    begin(place)
    count = read_status(Journal(place)).count
    sleeper = reopen(Journal(place), count)
    noted(sleeper, "before")
    on_other_machines(monkeypatch)
    later = reopen(Journal(place), count + 1)
    with pytest.raises(JournalTaken, match="has taken over this experiment: process"):
        noted(sleeper, "while nobody has written")
    noted(later, "after")
    sleeper.close()
    assert notes(place) == ["before", "after"]
    later.close()
    assert notes(place) == ["before", "after"] and replay(place).records == count + 2
    assert not has_driver(Journal(place).path)


def test_the_same_with_a_driver_whose_lock_others_do_not_see(tmp_path, monkeypatch):
    begin(tmp_path)
    journal = Journal(tmp_path)
    count = read_status(journal).count
    sleeper, tail = reopen(journal, count), Tail(tmp_path)
    assert isinstance(sleeper, FileWriter)
    noted(sleeper, "before")
    assert len(tail.read()) == count + 1
    monkeypatch.setattr("tunedsl.journal.opening.try_lock", lambda file: None)
    on_other_machines(monkeypatch)
    later = reopen(Journal(tmp_path), count + 1)
    with pytest.raises(JournalTaken, match="has taken over"):
        noted(sleeper, "late")
    noted(later, "after")
    assert [line.m.note for line in tail.read()] == ["after"]
    with pytest.raises(JournalTaken):
        sleeper.close()
    later.close()
    assert notes(tmp_path) == ["before", "after"] and replay(tmp_path).records == count + 2


def test_a_reader_starts_again_after_it_met_a_record_of_a_fenced_driver(place, no_locks, monkeypatch):
    """It came after the later driver had listed the journal, and before the reader could see that one's records."""
    begin(place)
    count = read_status(Journal(place)).count
    sleeper, tail, shown = reopen(Journal(place), count), Tail(place), WatchedRun(place)
    noted(sleeper, "before")
    on_other_machines(monkeypatch)
    list_segments = segments_in

    def too_late(folder):
        found = list_segments(folder)
        monkeypatch.setattr("tunedsl.journal.objects.segments_in", list_segments)
        with pytest.raises(JournalTaken):
            noted(sleeper, "late")
        while tail.read():
            pass
        shown.refresh()
        return found

    monkeypatch.setattr("tunedsl.journal.objects.segments_in", too_late)
    later = reopen(Journal(place), count + 1)
    assert tail.count == shown.history.lines == count + 2
    noted(later, "after")
    noted(later, "more")
    with pytest.raises(JournalTaken, match="has taken the journal over"):
        tail.read()
    shown.refresh(wait=False)
    assert (shown.error, shown.history.lines) == ("", count + 3)
    later.close()
    assert notes(place) == ["before", "after", "more"]


def test_a_run_without_locks_is_read_and_resumed_as_any_other(tmp_path, no_locks):
    calm = searching(tmp_path / "calm").run(engine="inline", quiet=True)
    assert {item.epoch for item in segments_in(Path(calm.path) / "journal")} == {1}
    assert resume(calm.path, quiet=True).finished and not has_driver(Journal(calm.path).path)
    with pytest.raises(JournalTaken, match=rf"process {os.getpid()} on .*, since"):
        held = reopen(Journal(calm.path), read_status(Journal(calm.path)).count)
        try:
            reopen(Journal(calm.path), held.count)
        finally:
            held.close()


def test_of_two_that_claim_at_once_one_is_told_who_won(place, no_locks, monkeypatch):
    create_object = "tunedsl.journal.epochs.create_object"
    begin(place)
    count, real = read_status(Journal(place)).count, reopen.__globals__["Claims"]

    def overtaken(claim, content):
        monkeypatch.undo()
        monkeypatch.setattr(fcntl, "flock", lambda *args: (_ for _ in ()).throw(OSError(errno.ENOTSUP, "")))
        winners.append(reopen(Journal(place), count))
        raise OSError(errno.EINVAL, "At least one of the preconditions did not hold.")  # as S3 says it

    winners: list = []
    monkeypatch.setattr(create_object, overtaken)
    with pytest.raises(JournalTaken, match=rf"process {os.getpid()} on"):
        reopen(Journal(place), count)
    noted(winners[0], "won")
    winners[0].close()
    assert notes(place)[-1] == "won" and real(place).newest() is not None


RESUMES = """
import errno, fcntl, sys
from tunedsl.base.errors import JournalTaken
from tunedsl.journal import Journal, read_status, reopen

def unsupported(descriptor, flags):
    raise OSError(errno.ENOTSUP, "no locks here")

if sys.argv[2] == "no locks":
    fcntl.flock = unsupported
journal = Journal(sys.argv[1])
count = read_status(journal).count
print("ready", flush=True)
sys.stdin.readline()
try:
    writer = reopen(journal, count)
except JournalTaken as error:
    print("taken", str(error).splitlines()[0], flush=True)
else:
    print("won", flush=True)
    sys.stdin.readline()
    writer.close()
"""


@pytest.mark.parametrize("locks", ["locks", "no locks"])
def test_of_many_resumes_at_once_one_wins_and_the_others_name_it(tmp_path, locks):
    begin(tmp_path)
    words = [sys.executable, "-c", RESUMES, str(tmp_path), locks]
    some = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [each.stdout.readline() for each in some] == ["ready\n"] * 4
    for each in some:
        each.stdin.write("\n")
        each.stdin.flush()
    said = [each.stdout.readline() for each in some]
    assert said.count("won\n") == 1, said
    drivers = "|".join(str(each.pid) for each in some)  # who held the journal at that moment may have lost it since
    assert sum(re.search(rf"this experiment: process ({drivers}) on", line) is not None for line in said) == 3, said
    for each in some:
        each.communicate("\n", timeout=100)
    assert not has_driver(Journal(tmp_path).path) and replay(tmp_path).torn == 0


def test_a_journal_that_was_taken_since_it_was_read_is_not_continued(place, no_locks):
    begin(place)
    journal = Journal(place)
    count = read_status(journal).count
    other = reopen(Journal(place), count)
    noted(other, "x")
    other.close()
    with pytest.raises(JournalTaken, match="has written to the journal since it was read"):
        reopen(journal, count)
    reopen(Journal(place), count + 1).close()


def test_readers_follow_the_newest_epoch(tmp_path):
    """The records of the second epoch after 14 were never acted on, nor was what the third one wrote."""
    names = [(0, 9, 0, 0), (5, 9, 0, 0), (10, 14, 2, 0), (15, 30, 2, 2), (15, 17, 3, 2), (15, 16, 4, 2), (17, 20, 4, 4)]
    for first, last, epoch, previous in names:
        (tmp_path / name_of(first, last, epoch=epoch, previous=previous)).touch()
    found = [(item.first, item.end, item.epoch) for item in chain(segments_in(tmp_path))]
    assert found == [(0, 9, 0), (10, 14, 2), (15, 16, 4), (17, 20, 4)]
    (tmp_path / name_of(3, 30, epoch=2)).touch()  # packed late, with what was never acted on
    found = [(item.first, item.end, item.epoch) for item in chain(segments_in(tmp_path), 4)]
    assert found == [(3, 14, 2), (15, 16, 4), (17, 20, 4)]
    (tmp_path / name_of(3, 30, epoch=2)).unlink()
    (tmp_path / name_of(10, 14, epoch=2)).unlink()
    with pytest.raises(JournalError, match="records 10 to 14 are missing"):
        list(chain(segments_in(tmp_path)))


class TestRepair:
    """Journals from before epochs, in which two drivers have written at once."""

    @pytest.fixture
    def faulty(self, place, tmp_path):
        """The first driver continued from record 150 while the second one took over there."""
        if isinstance(place, Path):
            pytest.skip("only addresses had this fault")
        whole = searching(tmp_path / "calm").run(engine="inline", quiet=True)
        lines = [line for line, _ in Journal(whole.path).raw()]
        begin(place)
        files, root = file_system(place)
        files.rm(root, recursive=True)
        cut = len(lines) // 2
        self.put(place, 0, lines[: cut - 10])
        self.put(place, cut - 10, lines[cut - 10 : cut + 7])
        self.put(place, cut + 7, lines[cut + 7 : cut + 20])
        return place, lines, cut, whole.journal.digest

    def put(self, place, first, lines):
        write_object(place / "journal" / name_of(first, first + len(lines) - 1), b"".join(lines))

    def test_the_records_of_the_later_driver_are_saved(self, faulty, tmp_path):
        place, lines, cut, digest = faulty
        writer = create(tmp_path / "taken.jsonl")
        for line in lines[:cut]:
            writer.copy(line)
        writer.mark(Mark(opened={"engine": "inline"}))
        for number in range(9):
            writer.mark(Mark(note=f"later {number}"))
        writer.close()
        self.put(place, cut, [line for line, _ in Journal(tmp_path / "taken.jsonl").raw()][cut:])
        with pytest.raises(JournalError, match="repeats records of an earlier one"):
            replay(place)
        saved = repair(place, tmp_path / "saved")
        assert saved.records == cut + 10 and "Two drivers wrote" in saved.reason
        assert resume(tmp_path / "saved", engine="inline", quiet=True).journal.digest == digest

"""Journals in pieces: packed segments in a folder, numbered objects in remote storage, and both after crashes."""

from __future__ import annotations

import gzip
import shutil
import time

import fsspec
import pytest

from tests.experiments import searching
from tests.journals import opened, reported, whole, write
from tests.plans import make_plan
from tunedsl import load, replay, resume
from tunedsl.base.errors import ArgumentError, JournalError
from tunedsl.base.retry import RetryPolicy
from tunedsl.cli.commands import cli
from tunedsl.journal import (
    FileWriter,
    Journal,
    Mark,
    create,
    file_system,
    journal_file,
    location_of,
    objects,
    read_status,
    reopen,
    repair,
    segments,
)
from tunedsl.journal import writer as writing
from tunedsl.journal.segments import chain, name_of, segments_in
from tunedsl.kernel import Reported, Started, initial, step


@pytest.fixture(autouse=True)
def empty():
    yield
    fsspec.filesystem("memory").store.clear()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole run in a folder."""
    return searching(tmp_path_factory.mktemp("store")).run(engine="inline", quiet=True)


def small(monkeypatch):
    """Segments are closed after some records."""
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 2000)


class TestFolder:
    def test_what_has_grown_is_packed_and_read_as_before(self, tmp_path, monkeypatch, run):
        small(monkeypatch)
        results = searching(tmp_path).run(engine="inline", quiet=True)
        pieces = segments_in(results.path / "journal")
        assert len(pieces) > 3 and all(piece.packed for piece in pieces)
        assert journal_file(results.path).stat().st_size < 4000
        assert replay(results.path).digest == results.journal.digest == run.journal.digest
        assert [trial.config for trial in load(results.path)] == [trial.config for trial in run]

    def test_a_run_goes_on_behind_its_segments(self, tmp_path, monkeypatch, run):
        lines = journal_file(run.path).read_bytes().splitlines(keepends=True)
        cut = len(lines) * 2 // 3
        (tmp_path / "journal").mkdir()
        place = tmp_path / "journal" / name_of(0, cut - 6, packed=True)
        place.write_bytes(segments.packed(b"".join(lines[: cut - 5])))
        journal_file(tmp_path).write_bytes(b"".join(lines[cut - 5 : cut]) + b'{"n":')
        assert replay(tmp_path).torn == 5
        assert resume(tmp_path, engine="inline", quiet=True).journal.digest == run.journal.digest
        assert replay(tmp_path).torn == 0

    def test_a_driver_that_died_before_it_emptied_the_file(self, tmp_path, run):
        lines = journal_file(run.path).read_bytes().splitlines(keepends=True)[:30]
        (tmp_path / "journal").mkdir()
        for first, end in ((0, 10), (10, 30)):
            content = segments.packed(b"".join(lines[first:end]))
            (tmp_path / "journal" / name_of(first, end - 1, packed=True)).write_bytes(content)
        (tmp_path / "journal" / "000000000030-000000000040.jsonl.gz.part").write_bytes(b"x")
        journal_file(tmp_path).write_bytes(b"".join(lines[10:]))
        assert replay(tmp_path).records == 30
        assert resume(tmp_path, engine="inline", quiet=True).journal.digest == run.journal.digest
        journal_file(tmp_path).write_bytes(b"".join(lines[10:29]))
        with pytest.raises(JournalError, match="begins with record 10, which is already in a segment") as caught:
            replay(tmp_path)
        assert caught.value.record == 10

    def test_a_missing_segment_is_told(self, tmp_path, monkeypatch):
        small(monkeypatch)
        results = searching(tmp_path).run(engine="inline", quiet=True)
        pieces = sorted(segments_in(results.path / "journal"), key=lambda piece: piece.first)
        for gone in (pieces[0], pieces[2], pieces[-1]):
            content = gone.place.read_bytes()
            gone.place.unlink()
            with pytest.raises(JournalError, match=f"records {gone.first} to {gone.last} are missing") as caught:
                replay(results.path)
            assert caught.value.record == gone.first
            gone.place.write_bytes(content)
        assert replay(results.path).state.finished

    def test_packing_that_fails_costs_nothing(self, tmp_path, monkeypatch, run):
        small(monkeypatch)

        def full(folder):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(writing, "sync_folder", full)
        results = searching(tmp_path).run(engine="inline", quiet=True)
        assert replay(results.path).digest == run.journal.digest

    def test_it_can_be_read_while_it_is_written(self, tmp_path, monkeypatch):
        """At each moment, also between two steps of packing, a reader sees a part from the beginning."""
        small(monkeypatch)
        writer = FileWriter(tmp_path / "journal.jsonl")
        plan = make_plan(trials=4, parallel=4)
        write(writer, plan, opened(4))
        sync, seen = writing.sync_folder, []
        monkeypatch.setattr(
            writing, "sync_folder", lambda folder: (sync(folder), seen.append(replay(tmp_path).records))
        )
        for number in range(60):
            writer.mark(Mark(note=f"number {number}"))
            writer.flush()
            assert replay(tmp_path).records == writer.count
        writer.close()
        assert len(seen) >= 2 and seen == sorted(seen)


class TestAddress:
    def folder(self):
        return location_of("memory://bucket/run")

    def names(self):
        files, root = file_system(self.folder() / "journal")
        return sorted(item.rpartition("/")[2] for item in files.find(root))

    def test_objects_are_packed_as_they_collect(self, monkeypatch):
        monkeypatch.setattr(objects, "MAX_BATCH", 4)
        plan = make_plan(trials=4, parallel=4)
        writer = create(self.folder())
        write(writer, plan, opened(4))
        for number in range(200):
            writer.mark(Mark(note=f"number {number}"))
            writer._urgent = True
            writer.flush()
            assert len(self.names()) <= 4 * 5
            assert read_status(Journal(self.folder())).count == writer.count
        assert any(name.endswith(".gz") for name in self.names())
        writer.close()
        assert self.names() == [name_of(0, writer.count - 1, packed=True)]
        assert replay(self.folder()).records == writer.count

    def test_what_is_large_enough_is_closed_for_good(self, monkeypatch):
        monkeypatch.setattr(objects, "MAX_BATCH", 4)
        monkeypatch.setattr(objects, "CLOSED_BYTES", 3000)
        writer = create(self.folder())
        write(writer, make_plan(trials=4, parallel=4), opened(4))
        for number in range(100):
            writer.mark(Mark(note=f"number {number}" + "x" * 100))
            writer._urgent = True
            writer.flush()
        writer.close()
        assert 2 < len(self.names()) < 12
        assert replay(self.folder()).records == writer.count

    def test_what_makes_nobody_act_waits_for_company(self, monkeypatch):
        monkeypatch.setattr(objects, "LINGER_SECONDS", 1000.0)
        plan, events = make_plan(trials=4, parallel=4), [*opened(4), *whole(0, [])[:1]]
        writer, state = create(self.folder()), initial(plan)
        write(writer, plan, events)
        for event in events:
            state, _ = step(plan, state, event)
        count = read_status(Journal(self.folder())).count
        for event in (Started(0.0, 1, 0), reported(0, [0.5])):
            state, commands = step(plan, state, event)
            writer.event(event, commands)
            assert not commands and writer.flush() is False
            assert read_status(Journal(self.folder())).count == count
        ends = Reported(2.0, 0, 2, ("loss",), ((0.1,),), (2.0,), ends="rule")
        writer.event(ends, step(plan, state, ends)[1])
        writer.flush()
        assert read_status(Journal(self.folder())).count == count + 3
        writer.close()

    def test_it_goes_on_and_drops_what_a_crash_left(self, monkeypatch, run):
        lines = journal_file(run.path).read_bytes().splitlines(keepends=True)
        files, root = file_system(self.folder())
        for first, end in ((0, 10), (10, 12), (12, 20)):
            files.pipe_file(f"{root}/journal/{name_of(first, end - 1)}", b"".join(lines[first:end]))
        content = segments.packed(b"".join(lines[:12]))
        files.pipe_file(f"{root}/journal/{name_of(0, 11, packed=True)}", content)  # and nothing removed yet
        assert replay(self.folder()).records == 20
        writer = reopen(Journal(self.folder()), 20)
        seal = name_of(19, 19, epoch=1)
        assert self.names() == [name_of(0, 11, packed=True), name_of(12, 19), seal]
        writer.close()
        assert resume(str(self.folder()), engine="inline", quiet=True).journal.digest == run.journal.digest

    def test_it_can_be_packed_while_it_is_read(self, run):
        """A reader looks for a removed object in the one that it was packed into."""
        lines = journal_file(run.path).read_bytes().splitlines(keepends=True)
        files, root = file_system(self.folder())
        for first in range(0, 40, 10):
            files.pipe_file(f"{root}/journal/{name_of(first, first + 9)}", b"".join(lines[first : first + 10]))
        records = Journal(self.folder()).records()
        seen = [next(records) for _ in range(15)]
        files.pipe_file(f"{root}/journal/{name_of(0, 39, packed=True)}", segments.packed(b"".join(lines[:40])))
        for first in range(0, 40, 10):
            files.rm_file(f"{root}/journal/{name_of(first, first + 9)}")
        seen += records
        assert [line.n for line in seen] == list(range(40))

    def test_storage_that_is_away_is_waited_for(self, monkeypatch):
        said, failures = [], [ConnectionError("gone"), TimeoutError("still"), OSError("nearly")]
        writer = objects.ObjectWriter(self.folder() / "journal", notify=said.append)
        write(writer, make_plan(trials=4), opened(4))
        put = objects.write_object

        def away(place, content):
            if failures:
                raise failures.pop(0)
            put(place, content)

        monkeypatch.setattr(objects, "write_object", away)
        monkeypatch.setattr("tunedsl.base.retry.JOURNAL_POLICY", RetryPolicy(initial=0.01))
        writer.mark(Mark(note="x"))
        writer._urgent = True
        began = time.monotonic()
        assert writer.flush() is True and time.monotonic() - began >= 0.05
        assert len(said) == 2 and "gone" in said[0]
        monkeypatch.setattr(objects, "write_object", lambda place, content: 1 / 0)
        writer.mark(Mark(note="y"))
        writer.close()  # reports what it could not store, and releases the lease
        assert "ZeroDivisionError" in said[2]
        assert replay(self.folder()).records == len(opened(4)) + 2

    def test_a_chain_has_no_gap_and_no_overlap(self):
        def piece(first, last):
            return segments.Segment(first, last, self.folder() / name_of(first, last), False)

        assert [(p.first, p.last) for p in chain([piece(5, 9), piece(0, 4), piece(0, 2), piece(3, 4)])] == [
            (0, 4),
            (5, 9),
        ]
        with pytest.raises(JournalError, match="records 5 to 6 are missing"):
            list(chain([piece(0, 4), piece(7, 9)]))
        with pytest.raises(JournalError, match="The segment repeats records of an earlier one, from 3"):
            list(chain([piece(0, 4), piece(3, 9)]))


class TestRepair:
    def damaged(self, run, tmp_path, at):
        folder = tmp_path / "run"
        shutil.copytree(run.path, folder)
        lines = journal_file(folder).read_bytes().splitlines(keepends=True)
        lines[at] = lines[at].replace(b"0.", b"1.", 1) if b"0." in lines[at] else b"x" + lines[at]
        journal_file(folder).write_bytes(b"".join(lines))
        return folder, len(lines)

    def test_what_is_provable_is_saved_and_the_rest_is_told(self, run, tmp_path):
        folder, count = self.damaged(run, tmp_path, 20)
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        saved = repair(folder)
        assert saved.folder == tmp_path / "run-repaired" and saved.records == 20 and saved.lost == count - 21
        assert "record 20 and all after it" in str(saved) and "not verified" in str(saved)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        ours, theirs = (journal_file(path).read_bytes().splitlines() for path in (saved.folder, run.path))
        assert ours == theirs[:20]
        assert resume(saved.folder, engine="inline", quiet=True).journal.digest == run.journal.digest

    def test_a_decision_that_is_not_the_kernels_ends_what_is_provable(self, run, tmp_path):
        from tests.replay.test_golden import GOLDEN

        (file,) = [file for file in GOLDEN if file.stem == "divergent"]
        saved = repair(file, tmp_path / "saved")
        assert "decision differs" in saved.reason and replay(tmp_path / "saved").records == saved.records > 0

    def test_checkpoints_go_along(self, tmp_path):
        from tests.conformance.test_pausing import Walk
        from tunedsl import hyperband

        experiment = searching(tmp_path / "store", Walk).scheduler(hyperband(max_t=9))
        whole_run = experiment.run(engine="inline", quiet=True)
        folder = tmp_path / "run"
        shutil.copytree(whole_run.path, folder)
        assert list(folder.glob("trials/*/checkpoints/*"))
        saved = repair(folder, tmp_path / "saved")
        assert "nothing was lost" in str(saved) and not saved.missing
        ours = {path.relative_to(saved.folder) for path in saved.folder.glob("trials/*/checkpoints/*/*")}
        assert ours == {path.relative_to(folder) for path in folder.glob("trials/*/checkpoints/*/*")}
        shutil.rmtree(folder / "trials")
        assert repair(folder, tmp_path / "again").missing

    def test_to_an_address_and_from_there(self, run, tmp_path):
        folder, _ = self.damaged(run, tmp_path, 20)
        saved = repair(folder, "memory://bucket/saved")
        assert replay("memory://bucket/saved").records == 20
        assert repair("memory://bucket/saved", tmp_path / "back").records == 20
        assert resume("memory://bucket/saved", engine="inline", quiet=True).journal.digest == run.journal.digest
        assert saved.folder == "memory://bucket/saved"

    def test_nothing_is_written_over_and_nothing_made_up(self, run, tmp_path):
        with pytest.raises(ArgumentError, match="not empty"):
            repair(run.path, run.path)
        folder, _ = self.damaged(run, tmp_path, 0)
        with pytest.raises(JournalError):
            repair(folder, tmp_path / "nothing")
        assert not (tmp_path / "nothing").exists()

    def test_by_the_terminal(self, run, tmp_path):
        from click.testing import CliRunner

        folder, _ = self.damaged(run, tmp_path, 20)
        done = CliRunner().invoke(cli, ["repair", str(folder), "--to", str(tmp_path / "saved")])
        assert done.exit_code == 0 and "saved 20 records" in done.output
        assert CliRunner().invoke(cli, ["replay", str(tmp_path / "saved")]).exit_code == 0
        assert CliRunner().invoke(cli, ["show", str(folder)]).exit_code == 3


def test_a_segment_that_is_not_what_its_name_says(tmp_path, run):
    lines = journal_file(run.path).read_bytes().splitlines(keepends=True)
    place = tmp_path / "journal" / name_of(0, 9, packed=True)
    place.parent.mkdir()
    good = segments.packed(b"".join(lines[:10]))
    for content in (good[:-9], good[:40] + b"\xff" + good[41:], b"", b"plain", gzip.compress(b"".join(lines[:9])),
                    gzip.compress(b"".join(lines[:11])), good + b"x"):  # fmt: skip
        place.write_bytes(content)
        with pytest.raises(JournalError) as caught:
            replay(tmp_path)
        assert caught.value.record is not None and str(place) in str(caught.value)
    place.write_bytes(good)
    assert replay(tmp_path).records == 10

"""Untrusted journals and plans: they run no code, stay in their folder, and use memory in proportion to their size."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs
import fsspec
import msgspec
import pytest

from tests.experiments import Quadratic, searching
from tests.journals import opened, whole, write
from tests.plans import make_plan
from tests.replay.fuzz import sealed
from tunedsl import load, pbt, replay, resume, space, uniform
from tunedsl.base import codec
from tunedsl.base.errors import CodecError, JournalError, StorageError, TunedslError
from tunedsl.base.references import FunctionRef, forbid_imports
from tunedsl.cli.commands import cli
from tunedsl.journal import FORMAT, FileWriter, Header, Journal, Line, MemoryWriter, journal_file, read_status, reopen
from tunedsl.journal.records import MAX_WIDTH, from_line, to_line
from tunedsl.journal.segments import MAX_LINE, name_of
from tunedsl.kernel import CapacityChanged, DeleteCheckpoints, Proposed, Reported, Saved, Started, initial, step
from tunedsl.plan import Plan
from tunedsl.results.trial_history import RunHistory
from tunedsl.schedulers.asha import Asha
from tunedsl.worker.checkpoints import CheckpointStorage, _below

NAMES = ["../evil", "..", "/etc/cron.d/evil", "a/b", "a\\b", "C:evil", "nul", "x\0y", "-rf", ".hidden", "y" * 300, "~"]
PLACES = ["../evil", "/etc", "trials/../../evil", "trials//x", "trials/00000/../../..", "trials/nul/x", "", "s3://b/x"]


def journal_of(events, plan=None, **provenance):
    """A well-formed journal with right checksums."""
    plan = plan or make_plan(trials=4)
    lines = [Line(0, h=Header(FORMAT, codec.encode(plan), plan.digest, provenance))]
    lines += [Line(number, e=event) for number, event in enumerate(events, 1)]
    return [to_line(line) for line in lines]


def refused(events, match):
    lines = journal_of(events)
    for read in (lambda: list(Journal(lines).records()), lambda: replay(Journal(lines))):
        with pytest.raises(JournalError, match=match) as caught:
            read()
        assert caught.value.record is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_is_named_like_a_folder(name):
    refused([Proposed(0.0, 0, {"x": 0.5}, name)], "not a valid name of a trial")


@pytest.mark.parametrize("place", PLACES)
def test_a_checkpoint_lies_below_the_experiment(place):
    row = (("loss",), ((0.5,),), (1.0,))
    refused([Saved(0.0, 0, 1, place)], "not a checkpoint inside")
    if place:
        refused([Reported(0.0, 0, 1, *row, saved=place)], "not a checkpoint inside")
    line = to_line(Line(1, e=CapacityChanged(0.0, 1), c=(DeleteCheckpoints((place,)),)))
    with pytest.raises(TunedslError, match="not a checkpoint inside"):
        from_line(line[:-1], 1)


def test_a_name_is_given_once():
    two = [CapacityChanged(0.0, 2), Proposed(0.0, 0, {"x": 0.5}, "a"), Proposed(0.0, 1, {"x": 0.5}, "a")]
    plan = make_plan(trials=4)
    writer = MemoryWriter()
    write(writer, plan, two)
    with pytest.raises(JournalError, match="second trial is named"):
        replay(Journal(writer.lines))


@pytest.mark.parametrize("width", [MAX_WIDTH + 1, 10**12, -1])
def test_a_width_is_within_reason(width):
    refused([CapacityChanged(0.0, width)], "concurrent trials")
    with pytest.raises(JournalError, match="concurrent trials"):
        MemoryWriter().event(CapacityChanged(0.0, 10**12), [])


def test_a_trial_is_one_that_was_asked_for():
    plan = make_plan(trials=4)
    for number in (10**12, -1, 4):
        writer = MemoryWriter()
        write(writer, plan, [CapacityChanged(0.0, 1)])
        writer.event(Proposed(0.0, number, {"x": 0.5}, "a"), [])
        with pytest.raises(JournalError, match="was not requested"):
            replay(Journal(writer.lines))


@pytest.mark.parametrize(
    "report",
    [
        Reported(0.0, 0, 1, ("loss",), ((0.5, 0.6),), (1.0,)),
        Reported(0.0, 0, 1, ("loss",), ((0.5,),), (1.0, 2.0)),
        Reported(0.0, 0, 1, ("loss",), (), ()),
        Reported(0.0, 0, 1, ("loss",), (("0.5",),), (1.0,)),
        Reported(0.0, 0, 1, ("loss",), (("__import__('os')",),), (1.0,)),
        Reported(0.0, 0, 1, ("loss",), ((0.5,),), (1.0,), data=({}, {})),
    ],
)
def test_a_report_is_a_table_of_numbers(report):
    refused([report], "number|rows")


def test_an_iteration_follows_the_one_before():
    for first in (2, 10**15, 0):
        writer = MemoryWriter()
        write(writer, make_plan(trials=4), [*opened(1), *whole(0, [])[:1]])
        writer.event(Reported(1.0, 0, first, ("loss",), ((0.5,),), (1.0,)), [])
        with pytest.raises(JournalError, match="reports iteration"):
            replay(Journal(writer.lines))


def test_a_number_of_many_digits_and_deep_nesting_are_no_records():
    line = to_line(Line(1, e=Reported(0.0, 0, 1, ("loss",), ((0.5,),), (1.0,))))
    for other in (b"1" + b"0" * 400, b"1" + b"0" * 100_000, b"[" * 100_000 + b"]" * 100_000):
        with pytest.raises(TunedslError):
            from_line(sealed(line.replace(b"[[0.5]]", b"[[" + other + b"]]"))[:-1], 1)
    deep = '{"a":' * 900 + "0" + "}" * 900
    with pytest.raises(CodecError):
        codec.from_json('{"$value":["Plan",' + deep + "]}")
    with pytest.raises((CodecError, JournalError)):
        Plan.from_json("[" * 100_000 + "]" * 100_000)


# Files that are not regular


def test_a_device_a_pipe_and_a_folder_are_no_journals(tmp_path):
    for number, make in enumerate([lambda p: p.symlink_to("/dev/zero"), os.mkfifo, Path.mkdir]):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / "journal.jsonl")
        with pytest.raises(JournalError, match="is not a regular file"):
            load(folder)


def test_a_run_does_not_go_on_through_a_link(tmp_path):
    """Reading follows it; writing would change a file elsewhere."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    writer = FileWriter(journal_file(one))
    write(writer, make_plan(trials=4), opened(2))
    writer.close()
    journal_file(two).symlink_to(journal_file(one))
    journal = Journal(two)
    with pytest.raises(JournalError, match="cannot be opened"):
        reopen(journal, read_status(journal).count)


def test_a_line_without_an_end_is_not_read_whole(tmp_path):
    """A sparse file of 1 TB uses no disk space, but would use 1 TB of memory."""
    with journal_file(tmp_path).open("wb") as file:
        file.truncate(2**40)
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
from tunedsl import load
import tunedsl.journal.reader
tunedsl.journal.reader.MAX_LINE = 2**24
from tunedsl.base.errors import JournalError
try:
    load({str(tmp_path)!r})
except JournalError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert "a line of more than 16,777,216 bytes" in done.stdout and MAX_LINE <= 2**28


def test_a_packed_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """A gigabyte of zeros packs into a megabyte; so do many lines behind the last one."""
    monkeypatch.setattr("tunedsl.journal.segments.MAX_LINE", 2**20)
    (tmp_path / "journal").mkdir()
    place = tmp_path / "journal" / name_of(0, 1, packed=True)
    place.write_bytes(gzip.compress(b"\0" * 2**25))
    with pytest.raises(JournalError, match="The segment ends before"):
        load(tmp_path)
    lines = b"".join(journal_of([CapacityChanged(0.0, 1)]))
    place.write_bytes(gzip.compress(lines + b"\n" * 2**22))
    with pytest.raises(JournalError, match="continues after"):
        list(Journal(tmp_path).records())


# Links below the folder


def test_checkpoints_are_not_looked_for_behind_links(tmp_path):
    secret, root = tmp_path / "secret", tmp_path / "run"
    (secret / "checkpoints" / "00000001").mkdir(parents=True)
    (secret / "checkpoints" / "00000001" / "file").write_text("kept")
    (root / "trials").mkdir(parents=True)
    (root / "trials" / "00000").symlink_to(secret)
    storage, place = CheckpointStorage(str(root)), "trials/00000/checkpoints/00000001"
    with pytest.raises(StorageError, match="is not inside"):
        storage.fetch(place)
    with pytest.raises(StorageError, match="is not inside"):
        storage.write(place, lambda folder: None)
    with pytest.raises(StorageError, match="is not inside"):
        storage.where(place)
    assert storage.discard([place]) == [place]
    storage.sweep([])
    assert (secret / "checkpoints" / "00000001" / "file").read_text() == "kept"


def test_objects_with_names_that_climb_are_no_checkpoint(tmp_path, monkeypatch):
    files = fsspec.filesystem("memory")
    monkeypatch.setattr(type(files), "find", lambda self, root: [f"{root}/fine", f"{root}/../../../evil"])
    storage = CheckpointStorage("memory://climb")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(StorageError, match="not a file of a checkpoint"):
        storage.fetch("trials/0/checkpoints/1")
    assert not list(tmp_path.iterdir())
    for name in ("/r/../x", "/r/a/../../x", "/r//x/..", "/elsewhere/x", "/r/a\\..\\x", "/r/a\0"):
        with pytest.raises(StorageError, match="not a file of a checkpoint"):
            _below("/r", name)
    assert _below("/r", "/r/a/b") == "a/b"


# Code


def test_functions_of_a_plan_are_not_imported_by_reading(tmp_path, monkeypatch):
    """An untrusted module next to the journal, named as a scheduler's function."""
    (tmp_path / "strange_module.py").write_text(
        "import pathlib; pathlib.Path('ran').touch()\ndef explore(config): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for reference in ("strange_module:explore", "os:system", "shutil:rmtree"):
        spec = pbt(perturbation_interval=1, hyperparam_mutations={"x": uniform(0, 1)})
        spec = attrs.evolve(spec, custom_explore_fn=FunctionRef(reference, "0" * 16))
        plan = make_plan(scheduler=spec, trials=4, parallel=4)
        writer, state = MemoryWriter(), initial(plan)
        writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
        places = [f"trials/{trial:05d}/checkpoints/00000001" for trial in range(4)]
        values = [
            Reported(1.0, at, 1, ("loss",), ((float(at),),), (1.0,), True, "", place) for at, place in enumerate(places)
        ]
        with pytest.raises(CodecError):  # the kernel asks for the function where one trial takes over from another
            for event in [*opened(4), *(Started(0.0, trial, 0) for trial in range(4)), *values]:
                writer.event(event, [])
                with forbid_imports():
                    state, commands = step(plan, state, event)
                writer.lines[-1] = to_line(Line(writer.count - 1, e=event, c=tuple(commands)))
        with pytest.raises(JournalError, match=r"reading imports nothing|part of Python") as caught:
            replay(Journal(writer.lines))
        assert caught.value.record == writer.count - 1
        assert len(RunHistory.of(Journal(writer.lines)).records) == 4
    assert not (tmp_path / "ran").exists() and "strange_module" not in sys.modules


def test_a_script_that_came_with_a_journal_is_not_run(tmp_path):
    from click.testing import CliRunner

    script = tmp_path / "store" / "evil_script.py"
    script.parent.mkdir()
    script.write_text("import pathlib; pathlib.Path(__file__).with_name('ran').touch()\n")
    folder = tmp_path / "store" / "run"
    folder.mkdir()
    journal_file(folder).write_bytes(b"".join(journal_of(opened(1), script=str(script))))
    done = CliRunner().invoke(cli, ["resume", str(folder), "--engine", "inline"])
    assert done.exit_code == 2 and "is next to it" in done.output
    for words in (["show"], ["why"], ["replay"], ["repair"]):
        CliRunner().invoke(cli, [*words, str(folder)])
    assert not (script.parent / "ran").exists()


def test_a_journal_does_not_say_where_checkpoints_are(tmp_path):
    """Otherwise it could fetch untrusted files, which user code may unpickle, or send the user's files away."""
    folder = searching(tmp_path, Quadratic).run(engine="inline", quiet=True).path
    lines = journal_file(folder).read_bytes().splitlines(keepends=True)
    header = from_line(lines[0][:-1], 0).h
    assert header is not None
    elsewhere = {**header.provenance, "storage": "memory://elsewhere/run"}
    lines[0] = to_line(Line(0, h=msgspec.structs.replace(header, provenance=elsewhere)))
    journal_file(folder).write_bytes(b"".join(lines[:20]))
    with pytest.raises(JournalError, match="as the location of its checkpoints"):
        resume(folder, engine="inline", quiet=True)
    with pytest.raises(JournalError, match="as the location of its checkpoints"):
        searching(tmp_path, Quadratic).resume(folder, engine="inline", quiet=True)
    assert searching("memory://elsewhere", Quadratic).resume(folder, engine="inline", quiet=True).finished


@pytest.mark.parametrize("spec", [{"reduction_factor": 1 + 1e-12}, {"brackets": 10**12}])
def test_a_plan_does_not_ask_for_endless_rungs(spec):
    plan = attrs.evolve(make_plan(trials=10**12, parallel=4), scheduler=Asha(max_t=10**12, **spec))
    with pytest.raises(JournalError, match=r"plan cannot begin.*milestones") as caught:
        replay(Journal(journal_of(opened(2), plan)))
    assert caught.value.record == 0


def test_passwords_are_kept_out_of_journals():
    with pytest.raises(TunedslError, match="password"):
        space(x=uniform(0, 1)).store("sftp://user:secret@host/tuning")
    space(x=uniform(0, 1)).store("sftp://user@host/tuning")

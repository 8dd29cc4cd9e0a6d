"""A changed journal is refused with its location; a truncated one is read up to the cut."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.experiments import searching
from tunedsl import load, replay
from tunedsl.base.errors import Divergence, JournalError
from tunedsl.journal import Journal, journal_file
from tunedsl.journal.records import from_line, to_line


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return searching(tmp_path_factory.mktemp("store")).run(engine="inline", quiet=True).path


def copy(path, tmp_path):
    shutil.copytree(path, tmp_path / "copy")
    return tmp_path / "copy"


def test_any_changed_digit_is_found_and_its_record_named(path, tmp_path):
    folder = copy(path, tmp_path)
    whole = journal_file(folder).read_bytes()
    starts = [0, *[place + 1 for place, byte in enumerate(whole) if byte == 10][:-1]]
    digits = [place for place, byte in enumerate(whole) if chr(byte).isdigit()]
    chooser = random.Random(0)
    for place in chooser.sample(digits, 200):
        other = chooser.choice([digit for digit in b"0123456789" if digit != whole[place]])
        journal_file(folder).write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
        record = max(number for number, start in enumerate(starts) if start <= place)
        with pytest.raises(JournalError) as caught:
            replay(folder)
        assert caught.value.record == record


def test_a_torn_tail_is_cut_and_said(path, tmp_path):
    folder = copy(path, tmp_path)
    whole = journal_file(folder).read_bytes()
    records = len(list(Journal(path).records()))
    journal_file(folder).write_bytes(whole[:-10])
    proof = replay(folder)
    assert proof.records == records - 1 and proof.torn > 0 and "torn tail" in str(proof)


def test_missing_and_doubled_records_are_damage(path, tmp_path):
    folder = copy(path, tmp_path)
    lines = journal_file(folder).read_bytes().splitlines(keepends=True)
    for changed in (lines[:5] + lines[6:], lines[:5] + lines[4:]):
        journal_file(folder).write_bytes(b"".join(changed))
        with pytest.raises(JournalError) as caught:
            replay(folder)
        assert caught.value.record == 5


def test_a_decision_that_is_not_the_kernels_diverges(path, tmp_path):
    """Well-formed and with a right checksum: only the fold can see it."""
    folder = copy(path, tmp_path)
    lines = journal_file(folder).read_bytes().splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if b'"c":[["stop"' in line)
    record = from_line(lines[number][:-1], number)
    stop = record.c[0]
    forged = type(stop)(
        stop.trial, stop.attempt, type(stop.reason)(stop.reason.rule, {**stop.reason.facts, "rung": 77})
    )
    lines[number] = to_line(type(record)(record.n, e=record.e, c=(forged, *record.c[1:])))
    journal_file(folder).write_bytes(b"".join(lines))
    with pytest.raises(Divergence) as caught:
        replay(folder)
    assert caught.value.record == number
    assert "rung" in caught.value.field


def test_no_journal_and_an_empty_one(tmp_path):
    with pytest.raises(JournalError, match="no journal"):
        load(tmp_path)
    journal_file(tmp_path).touch()
    with pytest.raises(JournalError, match="no record"):
        load(tmp_path)

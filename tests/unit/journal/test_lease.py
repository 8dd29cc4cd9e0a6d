"""Leases of experiments: they name their holder, expire with its process, and are never taken from a live process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tunedsl.base.errors import JournalError
from tunedsl.journal import FileWriter, has_driver
from tunedsl.journal import lease as hold
from tunedsl.journal.lease import FileLeaseStore, Lease, LeaseHolder, current_holder


@pytest.fixture
def slot(tmp_path: Path) -> FileLeaseStore:
    return FileLeaseStore(tmp_path / "journal.hold")


def put(slot: FileLeaseStore, **changes: object) -> LeaseHolder:
    """A lease that another process wrote."""
    found = msgspec.structs.replace(LeaseHolder.this_process(), token="other", **changes)
    slot.write(msgspec.json.encode(found))
    return found


def aged(path: Path, seconds: float) -> None:
    stamp = path.stat().st_mtime - seconds
    os.utime(path, (stamp, stamp))


def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_driver_is_told_who_holds_the_journal_and_since_when(tmp_path):
    first = FileWriter(tmp_path / "journal.jsonl")
    with pytest.raises(JournalError, match=rf"Another driver .*: process {os.getpid()} on .*, since \d{{4}}-"):
        FileWriter(tmp_path / "journal.jsonl")
    assert has_driver(tmp_path / "journal.jsonl")
    first.close()
    assert not has_driver(tmp_path / "journal.jsonl")
    assert sorted(os.listdir(tmp_path)) == ["journal.jsonl"]
    FileWriter(tmp_path / "journal.jsonl").close()


def test_the_hold_of_a_dead_process_is_found_out_at_once(slot):
    put(slot, pid=dead())
    assert current_holder(slot) is None
    put(slot, started="1")  # its number went to another process
    assert current_holder(slot) is None
    put(slot, pid=-1)
    assert current_holder(slot) is None
    Lease("journal", slot).release()


def test_a_process_that_was_killed_and_not_yet_waited_for_holds_nothing(slot):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    put(slot, pid=process.pid, started=hold.process_start_time(process.pid))
    assert current_holder(slot) is not None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert current_holder(slot) is None
    process.communicate()


def test_a_driver_on_another_machine_holds_until_it_is_not_renewed_for_the_stated_time(slot, tmp_path):
    found = put(slot, host="elsewhere", machine="another", pid=1)
    assert current_holder(slot) == found
    with pytest.raises(JournalError, match="process 1 on elsewhere"):
        FileWriter(tmp_path / "journal.jsonl")
    aged(tmp_path / "journal.hold", hold.STALE_SECONDS - 5)
    assert current_holder(slot) == found
    aged(tmp_path / "journal.hold", 10)
    assert current_holder(slot) is None
    FileWriter(tmp_path / "journal.jsonl").close()


def test_age_is_told_by_the_file_systems_clock(slot, tmp_path, monkeypatch):
    put(slot)
    monkeypatch.setattr(hold.time, "time", lambda: 0.0)
    assert abs(slot.age()) < 5
    aged(tmp_path / "journal.hold", 100)
    assert 95 < slot.age() < 105


def test_a_hold_is_renewed_and_sees_that_it_was_taken(slot, tmp_path, monkeypatch):
    monkeypatch.setattr(hold, "RENEW_SECONDS", 0.01)
    mine = Lease("journal", slot)
    aged(tmp_path / "journal.hold", 100)
    while slot.age() > 50:
        pass
    mine.check()
    taken = put(slot, pid=7)
    for _ in range(1_000):
        try:
            mine.check()
        except JournalError as error:
            assert "process 7" in str(error)
            break
        hold.time.sleep(0.01)
        slot.write(msgspec.json.encode(taken))  # a renewal may have come between
    else:
        raise AssertionError("it was not seen")
    mine.release()
    assert msgspec.json.decode(slot.read() or b"", type=LeaseHolder).pid == 7, "another driver's hold was removed"


def test_nothing_is_written_by_a_driver_that_lost_its_hold(tmp_path, slot):
    driver = FileWriter(tmp_path / "journal.jsonl")
    put(slot, host="elsewhere")
    driver._lease._check_stolen()
    driver.lines.append(b"x")
    with pytest.raises(JournalError, match="has taken over this experiment"):
        driver.flush()
    with pytest.raises(JournalError):
        driver.close()
    assert (tmp_path / "journal.jsonl").read_bytes() == b""


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[" * 4000, b'{"host": 1}', b"x" * 10_000])
def test_what_no_driver_wrote_holds_nothing(slot, data):
    slot.write(data)
    assert current_holder(slot) is None
    Lease("journal", slot).release()

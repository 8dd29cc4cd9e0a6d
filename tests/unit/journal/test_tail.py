"""Following a journal yields each record once, also while its driver packs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journals import opened, whole
from tests.plans import make_plan
from tunedsl.base import codec
from tunedsl.base.errors import JournalError, JournalTaken
from tunedsl.journal import FORMAT, Header, Journal, Tail, create, location_of, writer
from tunedsl.journal.records import Line, Mark, to_line
from tunedsl.journal.tail import TRIES
from tunedsl.kernel import Event, initial, step

PLAN = make_plan(trials=40)
EVENTS: list[Event] = [*opened(40), *(event for trial in range(40) for event in whole(trial, [2.0, 1.0, 0.5]))]


def written(folder: Path, each: int) -> Iterator[int]:
    """Writes a journal, and stops after a number of events each time."""
    if isinstance(location_of(str(folder)), Path):
        Path(folder).mkdir(parents=True)
    out = create(location_of(str(folder)))
    out.header(Header(FORMAT, codec.encode(PLAN), PLAN.digest, {}))
    state = initial(PLAN)
    for number, event in enumerate(EVENTS, 1):
        state, commands = step(PLAN, state, event)
        out.event(event, commands)
        if number % each == 0:
            out.flush()
            yield out.count
    out.close()
    yield out.count


@pytest.mark.parametrize("bytes_", [500, 5_000, 2**23])
@pytest.mark.parametrize("lag", [1, 7])
def test_each_record_comes_once_while_the_journal_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_: int, lag: int
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", bytes_)
    folder, tail, heard = tmp_path / "run", None, []
    for turn, _count in enumerate(written(folder, 5)):
        tail = tail or Tail(folder)
        if turn % lag == 0:
            for _ in range(3):
                heard += tail.read()
    assert tail is not None
    for _ in range(60):
        heard += tail.read()
    assert heard == list(Journal(folder).records())
    assert (folder / "journal").exists() == (bytes_ < 2**23)


def test_an_address_is_followed_too(tmp_path: Path) -> None:
    address = "memory://tail/run"
    tail, heard = None, []
    for _count in written(address, 50):  # type: ignore[arg-type]  # an address
        tail = tail or Tail(address)
        heard += tail.read()
    assert tail is not None
    heard += tail.read()
    assert heard == list(Journal(address).records()) and tail.read() == []


def test_half_a_record_waits_for_its_rest(tmp_path: Path) -> None:
    *_, _count = written(tmp_path / "run", 1_000)
    content = (tmp_path / "run" / "journal.jsonl").read_bytes()
    file = tmp_path / "journal.jsonl"
    file.write_bytes(content[:5_000])
    tail = Tail(tmp_path)
    first = tail.read()
    assert first and tail.read() == []
    file.write_bytes(content)
    assert first + tail.read() == list(Journal(tmp_path / "run").records())


@pytest.mark.parametrize("change", ["cut", "replaced", "none"])
def test_a_journal_that_was_cut_or_replaced_is_read_from_its_start(tmp_path: Path, change: str) -> None:
    *_, _count = written(tmp_path / "run", 1_000)
    file, tail = tmp_path / "run" / "journal.jsonl", Tail(tmp_path / "run")
    lines, first = file.read_bytes().splitlines(keepends=True), tail.read()
    if change == "replaced":
        lines[-1] = to_line(Line(len(lines) - 1, m=Mark(note="another")))
    file.write_bytes(b"".join(lines[:30] if change == "cut" else lines))
    if change == "none":
        assert tail.read() == []
        return
    with pytest.raises(JournalTaken, match="was cut or replaced"):
        for _ in range(TRIES + 1):
            assert tail.read() == []
    again = Tail(tmp_path / "run").read()
    assert again[:-1] == first[: len(again) - 1] and again[-1] != first[-1]


def test_damage_is_refused(tmp_path: Path) -> None:
    *_, _count = written(tmp_path / "run", 1_000)
    content = (tmp_path / "run" / "journal.jsonl").read_bytes()
    lines = content.splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_bytes(b"".join([*lines[:20], lines[20].replace(b"0.0", b"0.1", 1), *lines[21:]]))
    tail = Tail(tmp_path)
    with pytest.raises(JournalError, match="checksum"):
        for _ in range(20):
            tail.read()
    with pytest.raises(JournalError, match="does not exist"):
        for _ in range(20):
            Tail(tmp_path / "nothing").read()
            tail = Tail(tmp_path / "nothing")
            for _ in range(20):
                tail.read()

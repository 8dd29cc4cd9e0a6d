"""The store of a dashboard: what is kept in memory, what is read again, and the limits on connections."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.journals import results, whole
from tests.pictured import experiment
from tests.served import eventually, serving, stored
from tunedsl import load
from tunedsl.base.errors import JournalError, NoResult
from tunedsl.dashboard import store as store_module
from tunedsl.dashboard.limits import MAX_CONNECTIONS, MAX_STREAMS, Connections, Streams
from tunedsl.dashboard.store import Store
from tunedsl.journal.segments import name_of, packed


def read(store: Store) -> dict[str, Any]:
    """The summaries, once all were read."""

    def done() -> Any:
        store._due = 0.0
        store.refresh()
        found = {each["run"]: each for each in store.summaries}
        return found if found and all(each["phase"] != "reading" for each in found.values()) else None

    found: dict[str, Any] = eventually(done)
    return found


def test_memory_does_not_grow_with_the_number_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_WEIGHT", 50)
    for place in range(8):
        stored(tmp_path, f"run-{place}", experiment(20))
    store = Store(tmp_path)
    assert len(read(store)) == 8
    runs = [store.run(f"run-{place}") for place in range(8)]
    assert all(len(run.history.records) == 20 for run in runs)
    assert list(store._held) == ["run-6", "run-7"]
    assert store.run("run-7") is runs[7] and store.run("run-0") is not runs[0]


def test_one_large_run_is_kept_whatever_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_WEIGHT", 5)
    stored(tmp_path, "large", experiment(20))
    store = Store(tmp_path)
    assert store.run("large") is store.run("large")


def test_runs_come_change_and_go(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.refresh() == 0 and store.summaries == []
    folder = stored(tmp_path, "run", results(whole(0, [2.0]), 2))
    assert read(store)["run"]["best"] == 2.0
    better = stored(tmp_path / "made", "run", results([*whole(0, [2.0]), *whole(1, [1.0])], 2))
    lines = (better / "journal.jsonl").read_bytes().splitlines(keepends=True)
    old = len((folder / "journal.jsonl").read_bytes().splitlines())
    with open(folder / "journal.jsonl", "ab") as file:
        file.write(b"".join(lines[old:]))
    eventually(lambda: read(store)["run"]["best"] == 1.0)
    shutil.rmtree(folder)
    store._due = 0.0
    store.refresh()
    assert store.summaries == []
    with pytest.raises(NoResult, match="has no run 'run'"):
        store.run("run")


def test_a_link_that_leads_out_of_the_store_is_no_run(tmp_path: Path) -> None:
    store, other = tmp_path / "store", tmp_path / "other"
    stored(store, "own", results(whole(0, [2.0]), 1))
    outside = stored(other, "run", results(whole(0, [2.0]), 1))
    (store / "folder").symlink_to(outside)
    (store / "file").mkdir()
    (store / "file" / "journal.jsonl").symlink_to(outside / "journal.jsonl")
    (store / "again").symlink_to(store / "own")
    (tmp_path / "linked").symlink_to(store)
    for place in (store, tmp_path / "linked"):
        assert set(read(Store(place))) == {"own", "again"}
        with pytest.raises(NoResult):
            Store(place).run("folder")


def split(folder: Path, elsewhere: Path, is_packed: bool = False) -> str:
    """Moves the first records of a journal to another folder, as a closed segment; returns its name."""
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    first, name = b"".join(lines[:4]), name_of(0, 3, packed=is_packed)
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / name).write_bytes(packed(first) if is_packed else first)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[4:]))
    return name


@pytest.mark.parametrize("linked", ["segment", "packed", "folder"])
def test_no_segment_is_read_that_a_link_leads_to_elsewhere(linked: str, tmp_path: Path) -> None:
    folder = stored(tmp_path / "store", "run", results([*whole(0, [2.0]), *whole(1, [1.0])], 2))
    name = split(folder, tmp_path / "elsewhere", linked == "packed")
    if linked == "folder":
        (folder / "journal").symlink_to(tmp_path / "elsewhere")
    else:
        (folder / "journal").mkdir()
        (folder / "journal" / name).symlink_to(tmp_path / "elsewhere" / name)
    store = Store(tmp_path / "store")
    summary = read(store)["run"]
    assert summary["phase"] == "unreadable" and "A symbolic link leads out of" in summary["state"]
    with pytest.raises(JournalError, match="A symbolic link leads out of"):
        store.run("run").history
    assert load(folder).best.metrics["loss"] == 1.0  # its owner may read what a link leads to


def test_a_link_that_appears_while_a_run_is_shown_is_not_followed(tmp_path: Path) -> None:
    folder = stored(tmp_path / "store", "run", results([*whole(0, [2.0]), *whole(1, [1.0])], 2))
    whole_journal = (folder / "journal.jsonl").read_bytes()
    lines = whole_journal.splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:4]))
    store = Store(tmp_path / "store")
    assert store.run("run").history.lines == 4
    (folder / "journal.jsonl").write_bytes(b"")
    (tmp_path / "secret").write_bytes(whole_journal)
    (folder / "journal").mkdir()
    (folder / "journal" / name_of(0, len(lines) - 1)).symlink_to(tmp_path / "secret")
    run = store.run("run")
    eventually(lambda: (run.refresh(wait=False), run.error)[1])
    assert "A symbolic link leads out of" in run.error and run.history.lines == 4


def test_a_link_inside_the_store_is_followed(tmp_path: Path) -> None:
    folder = stored(tmp_path, "run", results([*whole(0, [2.0]), *whole(1, [1.0])], 2))
    split(folder, tmp_path / "kept")
    (folder / "journal").symlink_to(tmp_path / "kept")
    assert read(Store(tmp_path))["run"]["best"] == 1.0


def test_a_store_that_does_not_exist_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    store.refresh()
    assert "does not exist" in store.error
    stored(tmp_path / "none", "run", experiment(20))
    assert len(read(store)) == 1 and not store.error


def test_a_run_of_its_own_is_a_store(tmp_path: Path) -> None:
    store = Store(stored(tmp_path, "run", experiment(20)))
    assert list(read(store)) == ["run"] and store.run("run").history.records


def test_a_store_at_an_address_is_read() -> None:
    import fsspec

    from tunedsl.journal import Address, create

    files = fsspec.filesystem("memory")
    made = results(whole(0, [2.0]), 1)
    writer = create(Address("memory://dashboard/run"))
    for line in made.journal.records():
        if line.h is not None:
            writer.header(line.h)
        elif line.e is not None:
            writer.event(line.e, list(line.c))
    writer.flush()
    writer.close()
    try:
        store = Store("memory://dashboard")
        assert read(store)["run"]["best"] == 2.0
        assert store.run("run").results.best.metrics["loss"] == 2.0
    finally:
        files.rm("/dashboard", recursive=True)


def test_a_new_stream_ends_the_oldest_when_there_are_too_many() -> None:
    async def main() -> list[int]:
        streams, got = Streams(), [0] * (MAX_STREAMS + 2)

        async def look() -> tuple[int, bytes]:
            return 1, b"{}"

        async def gone() -> bool:
            return False

        async def client(place: int) -> None:
            async for part in streams.follow(look, 0.01, gone):
                got[place] += part.startswith(b"data:")

        tasks = []
        for place in range(MAX_STREAMS + 2):
            tasks.append(asyncio.create_task(client(place)))
            while not got[place]:
                await asyncio.sleep(0)
        await asyncio.wait(tasks[:2])
        assert all(task.done() for task in tasks[:2]) and not any(task.done() for task in tasks[2:])
        assert len(streams._open) == MAX_STREAMS
        for task in tasks[2:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not streams._open
        return got

    assert asyncio.run(main()) == [1] * (MAX_STREAMS + 2)  # each got the content once: it did not change


def test_a_new_connection_ends_one_that_asks_for_nothing_or_else_the_oldest() -> None:
    class Transport:
        aborted = False

        def abort(self) -> None:
            self.aborted = True

    class Connection:
        def __init__(self, cycle: object) -> None:
            self.transport, self.cycle = Transport(), cycle

    connections: Any = Connections()
    made = [Connection(None if place in (3, 7) else object()) for place in range(MAX_CONNECTIONS + 3)]
    for each in made[:MAX_CONNECTIONS]:
        connections.add(each)
    connections.use(made[0])
    ended = []
    for each in made[MAX_CONNECTIONS:]:
        connections.add(each)
        ended += [place for place, other in enumerate(made) if other.transport.aborted and place not in ended]
    assert ended == [3, 7, 1]


def test_clients_that_hang_keep_nobody_from_being_served(tmp_path: Path) -> None:
    stored(tmp_path, "run", results(whole(0, [2.0]), 1))
    with serving(tmp_path) as address, contextlib.ExitStack() as hanging:
        host = address.removeprefix("http://").rstrip("/")
        place = (host.partition(":")[0], int(host.partition(":")[2]))
        begun = f"POST /api/runs/run/steer HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        for number in range(MAX_CONNECTIONS + 40):
            client = hanging.enter_context(socket.create_connection(place, timeout=30))
            client.sendall([b"", begun.encode(), f"{begun}Content-Length: 100\r\n\r\n{{".encode()][number % 3])
        with socket.create_connection(place, timeout=30) as served:
            served.sendall(f"GET /api/session HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert served.recv(12) == b"HTTP/1.1 200"

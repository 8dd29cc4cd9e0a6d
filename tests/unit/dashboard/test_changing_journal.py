"""Journals that are cut, replaced or damaged while they are read: a page never fails, and soon shows what is there."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pictured import experiment
from tests.served import Client, client, eventually, stored
from tunedsl.dashboard import store as store_module
from tunedsl.dashboard import watching

PATHS = (
    "",
    "/table",
    "/outcome",
    "/plan",
    "/figures/best",
    "/trials/3",
    "/trials/3/story",
    "/curves?trial=3",
    "/trials.csv",
)


def lines_of(trials: int, **changes: Any) -> list[bytes]:
    return [line for line, _ in experiment(trials, **changes).journal.raw()]


def shown(page: Client) -> tuple[int, bool]:
    """How many trials the run's page shows, and whether with an error."""
    answer = page.get("/api/runs/run")
    assert answer.status_code in (200, 400), answer.text
    now = answer.json()
    return (now["trials"], bool(now["error"])) if "trials" in now else (-1, True)


def trials_in(lines: list[bytes]) -> int:
    return sum(b'"proposed"' in line for line in lines)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The journal of a run, which is read at each request."""
    monkeypatch.setattr(watching, "LOCAL_SECONDS", 0.0)
    monkeypatch.setattr(watching, "ERROR_SECONDS", 0.0)
    monkeypatch.setattr(store_module, "LIST_SECONDS", 0.0)
    return stored(tmp_path, "run", experiment(40)) / "journal.jsonl"


LINES = lines_of(40)
OTHER = lines_of(90)
SAME = b"".join(OTHER)[: len(b"".join(LINES))].splitlines(keepends=True)
"""Another journal, as long as the first one, whose last record is being written."""

CHANGES: dict[str, tuple[Callable[[Path], None], int, bool]] = {
    "cut after a record": (lambda file: _write(file, LINES[:60]), trials_in(LINES[:60]), False),
    "cut inside a record": (lambda file: _write(file, [*LINES[:60], LINES[60][:30]]), trials_in(LINES[:60]), False),
    "cut to its header": (lambda file: _write(file, LINES[:1]), 0, False),
    "replaced in place": (lambda file: _write(file, OTHER), 90, False),
    "replaced by a file": (lambda file: _replace(file, OTHER), 90, False),
    "replaced by a shorter one": (lambda file: _replace(file, lines_of(10)), 10, False),
    "replaced by one of the same size": (lambda file: _replace(file, SAME), trials_in(SAME[:-1]), False),
    "a record changed": (lambda file: _write(file, [*LINES[:50], _changed(LINES[50]), *LINES[51:]]), -2, True),
    "a record missing": (lambda file: _write(file, [*LINES[:50], *LINES[51:]]), -2, True),
    "zeros at its end": (lambda file: _write(file, [*LINES[:80], b"\0" * 4096 + b"\n"]), trials_in(LINES[:80]), True),
    "a line of 8 MB": (lambda file: _write(file, [*LINES[:80], b"x" * 8_000_000 + b"\n"]), trials_in(LINES[:80]), True),
    "emptied": (lambda file: _write(file, []), -1, True),
}


def _write(file: Path, lines: list[bytes]) -> None:
    file.write_bytes(b"".join(lines))


def _replace(file: Path, lines: list[bytes]) -> None:
    part = file.with_name("part")
    part.write_bytes(b"".join(lines))
    part.replace(file)


def _changed(line: bytes) -> bytes:
    return line.replace(b'"n":', b'"n": ', 1)


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_journal_that_changes_while_it_is_read_is_soon_shown_as_it_is(file: Path, change: str) -> None:
    page = client(file.parents[1])
    assert eventually(lambda: shown(page) == (40, False))
    act, trials, is_damaged = CHANGES[change]
    act(file)
    expected = trials_in(LINES[:50]) if trials == -2 else trials
    assert eventually(
        lambda: shown(page) == (expected, is_damaged) and [page.get(f"/api/runs/run{path}") for path in PATHS]
    )
    _write(file, LINES)  # repaired
    assert eventually(lambda: shown(page) == (40, False))


@pytest.mark.slow
def test_no_state_of_a_journal_makes_a_page_fail(file: Path) -> None:
    page, rng = client(file.parents[1]), random.Random(0)
    whole = b"".join(LINES)
    for _ in range(60):
        cut, at = rng.randrange(len(whole)), rng.randrange(len(whole) - 100)
        content = rng.choice(
            [
                whole[:cut],
                whole[:at] + rng.randbytes(rng.randrange(1, 60)) + whole[at:],
                whole[:at] + whole[at + rng.randrange(1, 100) :],
                whole[cut:],
                b"".join(OTHER[: rng.randrange(len(OTHER))]),
            ]
        )
        file.write_bytes(content)
        for path in rng.sample(PATHS, 4):
            answer = page.get(f"/api/runs/run{path}")
            assert answer.status_code in (200, 400, 404), (path, answer.text)
    file.write_bytes(whole)
    assert eventually(lambda: shown(page) == (40, False))

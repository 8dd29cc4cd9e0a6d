"""The rows of a run that is read record by record are those of the run that is read as a whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.pictured import experiment
from tunedsl.journal import Journal, reader
from tunedsl.journal.records import from_line
from tunedsl.results import Results, load
from tunedsl.web.content import RunContent
from tunedsl.web.trials import story_of, told

GOLDEN = sorted((Path(__file__).resolve().parents[2] / "replay" / "golden").glob("*.jsonl"))


def follow(content: RunContent, journal: Journal) -> list[int]:
    """Reads a journal record by record, as of a driver in progress; returns how many rows each record changed."""
    changed = []
    content._begin(journal)
    for line in journal.records():
        touched: set[int] = set()
        before = content.version
        content._take(line, touched)
        content._settle(True, touched)
        changed.append(len(list(content.table.since(before))))
    content._settle(False, set())
    return changed


def followed_copy(path: Path, folder: Path) -> tuple[Results, RunContent]:
    """The results of a copied journal, and what a page shows that followed it."""
    shutil.copy(path, folder / "journal.jsonl")
    results = load(folder)
    followed = RunContent(results.path)
    follow(followed, results.journal)
    return results, followed


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_run_that_is_followed_has_the_rows_of_one_that_is_read_at_once(path: Path, tmp_path: Path) -> None:
    results, followed = followed_copy(path, tmp_path)
    whole = RunContent.of(Results(results.journal)).table
    assert followed.table.columns == whole.columns
    assert sorted(followed.table.since(-1)) == sorted(whole.since(-1))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_trial_of_a_run_that_is_followed_has_the_story_of_its_results(path: Path, tmp_path: Path) -> None:
    results, followed = followed_copy(path, tmp_path)
    for number in results.reading.records:
        assert story_of(followed, number) == told(results.why(number))


def test_a_story_decodes_its_own_records_only(monkeypatch: pytest.MonkeyPatch) -> None:
    results = experiment(200)
    content = RunContent.of(results)
    decoded: list[int] = []
    monkeypatch.setattr(reader, "from_line", lambda raw, number: decoded.append(number) or from_line(raw, number))
    story = story_of(content, 150)
    assert len(story["events"]) >= 3 and len(decoded) < 10


def test_the_end_of_a_run_changes_only_the_rows_that_it_ends() -> None:
    results = experiment(200)
    changed = follow(RunContent(results.path), results.journal)
    assert sum(changed) > 400 and max(changed) < 10

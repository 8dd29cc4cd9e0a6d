"""CSV and JSON lines: pandas reads back what the journal has, live and afterwards, for odd numbers and late metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.unit.sinks.runs import halving, odd_ones, population
from tunedsl.base.codec import from_json
from tunedsl.export import export, files
from tunedsl.results import Results, TrialResult
from tunedsl.sinks import csv, jsonl


def read_csv(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "progress.csv")


def read_jsonl(folder: Path) -> pd.DataFrame:
    lines = (folder / "reports.jsonl").read_text().splitlines()
    return pd.DataFrame([json.loads(line) for line in lines])


def same(found: pd.DataFrame, trial: TrialResult) -> None:
    expected = trial.curve
    numbers = [name for name in expected.columns if expected[name].dtype != object]
    assert set(found.columns) == set(expected.columns)
    pd.testing.assert_frame_equal(
        found[numbers].astype(float), expected[numbers].astype(float), check_exact=True, check_column_type=False
    )


def check(results: Results, root: Path) -> None:
    for trial in results.trials:
        folder = root / "trials" / trial.id
        same(read_csv(folder), trial)
        same(read_jsonl(folder), trial)
        assert from_json((folder / "params.json").read_bytes()) == trial.config


def test_live_and_afterwards_they_hold_what_the_journal_has(tmp_path: Path) -> None:
    results = odd_ones(tmp_path).sinks(csv(), jsonl()).run("inline", quiet=True)
    assert len(results.trials) == 4 and len(results.errors) == 1
    check(results, results.path)
    assert not (results.path / "sinks.log").exists()
    export(results.path, csv(), jsonl(), out=tmp_path / "out")
    check(results, tmp_path / "out")
    for file in results.path.glob("trials/*/*.*"):
        if file.suffix in (".csv", ".jsonl", ".json"):
            assert file.read_bytes() == (tmp_path / "out" / file.relative_to(results.path)).read_bytes()


def test_a_cell_that_was_not_reported_is_empty_and_data_is_json(tmp_path: Path) -> None:
    results = odd_ones(tmp_path).run("inline", quiet=True)
    export(results.path, csv(), jsonl())
    frame = pd.read_csv(results.path / "trials" / "00001" / "progress.csv", keep_default_na=False)
    assert list(frame["late, with a comma"]) == ["", "nan", "inf", "-inf"]
    assert list(frame["note"]) == ["", "", 'a "b"\nc', 'a "b"\nc']
    assert [json.loads(cell) for cell in frame["val"][2:]] == [{"f1": 0.5, "deep": {"n": step}} for step in (3, 4)]
    rows = [json.loads(line) for line in (results.path / "trials/00001/reports.jsonl").read_text().splitlines()]
    assert rows[2]["val"] == {"f1": 0.5, "deep": {"n": 3}} and "late, with a comma" not in rows[0]


@pytest.mark.parametrize("limit", [1, 2])
def test_few_files_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(files, "MAX_OPEN", limit)
    results = halving(tmp_path).run("inline", quiet=True)
    export(results.path, csv(), jsonl())
    check(results, results.path)


def test_a_changed_configuration_is_the_one_in_the_folder(tmp_path: Path) -> None:
    results = population(tmp_path)
    export(results.path, csv(), jsonl())
    check(results, results.path)


def test_exported_twice_they_are_the_same(tmp_path: Path) -> None:
    results = odd_ones(tmp_path).run("inline", quiet=True)
    export(results.path, csv(), jsonl())
    before = {file: file.read_bytes() for file in results.path.glob("trials/*/*")}
    export(results.path, csv(), jsonl())
    assert {file: file.read_bytes() for file in results.path.glob("trials/*/*")} == before

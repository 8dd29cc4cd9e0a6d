"""The experiments in a store, and the files of them that may be removed."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from tunedsl import report, space, uniform
from tunedsl.base.errors import JournalError, StorageError
from tunedsl.cli.commands import cli
from tunedsl.cli.stores import _listed
from tunedsl.journal import FileWriter, Journal, journal_file
from tunedsl.results import Results, load
from tunedsl.runs.stores import StoredRun, delete_runs, freeable, list_runs


def train(config: dict[str, Any]) -> None:
    for step in range(2):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "weights").write_bytes(bytes(1_000 + step))
            report(loss=config["x"] + step, checkpoint=folder)


def ran(store: Path, name: str = "first") -> Results:
    experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(3).seed(0).named(name)
    return experiment.store(str(store)).run("inline", quiet=True)


def cut(results: Results) -> None:
    """As if the driver had been killed before the end."""
    file = journal_file(Path(str(results.path)))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-3]))
    assert not load(results.path).finished


def test_experiments_are_listed_the_newest_first_also_what_cannot_be_read(tmp_path: Path) -> None:
    first = ran(tmp_path)
    (tmp_path / "something").mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "journal.jsonl").write_text("nonsense\n")
    found = {entry.path: entry for entry in list_runs(tmp_path)}
    assert set(found) == {first.path, broken} and found[broken].state.startswith("cannot be read")
    entry = found[first.path]
    assert (entry.name, entry.trials, entry.errors, entry.metric) == ("first", 3, 0, "loss")
    assert entry.best == first.best.metrics["loss"] and entry.size > 6_000
    assert [entry.path for entry in list_runs(str(first.path))] == [first.path]
    with pytest.raises(StorageError, match="does not exist"):
        list_runs(tmp_path / "nowhere")


def test_a_finished_experiment_keeps_the_best_trials_checkpoints(tmp_path: Path) -> None:
    results = ran(tmp_path)
    found = freeable(str(results.path))
    assert len(found.places) == 4 and found.size == 4_002
    assert len(list(Path(str(results.path)).glob("trials/*/checkpoints/*"))) == 6  # asking removes nothing
    delete_runs([found])
    left = {str(place) for place in Path(str(results.path)).glob("trials/*/checkpoints/*")}
    assert left == {str(place) for place in results.best.checkpoints.values()}
    assert freeable(str(results.path)).places == ()


def test_what_can_be_resumed_keeps_its_checkpoints_and_loses_what_was_cut_short(tmp_path: Path) -> None:
    results = ran(tmp_path)
    cut(results)
    torn = Path(str(results.path)) / "trials" / results.trials[0].id / "checkpoints" / "00000009.1-ab.part"
    torn.mkdir()
    (torn / "half").write_bytes(bytes(10))
    known = set(Path(str(results.path)).glob("trials/*/checkpoints/*"))
    found = freeable(str(results.path))
    journaled = {
        place for record in load(results.path).reading.records.values() for place in record.checkpoints.values()
    }
    assert not journaled & set(found.places)
    delete_runs([found])
    assert torn in known and not torn.exists()
    assert {str(Path(str(results.path)) / place) for place in journaled} <= {
        str(place) for place in Path(str(results.path)).glob("trials/*/checkpoints/*")
    }


def test_an_experiment_that_runs_is_left_as_it_is(tmp_path: Path) -> None:
    results = ran(tmp_path)
    journal = Journal(results.path)
    count = sum(1 for _ in journal.records())
    writer = FileWriter(journal_file(Path(str(results.path))), count, journal.size)
    with pytest.raises(JournalError, match="is running"):
        freeable(str(results.path), whole=True)
    shown = CliRunner().invoke(cli, ["clean", str(tmp_path), "--whole", "--yes"])
    assert "unchanged: " in shown.output and journal_file(Path(str(results.path))).exists()
    writer.close()


def test_a_whole_experiment_goes_only_when_that_is_said(tmp_path: Path) -> None:
    first, second = ran(tmp_path), ran(tmp_path, "second")
    shown = CliRunner().invoke(cli, ["clean", str(first.path), "--whole"])
    assert shown.exit_code == 0 and "the whole experiment" in shown.output and "--yes" in shown.output
    assert Path(str(first.path)).exists()
    shown = CliRunner().invoke(cli, ["clean", str(first.path), "--whole", "--yes"])
    assert shown.exit_code == 0 and not Path(str(first.path)).exists() and Path(str(second.path)).exists()


def test_what_is_freed_as_json(tmp_path: Path) -> None:
    results = ran(tmp_path)
    shown, gone = (
        json.loads(CliRunner().invoke(cli, ["clean", str(results.path), "--whole", "--json", *more]).output)
        for more in ([], ["--yes"])
    )
    assert [entry["freed"] for entry in (*shown, *gone)] == [False, True]
    assert shown[0]["path"] == str(results.path) and shown[0]["size"] == gone[0]["size"] > 0
    assert not Path(str(results.path)).exists()


def test_the_list_on_a_terminal_and_as_json(tmp_path: Path) -> None:
    ran(tmp_path)
    shown = CliRunner().invoke(cli, ["list", str(tmp_path)])
    assert shown.exit_code == 0 and "first-" in shown.output and "finished" in shown.output and "loss=" in shown.output
    nothing = CliRunner().invoke(cli, ["list", str(tmp_path / next(tmp_path.iterdir()) / "trials")])
    assert nothing.exit_code == 0 and nothing.stderr.startswith("there is no experiment under")
    assert '"trials": 3' in CliRunner().invoke(cli, ["list", str(tmp_path), "--json"]).output


def test_a_list_fits_a_narrow_terminal() -> None:
    place = Path("digits-20260131-120000-82d5-repaired")
    entries = [
        StoredRun(
            place, "digits", "finished: all trials have ended", "", 12_345, 678, "validation_loss", 0.348541, 3_300_000
        ),
        StoredRun(place, "digits", "interrupted", "", 1, 0, "loss", 0.5, 3_300),
    ]
    paper = Console(file=io.StringIO(), width=80)
    paper.print(_listed(entries, narrow=True))
    shown = paper.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in shown.splitlines()]
    assert "…" not in shown and max(map(len, lines)) <= 80
    assert all(text in shown for text in (str(place), "12,345", "3.3 MB", "3.3 kB", "loss=0.5"))
    assert lines[1].endswith("finished") and lines[-1].endswith("interrupted")

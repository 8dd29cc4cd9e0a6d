"""`tunedsl plot` and `tunedsl report`: files, refusals and exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import call

pytest.importorskip("plotly")

SCRIPT = """
from tunedsl import report, space, uniform

def train(config):
    for step in range(1, 4):
        report(loss=config["x"] / step)

base = space(x=uniform(0, 1), y=uniform(0, 1)).trainable(train)
experiment = base.minimize("loss").samples(4).seed(0).store({store!r})
del base
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("pictures")
    script = place / "scratch_pictures.py"
    script.write_text(SCRIPT.format(store=str(place / "runs")))
    before = list(sys.path)
    assert call("run", script, "--engine", "inline", "--quiet").exit_code == 0
    yield next(place.glob("runs/*/"))
    sys.modules.pop("scratch_pictures", None)
    sys.path[:] = before


def test_a_picture_is_a_page_or_data(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("plot", folder).stdout == "best.html\n"
    assert "Best loss so far" in (tmp_path / "best.html").read_text()
    assert call("plot", folder, "curves", "--out", "c.json").exit_code == 0
    assert json.loads((tmp_path / "c.json").read_text())["layout"]["title"]["text"] == "Learning curves of loss"
    assert call("plot", folder, "best", "--metric", "time_total_s", "--mode", "max", "--out", "t.json").exit_code == 0


def test_a_forecast_is_made_from_the_script_that_ran(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "forecast.json"
    made = call("plot", folder, "forecast", "--out", out)
    assert made.exit_code == 0, made.output
    assert {trace["name"] for trace in json.loads(out.read_text())["data"]} == {"forecast", "happened"}


def test_a_picture_compares_trials_where_that_is_asked(folder: Path, tmp_path: Path) -> None:
    for fidelity, said in (("1", "at iteration 1"), ("auto", "at iteration 3"), ("last", "loss over each")):
        out = tmp_path / f"{fidelity}.json"
        assert call("plot", folder, "slices", "--fidelity", fidelity, "-o", out).exit_code == 0
        assert said in json.loads(out.read_text())["layout"]["title"]["text"]
    for words, said in (
        (["slices", "--fidelity", "7"], "trials came to 3 (4 trials)"),
        (["slices", "--fidelity", "0"], "not in the range"),
        (["slices", "--fidelity", "best"], "not a valid integer"),
        (["curves", "--fidelity", "1"], "does not compare trials"),
        (["pareto", "--metric", "loss"], "does not take a metric"),
        (["pareto"], "needs two objectives"),
    ):
        result = call("plot", folder, *words)
        assert result.exit_code == 2 and said in result.stderr, result.stderr


def test_what_cannot_be_drawn_is_said(folder: Path, tmp_path: Path) -> None:
    for words, said in (
        (["lineage"], "population based training"),
        (["rungs", "--metric", "loss"], "does not take a metric"),
        (["best", "--out", "x.docx"], "must end with .html"),
        (["pie"], "is not one of"),
    ):
        result = call("plot", folder, *words)
        assert result.exit_code == 2 and said in result.stderr


@pytest.mark.slow
def test_a_report_goes_to_the_experiments_folder(folder: Path, tmp_path: Path) -> None:
    made = call("report", folder)
    assert made.stdout == f"{folder / 'report.html'}\n"
    assert "figures/curves" in (folder / "report.html").read_text()
    assert call("report", folder, "--forecast", "--out", tmp_path / "r.html").exit_code == 0
    assert "figures/forecast" in (tmp_path / "r.html").read_text()
    assert call("report", folder, "-o", tmp_path / "o.html").stdout == f"{tmp_path / 'o.html'}\n"
    assert "figures/curves" in (tmp_path / "o.html").read_text()

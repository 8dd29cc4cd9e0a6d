"""The report: whole, safe, small, and opened in a real browser without a network."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.journals import journal, opened
from tests.pictured import HOSTILE, experiment, population
from tests.plans import make_plan
from tunedsl.base.errors import NoResult
from tunedsl.results import Results
from tunedsl.results.report import page

pytest.importorskip("plotly")
pytest.importorskip("jinja2")

MEGABYTES = 10
TRIALS = 10_000


@pytest.fixture(scope="module")
def text() -> str:
    return page(experiment(60, failing=0.3))


@pytest.fixture(scope="module")
def large() -> str:
    return page(experiment(TRIALS))


def unpacked(text: str, name: str) -> Any:
    """The data of a block."""
    found = re.search(rf'id="data-{name}">([A-Za-z0-9+/=]*)</script>', text)
    assert found
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


@pytest.mark.slow
def test_everything_stands_on_it(text: str) -> None:
    for part in ("Best", "Trials", "Failures", "Plan", "Provenance", "Normalised", "loss (min"):
        assert part in text
    assert "ValueError: &lt;/script&gt;" in text and "train.py, line 1" in text
    for kind in ("best", "curves", "parallel", "slices", "contour", "importance", "rungs", "workers"):
        assert unpacked(text, kind)["data"]
    assert "no picture of lineage: no trial took over" in text


@pytest.mark.slow
def test_no_text_is_a_tag_and_nothing_is_elsewhere(text: str) -> None:
    bare = re.sub(r'<script type="application/octet-stream"[^>]*>[A-Za-z0-9+/=]*</script>', "", text)
    assert "<img" not in bare and "&lt;img" in bare
    assert bare.count("<script") == 1 == bare.count("</script")
    assert not re.findall(r'(?:src|href|action)="(?!#|data:,")', bare)


@pytest.mark.slow
def test_the_table_has_all_trials_the_best_first(text: str) -> None:
    table = unpacked(text, "table")
    losses = table["values"][table["columns"].index("loss")]
    assert len(losses) == table["trials"] == 60
    failed = [status == "failed" for status in table["values"][table["columns"].index("status")]]
    ranked = list(zip(failed, losses, strict=True))
    assert any(failed) and ranked == sorted(ranked)  # failed trials come after all others
    assert HOSTILE[:10] in str(table["values"][table["columns"].index("config/optimizer")])


@pytest.mark.slow
def test_failures_that_are_alike_are_told_once(text: str) -> None:
    failed = [r for r in experiment(60, failing=0.3).reading.records.values() if r.failures]
    counts = [int(each) for each in re.findall(r"<b>(\d+) \u00d7</b>", text)]
    assert len(failed) > 4 and counts == [len(failed)]


@pytest.mark.slow
def test_ten_thousand_trials_are_small(large: str) -> None:
    assert len(large.encode()) < MEGABYTES * 1_000_000
    assert unpacked(large, "table")["trials"] == TRIALS


def test_an_experiment_without_reports_has_a_report(tmp_path: Path) -> None:
    results = Results(journal(make_plan(), opened(2)))
    made = results.report(tmp_path / "report.html").read_text()
    assert "no trial reported anything yet" in made and "no picture of curves" in made


def test_it_needs_a_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results = Results(journal(make_plan(), opened(2)))
    with pytest.raises(NoResult, match=r"say report\(path\)"):
        results.report()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(NoResult, match=r"tunedsl\[plots\]"):
        results.report(tmp_path / "report.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    place = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if place is None:
        pytest.skip("there is no Chromium here")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=place, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        yield chromium
        chromium.close()


@pytest.mark.slow
@pytest.mark.parametrize("which", ["large", "population"])
def test_a_browser_opens_it_without_a_network(which: str, large: str, browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(large if which == "large" else page(population(6), SimpleNamespace(journal=population(5).journal)))
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    seen = context.new_page()
    wrong: list[str] = []
    seen.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    seen.on("pageerror", lambda error: wrong.append(str(error)))
    seen.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    asked: list[str] = []
    seen.on("request", lambda request: asked.append(request.url))
    seen.goto(file.as_uri())
    seen.wait_for_selector("#table tr:nth-child(2)")
    places = seen.query_selector_all(".picture")
    assert len(places) == (8 if which == "large" else 10)
    for place in places if which == "large" else places[-3:]:  # lineage, schedule, forecast
        place.scroll_into_view_if_needed()
        seen.wait_for_function("place => place.dataset.drawn === 'yes'", arg=place)
        assert place.query_selector(".main-svg")
    assert wrong == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [file.as_uri()]
    assert seen.evaluate("[...document.images].filter((each) => !each.src.startsWith('data:')).length") == 0
    if which == "large":
        seen.fill("#filter", "00042")
        assert "1 to" in seen.inner_text("#where")
        seen.fill("#filter", "")
        seen.click("#table th:nth-child(2)")
        assert seen.inner_text("#table tr:nth-child(2) td:nth-child(2)") == "0"
        seen.click("#forth")
        assert seen.inner_text("#where").startswith("26 to 50")
        seen.set_viewport_size({"width": 600, "height": 900})
        assert seen.evaluate("document.documentElement.scrollWidth") <= 600  # what is wide scrolls by itself
    context.close()

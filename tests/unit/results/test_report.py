"""The report is complete, safe and small; a real browser opens it without a network."""

from __future__ import annotations

import base64
import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.browsers import chromium
from tests.journals import journal, opened
from tests.pictured import HOSTILE, experiment, population
from tests.plans import make_plan
from tunedsl.base.errors import NoResult
from tunedsl.kernel import Proposed, Reported, Started
from tunedsl.results import Results
from tunedsl.results.report import page
from tunedsl.results.report.page import WIDEST
from tunedsl.spaces import Space, choice, uniform

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
    assert "No trial continued from another one" in text


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


@pytest.mark.slow
def test_the_reader_chooses_at_which_iteration_trials_are_compared(text: str) -> None:
    for kind in ("parallel", "slices", "contour", "importance"):
        section = text[text.index(f'id="picture-{kind}"') :].partition("</section>")[0]
        options = re.findall(r'<option value="([^"]*)"( selected)?>([^<]*)</option>', section)
        assert options == [
            (f"data-{kind}-1", "", "iteration 1 (60 trials)"),
            (f"data-{kind}", " selected", "iteration 3 (16 trials)"),
            (f"data-{kind}-last", "", "each trial&#39;s own last report"),
        ]
        assert "at iteration 1" in unpacked(text, f"{kind}-1")["title"] and "at iteration 3" in section
        assert unpacked(text, f"{kind}-last")["data"] != unpacked(text, kind)["data"]
    assert "<select>" not in page(population(5))  # all made the same number of iterations


def test_a_table_with_too_many_columns_keeps_parameters_and_objectives() -> None:
    names = tuple(f"metric {place}" for place in range(90))
    row = tuple(float(place) for place in range(91))
    events: list[Any] = [Started(0.0, 0, 0), Reported(1.0, 0, 1, (*names, "loss"), (row,), (1.0,), ends="returned")]
    made = page(Results(journal(make_plan(trials=1, space=Space.of({"x": uniform(0, 1)})), [*opened(1), *events])))
    table = unpacked(made, "table")
    assert len(table["columns"]) == WIDEST and {"loss", "config/x", "metric 0", "trial_id"} <= {*table["columns"]}
    assert "metric 89" not in table["columns"] and table["left"] == 7 + 91 + 1 - WIDEST


def test_an_experiment_without_reports_has_a_report(tmp_path: Path) -> None:
    results = Results(journal(make_plan(), opened(2)))
    made = results.report(tmp_path / "report.html").read_text()
    assert "no trial reported anything yet" in made and "no picture of curves" in made


def test_it_needs_a_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results = Results(journal(make_plan(), opened(2)))
    with pytest.raises(NoResult, match=r"write report\(path\)"):
        results.report()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(NoResult, match=r"tunedsl\[plots\]"):
        results.report(tmp_path / "report.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium("--enable-unsafe-swiftshader") as started:
        yield started


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
        assert seen.evaluate("document.documentElement.scrollWidth") <= 600  # wide content scrolls by itself
    context.close()


PAPER = {"width": 700, "height": 1000}


def on_paper(browser: Any, file: Path) -> tuple[Any, Any]:
    """A page as printed, before anyone has scrolled or waited."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    seen = context.new_page()
    seen.goto(file.as_uri())
    seen.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    seen.set_viewport_size(PAPER)
    seen.emulate_media(media="print")
    return context, seen


@pytest.mark.slow
def test_paper_has_all_figures_and_rows(text: str, browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(text)
    context, seen = on_paper(browser, file)
    drawn = seen.eval_on_selector_all(
        ".picture", "places => places.map((each) => [each.className, each.querySelectorAll('.main-svg').length])"
    )
    assert len(drawn) == 8 and all(count for _, count in drawn)
    wide = seen.eval_on_selector_all(
        "main *",
        "all => all.filter((each) => each.getBoundingClientRect().right > innerWidth).map((each) => each.outerHTML)",
    )
    assert [each[:80] for each in wide] == []
    tables = seen.query_selector_all("#paper table")
    assert tables and all(len(each.query_selector_all("tbody tr")) == 60 for each in tables)
    columns = {
        cell for each in tables for cell in each.eval_on_selector_all("th", "all => all.map((c) => c.textContent)")
    }
    assert columns == {*unpacked(text, "table")["columns"]}
    assert "all 60 trials" in seen.inner_text("#paper")
    assert not seen.is_visible("#table") and not seen.is_visible(".choice")
    assert seen.evaluate("[...document.querySelectorAll('details')].every((each) => each.open)")
    seen.emulate_media(media="screen")
    seen.set_viewport_size({"width": 1280, "height": 900})
    assert seen.is_visible("#table") and not seen.is_visible("#paper")
    assert len(seen.query_selector_all("details[open]")) == 1
    context.close()


@pytest.mark.slow
def test_paper_says_how_many_rows_are_left_out(large: str, browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(large)
    context, seen = on_paper(browser, file)
    assert "1,000 of 10,000 trials" in seen.inner_text("#paper p")
    assert len(seen.query_selector_all("#paper table:first-of-type tbody tr")) == 1000
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_that_somebody_wrote_stretches_the_page(width: int, browser: Any, tmp_path: Path) -> None:
    name = "a_long_name_" * 20
    data = ({"matrix": [[1, 2] * 300], "words": "word " * 300},)
    space = Space.of({name: uniform(0, 1), "options": choice([[1, 2, 3] * 90, "x" * 400])})
    keys = ("loss", *(f"metric_{place}" for place in range(70)))
    events: list[Any] = [opened(1)[0]]
    for trial in range(12):
        config = {name: trial / 12, "options": [1, 2, 3] * 90}
        row = (tuple(float(place + trial) for place in range(71)),)
        events.append(Proposed(0.0, trial, config, f"{trial:05d}"))
        events.append(Started(0.0, trial, 0))
        events.append(Reported(1.0, trial, 1, keys, row, (1.0,), ends="returned", data=data))
    file = tmp_path / "report.html"
    file.write_text(page(Results(journal(make_plan(trials=12, space=space, name="n" * 200), events))))
    seen = browser.new_page(viewport={"width": width, "height": 900})
    seen.goto(file.as_uri())
    seen.evaluate("window.dispatchEvent(new Event('beforeprint')); window.dispatchEvent(new Event('afterprint'))")
    assert seen.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.eval_on_selector("#best", "card => card.getBoundingClientRect().height") < 1300
    seen.close()


@pytest.mark.slow
def test_a_choice_draws_the_other_figure(text: str, browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(text)
    seen = browser.new_page(viewport={"width": 1280, "height": 900})
    seen.goto(file.as_uri())
    for chosen in ("data-slices-1", "data-slices-last", "data-slices"):
        seen.select_option("#picture-slices select", chosen)
        expected = unpacked(text, chosen.removeprefix("data-"))
        assert seen.inner_text("#picture-slices h2") == expected["title"]
        shown = seen.eval_on_selector("#picture-slices .picture", "place => place.calcdata[0].length")
        assert shown == {"data-slices-1": 60, "data-slices-last": 60, "data-slices": 16}[chosen]
    seen.close()

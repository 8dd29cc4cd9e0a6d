"""The report is the dashboard's application over frozen data: complete, safe and small, without a network."""

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

from tests.browsers import chromium, wait_until_drawn
from tests.journals import journal, opened
from tests.pictured import HOSTILE, experiment, population
from tests.plans import make_plan
from tests.served import stored
from tunedsl.base.errors import NoResult
from tunedsl.kernel import Proposed, Reported, Started
from tunedsl.results import Results, load
from tunedsl.spaces import Space, choice, uniform
from tunedsl.web import STATIC
from tunedsl.web.bundle import bundle
from tunedsl.web.notes import Note, write_note
from tunedsl.web.report import MAX_DETAILED, MAX_WIDTH, page

pytest.importorskip("plotly")

MEGABYTES = 10
TRIALS = 10_000
TABS = ["Overview", "Trials", "Curves", "Parameters", "Scheduling", "Plan"]


@pytest.fixture(scope="module")
def text() -> str:
    return page(experiment(60, failing=0.3))


@pytest.fixture(scope="module")
def large() -> str:
    return page(experiment(TRIALS))


def unpacked(text: str, name: str) -> Any:
    """The data of a block."""
    found = re.search(rf'data-for="{re.escape(name)}">([A-Za-z0-9+/=]*)</script>', text)
    assert found
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


def blocks(text: str) -> set[str]:
    return set(re.findall(r'data-for="([^"]*)">', text))


def exported(module: str) -> set[str]:
    return set(re.findall(r"^export (?:async )?(?:function|const) (\w+)", (STATIC / module).read_text(), re.M))


def test_the_data_of_a_report_are_asked_for_as_those_of_a_server() -> None:
    assert exported("requests.js") == exported("embedded.js")


def test_modules_are_joined_in_the_order_in_which_they_run() -> None:
    made = bundle("app", {"requests": "embedded"})
    names = re.findall(r"^const \$(\w+) = ", made, re.M)
    assert len(set(names)) == len(names) and names[-1] == "app"
    assert "embedded" in names and "requests" not in names
    for name in names:
        used = re.findall(r"= \$(\w+);$", made.partition(f"const ${name} = ")[2].partition("\n})();")[0], re.M)
        assert all(names.index(other) < names.index(name) for other in used)
    assert not re.findall(r"^(?:import|export)\b|</script|<!--", made, re.M)


@pytest.mark.slow
def test_everything_is_in_it(text: str) -> None:
    run, expected = unpacked(text, "run"), experiment(60, failing=0.3)
    failed = [record for record in expected.reading.records.values() if record.failures]
    assert [each["attempts"] for each in run["outcome"]["failures"]] == [len(failed)] and len(failed) > 4
    assert run["outcome"]["failures"][0]["message"] == f"ValueError: {HOSTILE}"
    assert "train.py, line 1" in run["outcome"]["failures"][0]["traceback"]
    assert run["outcome"]["best"][0]["name"] == expected.best.id
    assert {"objective", "trials ended", "attempts", "training, all trials"} <= {*dict(run["outcome"]["facts"])}
    assert "Normalised" in run["plan"]["text"] and run["now"]["trials"] == 60
    for kind in ("best", "curves", "parallel", "slices", "contour", "importance", "rungs", "workers"):
        assert unpacked(text, f"figures/{kind}")["data"]
    assert "No trial continued from another one" in unpacked(text, "figures/lineage")["nothing"]
    trials = unpacked(text, "trials")
    assert trials["trials/5/story"]["events"] == [list(each) for each in expected.why(5).events]
    assert trials["curves/5"]["loss"]["values"] == list(expected[5].curve["loss"])


@pytest.mark.slow
def test_no_text_is_a_tag_and_nothing_is_elsewhere(text: str) -> None:
    bare = re.sub(r'<script type="application/octet-stream"[^>]*>[A-Za-z0-9+/=]*</script>', "", text)
    assert "<img" not in bare and "example.com" not in bare
    assert bare.count("<script") == 1 == bare.count("</script")
    assert not re.findall(r'(?:src|href|action)="(?!#|data:,)', bare)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', bare)
    assert policy and "unsafe" not in policy[1] and policy[1].startswith("default-src 'none'")


@pytest.mark.slow
def test_the_table_has_all_trials_the_best_first(text: str) -> None:
    table = unpacked(text, "table")
    place = {name: at for at, name in enumerate(table["columns"])}
    ranked = [(row[place["status"]] == "failed", row[place["metric:loss"]]) for row in table["rows"]]
    assert len(ranked) == 60 and ranked == sorted(ranked) and any(failed for failed, _ in ranked)
    assert HOSTILE[:10] in str([row[place["config:optimizer"]] for row in table["rows"]])


@pytest.mark.slow
def test_ten_thousand_trials_are_small(large: str) -> None:
    assert len(large.encode()) < MEGABYTES * 1_000_000
    assert len(unpacked(large, "table")["rows"]) == TRIALS
    assert sum(name.startswith("curves/") for name in unpacked(large, "trials")) == MAX_DETAILED


@pytest.mark.slow
def test_trials_are_also_compared_at_other_iterations(text: str) -> None:
    for kind in ("parallel", "slices", "contour", "importance"):
        assert {f"figures/{kind}", f"figures/{kind}?fidelity=1", f"figures/{kind}?fidelity=last"} <= blocks(text)
        assert "at iteration 1" in unpacked(text, f"figures/{kind}?fidelity=1")["title"]
        assert "at iteration 3" in unpacked(text, f"figures/{kind}")["title"]
    assert not [name for name in blocks(page(population(5))) if "fidelity" in name]  # all came equally far


def test_a_table_with_too_many_columns_keeps_parameters_and_objectives() -> None:
    names = tuple(f"metric {place}" for place in range(90))
    row = tuple(float(place) for place in range(91))
    events: list[Any] = [Started(0.0, 0, 0), Reported(1.0, 0, 1, (*names, "loss"), (row,), (1.0,), ends="returned")]
    made = page(Results(journal(make_plan(trials=1, space=Space.of({"x": uniform(0, 1)})), [*opened(1), *events])))
    table = unpacked(made, "table")
    assert len(table["columns"]) == MAX_WIDTH == len(table["rows"][0])
    assert {"metric:loss", "config:x", "metric:metric 0", "trial"} <= {*table["columns"]}
    assert "metric:metric 89" not in table["columns"] and "more columns are left out" in table["left"]


def test_an_experiment_without_reports_has_a_report(tmp_path: Path) -> None:
    made = Results(journal(make_plan(), opened(2))).report(tmp_path / "report.html").read_text()
    assert "no trial reported anything yet" in unpacked(made, "run")["outcome"]["best"][0]["reason"]
    assert unpacked(made, "figures/curves")["nothing"]


def test_it_needs_a_place_and_plotly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results = Results(journal(make_plan(), opened(2)))
    with pytest.raises(NoResult, match=r"write report\(path\)"):
        results.report()
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(NoResult, match=r"tunedsl\[plots\]"):
        results.report(tmp_path / "report.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a page without a network; at the end nothing was wrong, and nothing was asked for."""
    file, wrong, contexts = tmp_path / "report.html", [], []

    def show(text: str, width: int = 1280) -> Any:
        file.write_text(text)
        contexts.append(browser.new_context(offline=True, viewport={"width": width, "height": 900}))
        seen = contexts[-1].new_page()
        seen.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        seen.on("pageerror", lambda error: wrong.append(str(error)))
        seen.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        seen.on("request", lambda asked: wrong.append(asked.url) if not is_own(asked.url) else None)
        seen.goto(file.as_uri())
        return seen

    def is_own(url: str) -> bool:
        return url.startswith((file.as_uri(), "data:", "blob:"))

    yield show
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.mark.slow
def test_each_view_opens_without_a_network(show: Any) -> None:
    seen = show(page(population(6), SimpleNamespace(journal=population(5).journal)), width=800)
    assert seen.locator("nav.tabs a").all_inner_texts() == TABS
    for view, count in [("Overview", 3), ("Trials", 1), ("Curves", 1), ("Parameters", 2), ("Scheduling", 4)]:
        seen.get_by_role("link", name=view, exact=True).click()
        wait_until_drawn(seen, count)
        assert seen.evaluate("document.documentElement.scrollWidth") <= 800
    assert seen.get_by_text("tunedsl dashboard memory").is_visible()
    assert seen.locator("button.danger").count() == 0


@pytest.mark.slow
def test_ten_thousand_trials_are_filtered_and_opened(large: str, show: Any) -> None:
    seen = show(large)
    seen.get_by_role("link", name="Trials", exact=True).click()
    count = seen.locator(".tablebox [role=status]")
    seen.wait_for_function("() => document.querySelector('.tablebox [role=status]')?.textContent.startsWith('10,000')")
    best = seen.locator("table.trials tbody td a").first.inner_text()
    seen.fill("input.filter", "42")
    seen.wait_for_function("() => document.querySelector('.tablebox [role=status]').textContent.startsWith('1 of')")
    assert count.inner_text() == "1 of 10,000 trials"
    seen.fill("input.filter", best)
    seen.get_by_role("link", name=best, exact=True).click()
    seen.wait_for_selector("ol.story li >> nth=1")
    seen.wait_for_selector(".figure[data-drawn=yes]")
    worst = next(row[0] for row in reversed(unpacked(large, "table")["rows"]) if row[2] == "stopped")
    seen.evaluate("hash => { location.hash = hash; }", f"#/run/x/trial/{worst}")
    seen.get_by_text("The report has the pages of 1,000 trials").wait_for()


@pytest.mark.slow
def test_a_choice_draws_the_other_figure(text: str, show: Any) -> None:
    seen = show(text)
    seen.get_by_role("link", name="Parameters", exact=True).click()
    wait_until_drawn(seen, 3)
    slices = seen.locator("section.card:has(.figure)").nth(1)
    for chosen, count in [("1", 60), ("last", 60), ("", 16)]:
        slices.get_by_label("compare trials at").select_option(chosen)
        title = unpacked(text, f"figures/slices?fidelity={chosen}" if chosen else "figures/slices")["title"]
        slices.get_by_role("heading", name=title, exact=True).wait_for()
        assert slices.locator(".figure").evaluate("place => place.calcdata[0].length") == count


@pytest.mark.slow
def test_notes_are_read_only_and_the_run_is_named(tmp_path: Path, show: Any) -> None:
    folder = stored(tmp_path, "a run", experiment(20))
    write_note(folder, None, Note("keep <b>this</b>"), Note())
    seen = show(load(folder).report().read_text())
    assert seen.locator("h1").inner_text() == "a run" and seen.url.endswith("#/run/a%20run")
    seen.get_by_role("link", name="Notes", exact=True).click()
    assert seen.get_by_label("Note", exact=True).input_value() == "keep <b>this</b>"
    assert seen.get_by_label("Note", exact=True).is_disabled()


@pytest.mark.slow
def test_it_prints_whole_as_soon_as_it_is_open(text: str, show: Any) -> None:
    assert show(text).pdf(format="A4").count(b"/Type /Page\n") > 8


def on_paper(seen: Any) -> Any:
    """A page as printed, before anyone has scrolled or waited."""
    seen.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    seen.emulate_media(media="print")
    seen.set_viewport_size({"width": 700, "height": 1000})
    return seen


@pytest.mark.slow
def test_paper_has_all_views_figures_and_rows(text: str, show: Any) -> None:
    seen = on_paper(show(text))
    assert seen.locator("h2.part").all_inner_texts() == TABS
    figures = seen.locator(".figure:not([hidden])")
    assert figures.count() == seen.locator(".figure[data-drawn=yes] .main-svg:first-child, .figure canvas").count() == 8
    wide = "all => all.filter((each) => each.getBoundingClientRect().right > innerWidth).map((each) => each.outerHTML)"
    assert [each[:80] for each in seen.eval_on_selector_all("main *", wide)] == []
    tables = seen.locator(".sheets table")
    rows = [tables.nth(place).locator("tbody tr").count() for place in range(tables.count())]
    assert set(rows) == {60} and "all 60 trials" in seen.locator(".sheets").inner_text()
    names = {name.partition(":")[2] or name for name in unpacked(text, "table")["columns"]}
    assert names == {*tables.locator("th").all_text_contents(), "number"}
    assert not seen.is_visible("table.trials") and not seen.is_visible("nav.tabs")
    assert seen.get_by_text("Normalised").is_visible() and seen.get_by_text("train.py, line 1").is_visible()
    seen.emulate_media(media="screen")
    seen.set_viewport_size({"width": 1280, "height": 900})
    assert seen.locator("h2.part").count() == 0 and seen.is_visible("nav.tabs")


@pytest.mark.slow
def test_paper_says_how_many_rows_are_left_out(large: str, show: Any) -> None:
    seen = on_paper(show(large))
    assert "1,000 of 10,000 trials" in seen.locator(".sheets").inner_text()
    assert seen.locator(".sheets table").first.locator("tbody tr").count() == 1000


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_that_somebody_wrote_stretches_the_page(width: int, show: Any) -> None:
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
    seen = show(page(Results(journal(make_plan(trials=12, space=space, name="n" * 200), events))), width)
    seen.get_by_role("heading", name="Best: loss").wait_for()
    for view, content in [("trials", ".tablebox"), *((view, "section.card") for view in ("parameters", "trial/3"))]:
        assert seen.evaluate("document.documentElement.scrollWidth") <= width
        seen.evaluate("hash => { location.hash = hash; }", f"#/run/x/{view}")
        seen.wait_for_selector(content)
    assert seen.evaluate("document.documentElement.scrollWidth") <= width

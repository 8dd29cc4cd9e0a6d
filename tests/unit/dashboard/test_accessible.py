"""The rules of axe-core find nothing serious in any view, at any width, light or dark, whatever became of the run."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsers import chromium
from tests.pictured import experiment, population
from tests.served import serving, stored

VIEWS = ("overview", "trials", "curves", "parameters", "scheduling", "what-if", "plan", "notes", "trial/5")
WIDTHS = (1400, 800, 390)
RUNS = ("failing", "paused", "population", "large")
RUN = """(rules) => axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations
    .filter(({impact}) => impact === 'serious' || impact === 'critical')
    .flatMap(({id, nodes}) => nodes.map(({html, any}) => `${id}: ${html.slice(0, 160)}: ${any[0]?.message ?? ''}`)))"""


@pytest.fixture(scope="module")
def rules() -> str:
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-core is not installed")
    return (Path(found.origin).parent / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = tmp_path_factory.mktemp("store")
    stored(store, "failing", experiment(60, failing=0.5))
    stored(store, "population", population(6))
    stored(store, "large", experiment(10_000))
    paused = stored(store, "paused", experiment(60))
    lines = (paused / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (paused / "journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    with serving(store) as address:
        yield address


def look(page: Any, rules: str, where: str) -> list[str]:
    """The serious findings on a page, of which the figures that are near are drawn."""
    page.wait_for_function(
        "() => [...document.querySelectorAll('.figure')].every((place) => place.dataset.drawn"
        " || !place.checkVisibility()"
        " || place.querySelector('canvas') || place.getBoundingClientRect().top > innerHeight)"
    )
    page.evaluate(rules)
    return [f"{where}: {found}" for found in page.evaluate(RUN)]


@pytest.mark.parametrize("run", RUNS)
def test_no_view_has_a_serious_finding(run: str, address: str, rules: str) -> None:
    found: list[str] = []
    with chromium() as browser:
        for place, view in enumerate(VIEWS):
            turn = place + RUNS.index(run)
            width, scheme = WIDTHS[turn % len(WIDTHS)], ("light", "dark")[turn % 2]
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.goto(f"{address}#/run/{run}/{view}")
            page.wait_for_selector("main .tabs, main h1")
            found += look(page, rules, f"{run}/{view} at {width} px, {scheme}")
            page.close()
    assert found == []

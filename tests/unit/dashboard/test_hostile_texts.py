"""Texts of others in every place where a run has one: nothing executes, nothing leads elsewhere, all are short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsers import chromium
from tests.hostile import CONTROLS
from tests.hostile_texts import TEXTS, hostile_texts
from tests.served import Client, client, serving

VIEWS = ("overview", "trials", "curves", "parameters", "scheduling", "what-if", "plan", "notes", "trial/0", "trial/1")
MAX_ANSWER = 400_000
EXACT = ("note", "notes", "parameters")
"""What readers wrote themselves, and what a form sends back."""
FIGURES = ("best", "curves", "parallel", "slices", "contour", "importance", "rungs", "workers")
PATHS = (
    *("", "/table", "/trials.csv", "/outcome", "/plan", "/curves?trial=2", "/replay", "/steering", "/steering?trial=2"),
    *(f"/trials/{trial}{part}" for trial in (0, 1, 2) for part in ("", "/story")),
    *(f"/figures/{kind}" for kind in FIGURES),
)
FOREIGN = """() => [...document.querySelectorAll('*')].flatMap((each) => [...each.attributes]
    .filter(({name, value}) => name.startsWith('on') || name === 'srcdoc'
        || (['href', 'src', 'action', 'xlink:href', 'data'].includes(name)
            && /^[^a-z]*(javascript|data(?!:image.png|:,$)|https?|vbscript):/i.test(value)))
    .map(({name, value}) => `${each.tagName} ${name}=${value}`))"""
"""Attributes that execute, or lead out of the page."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    for name in TEXTS:
        hostile_texts(store, name)
    return store


@pytest.fixture(scope="module")
def page(store: Path) -> Client:
    return client(store)


@pytest.mark.parametrize("name", TEXTS)
def test_each_answer_is_short_and_without_control_characters(page: Client, name: str) -> None:
    now = page.get(f"/api/runs/{name}").json()
    assert (now["error"], now["trials"], now["failed"]) == ("", 7, 1)  # all of it was read
    for path in ("/api/runs", *(f"/api/runs/{name}{path}" for path in PATHS)):
        answer = page.get(path)
        assert answer.status_code == 200, (path, answer.text[:300])
        assert len(answer.content) < MAX_ANSWER, path
        assert not CONTROLS.search(_texts(answer)), path


def test_a_text_hides_no_sentence_of_a_story(page: Client) -> None:
    events = page.get("/api/runs/escapes/trials/0/story").json()["events"]
    assert [text.split()[0] for _, text in events] == ["proposed:", "started", "failed"]


def _texts(answer: Any) -> str:
    """All texts of an answer but those of `EXACT`."""
    if "json" not in answer.headers["content-type"]:
        return str(answer.text)
    found: list[str] = []

    def collect(item: Any) -> None:
        if isinstance(item, dict):
            for key, each in item.items():
                if key not in EXACT:
                    found.append(key)
                    collect(each)
        elif isinstance(item, list):
            for each in item:
                collect(each)
        elif isinstance(item, str):
            found.append(item)

    collect(answer.json())
    return "\n".join(found)


@pytest.fixture(scope="module")
def address(store: Path) -> Iterator[str]:
    with serving(store) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def window(browser: Any, address: str) -> Iterator[Any]:
    """A page whose scripts, requests and attributes are all its own."""
    page = browser.new_page(viewport={"width": 1200, "height": 3000})
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda asked: None if _is_own(asked.url, address) else wrong.append(asked.url))
    page.goto(address)
    yield page
    wrong += page.evaluate(FOREIGN)
    page.close()
    assert not wrong


def _is_own(url: str, address: str) -> bool:
    return url.startswith((address, "data:", f"blob:{address}"))


def _drawn(page: Any) -> None:
    page.wait_for_function(
        "() => [...document.querySelectorAll('.figure')].every((place) => place.dataset.drawn"
        " || !place.checkVisibility() || place.querySelector('canvas'))"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_no_view_executes_a_text_or_leads_elsewhere(window: Any, address: str, name: str) -> None:
    window.get_by_role("row").filter(has_text=name).first.wait_for()
    assert not window.evaluate(FOREIGN)
    for view in VIEWS:
        window.goto(f"{address}#/run/{name}/{view}")
        window.wait_for_selector("main .card, main table.trials tbody tr.active")
        _drawn(window)
        for figure in window.locator(".figure[data-drawn][tabindex], .parallel canvas").all():
            if figure.is_visible():
                figure.press("Home")  # a label next to the first point
                assert window.locator(".hoverlayer .hovertext, .tip:not([hidden])").count(), view
        assert not window.evaluate(FOREIGN), view
        assert not window.evaluate("document.documentElement.scrollWidth > innerWidth"), view


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_no_form_comparison_or_replay_executes_a_text(window: Any, address: str, name: str) -> None:
    for view in ("overview", "trial/2"):
        window.goto(f"{address}#/run/{name}/{view}")
        window.wait_for_selector(".steer button")
        buttons = window.locator(".steer button[aria-disabled=false]").all()
        assert buttons, view
        for button in buttons:
            button.click()
            window.get_by_role("button", name="Cancel").wait_for()
            assert not window.evaluate(FOREIGN), view
            window.get_by_role("button", name="Cancel").click()
    window.goto(f"{address}#/run/{name}/what-if")
    window.get_by_label("Or other clauses").fill("parallel=2")
    window.wait_for_selector(".figure[data-drawn]")
    assert not window.evaluate(FOREIGN)
    other = next(each for each in TEXTS if each != name)
    window.goto(f"{address}#/compare?run={name}&run={other}")
    window.get_by_role("heading", name=f"Plan of {other}, against {name}").wait_for()
    _drawn(window)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_output_is_text_of_limited_length(window: Any, address: str, name: str) -> None:
    window.goto(f"{address}#/run/{name}/trial/0")
    window.wait_for_function("() => document.querySelectorAll('pre.log:not(:empty)').length === 2")
    window.wait_for_function(
        "() => [...document.querySelectorAll('pre.log')].every((log) => log.children.length === 0)"
    )
    assert all(
        len(text) < 500_000 and not CONTROLS.search(text) for text in window.locator("pre.log").all_inner_texts()
    )


@pytest.mark.slow
def test_the_name_of_a_run_is_text(browser: Any, tmp_path: Path) -> None:
    names = ["<img src=x onerror=alert(1)>", "javascript:alert(1)", "\u202egnp", "..%2f..%2fetc", "a?b#c&d=%41"]
    for name in names:
        hostile_texts(tmp_path, "escapes").rename(tmp_path / name)
    wrong: list[str] = []
    with serving(tmp_path) as address:
        page = browser.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda asked: None if _is_own(asked.url, address) else wrong.append(asked.url))
        for place in range(len(names)):
            page.goto(address)
            page.wait_for_selector(f"table.runs tbody tr >> nth={len(names) - 1}")
            wrong += page.evaluate(FOREIGN)
            page.locator("table.runs tbody th a").nth(place).click()
            page.wait_for_selector(".facts")
            wrong += page.evaluate(FOREIGN)
        page.close()
    assert not wrong

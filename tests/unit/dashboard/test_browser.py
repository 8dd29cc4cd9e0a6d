"""The dashboard in a real browser: every view draws, nothing of a run executes, nothing is asked for elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsers import chromium, wait_until_drawn
from tests.pictured import experiment, population
from tests.served import serving, stored
from tunedsl.base.objective import Objective

TRIALS = 10_000
RUN_VIEWS = ("overview", "trials", "curves", "parameters", "scheduling", "what-if", "plan", "notes")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = tmp_path_factory.mktemp("store")
    stored(store, "large", experiment(TRIALS))
    stored(store, "small", experiment(60, failing=0.3))
    stored(store, "population", population(6))
    goals = (Objective("loss", "min"), Objective("training_iteration", "min"))
    stored(store, "several", experiment(60, objectives=goals))
    with serving(store) as address:
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    seen = context.new_page()
    wrong: list[str] = []
    seen.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    seen.on("pageerror", lambda error: wrong.append(str(error)))
    seen.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    seen.on("request", lambda asked: wrong.append(asked.url) if not is_own(asked.url, address) else None)
    seen.goto(address)
    yield seen
    context.close()
    assert not wrong


def is_own(url: str, address: str) -> bool:
    return url.startswith((address, "data:", f"blob:{address}"))


def is_wide(page: Any) -> bool:
    """Whether the page is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.mark.slow
def test_the_store_is_searched_and_sorted(page: Any, address: str) -> None:
    page.wait_for_selector("tr.finished >> nth=3")
    page.fill("input[type=search]", "pop")
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 1")
    assert page.inner_text("tbody th") == "population"
    page.fill("input[type=search]", "")
    page.get_by_role("button", name="trials", exact=True).click()
    assert page.locator("tbody th").all_inner_texts() == ["population", "several", "small", "large"]
    for run in ("small", "population"):
        page.get_by_label(f"Select {run}").check()
    page.get_by_role("button", name="Compare 2").click()
    page.wait_for_selector("section.card .figure[data-drawn=yes]")
    assert (
        page.get_by_text("Plan of small, against population")
        .or_(page.get_by_text("Plan of population, against small"))
        .is_visible()
    )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_view_of_a_run_is_drawn_at_each_width(page: Any, address: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    for run, width, parameters, scheduling in [("small", 1400, 3, 2), ("population", 390, 2, 4)]:
        page.set_viewport_size({"width": width, "height": 900})
        for view in RUN_VIEWS:
            page.goto(f"{address}#/run/{run}/{view}")
            page.wait_for_selector(f"nav.tabs a[data-tab={view}][aria-current]")
            trials = int(width > 640)  # on a phone, the parallel coordinates are folded
            figures = {"overview": 2, "trials": trials, "curves": 1, "parameters": parameters, "scheduling": scheduling}
            wait_until_drawn(page, figures.get(view, 0))
            assert not is_wide(page), (run, view, width)
        page.goto(f"{address}#/run/{run}/trial/5")
        page.wait_for_selector("ol.story li >> nth=2")
        page.wait_for_selector("section.card .figure[data-drawn=yes]")
        assert not is_wide(page)


PICTURES = {
    "overview": (("several", "Best"), ("several", "Who ran")),
    "curves": (("several", "Learning curves"),),
    "parameters": (("several", " over each"), ("several", " over "), ("several", "Pareto"), ("several", "Hypervolume")),
    "scheduling": (("population", "Lineage"), ("population", "Hyperparameters")),
}
"""Views with pictures whose points stand for trials: the run, and a part of each picture's title."""
POINTS = """place => {
    const found = [], box = place.getBoundingClientRect();
    place._fullData.forEach((trace, at) => {
        if (!trace.customdata || !trace.visible) return;
        const {xaxis, yaxis} = place._fullLayout._plots[`${trace.xaxis}${trace.yaxis}`];
        place.calcdata[at].some((point, which) => {
            if (!Number.isInteger(trace.customdata[which]) || point.x === undefined) return false;
            const bar = trace.type === "bar";
            const x = xaxis.c2p(bar ? point.b + point.s / 2 : point.x), y = yaxis.c2p(bar ? point.p : point.y);
            if (!(x > 3 && x < xaxis._length - 3 && y > 3 && y < yaxis._length - 3)) return false;
            found.push([box.x + xaxis._offset + x, box.y + yaxis._offset + y]);
            return true;
        });
    });
    return found;
}"""
"""A point of each trace, in the window."""


@pytest.mark.slow
@pytest.mark.parametrize("view", PICTURES)
def test_each_point_of_a_trial_names_and_opens_it(page: Any, address: str, view: str) -> None:
    page.set_viewport_size({"width": 1400, "height": 4000})
    for run, title in PICTURES[view]:
        page.goto(f"{address}#/run/{run}/{view}")
        card = page.locator("section.card", has=page.get_by_role("heading", name=title))
        place = card.locator(".figure[data-drawn=yes]").first
        count = len(place.evaluate(POINTS))
        assert count, title
        for which in range(count):
            said, (x, y) = hovered(page, place, which)
            page.mouse.click(x, y)
            page.wait_for_selector("h1:has-text('Trial')")
            name = page.inner_text("h1").removeprefix("Trial ")
            assert any(name in text for text in said), (title, name, said)
            page.go_back()
        page.mouse.move(1, 1)


def hovered(page: Any, place: Any, which: int) -> tuple[list[str], tuple[float, float]]:
    """The texts at a point under the mouse, and its place, which changes while other figures are drawn above."""
    api = pytest.importorskip("playwright.sync_api")
    for _ in range(60):
        with contextlib.suppress(api.TimeoutError):
            found = place.evaluate(POINTS)
            if len(found) <= which:  # it is being drawn
                page.wait_for_timeout(200)
                continue
            page.mouse.move(*found[which])
            page.wait_for_selector(".figure.opens .hoverlayer .hovertext", timeout=500)
            if place.evaluate(POINTS) == found:
                return place.locator(".hovertext").all_text_contents(), found[which]
    raise AssertionError(f"no text at point {which}")


@pytest.mark.slow
def test_keys_choose_a_point_of_a_picture_and_open_its_trial(page: Any, address: str) -> None:
    for view, picture in (("overview", ".figure[data-drawn=yes]"), ("trials", ".parallel canvas")):
        page.goto(f"{address}#/run/small/{view}")
        page.locator(picture).first.focus()
        page.wait_for_function("() => document.activeElement.matches('.figure, canvas')")
        page.keyboard.press("Home")
        page.get_by_role("status").filter(has_text=", 1 of ").wait_for()
        page.keyboard.press("ArrowRight")
        said = page.get_by_role("status").filter(has_text=", 2 of ")
        said.wait_for()
        number = int(said.inner_text().split()[1].rstrip(","))
        assert page.locator(".figure .hovertext, .tip:not([hidden])").first.is_visible()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/trial/{number}")


@pytest.mark.slow
def test_a_line_of_the_parallel_coordinates_opens_its_trial(page: Any, address: str) -> None:
    page.goto(f"{address}#/run/small/trials")
    canvas = page.locator(".parallel canvas")
    canvas.scroll_into_view_if_needed()
    canvas.wait_for()
    box = canvas.bounding_box()
    x = box["x"] + 78 + 60  # between the first two axes
    for y in range(int(box["y"]) + 50, int(box["y"]) + 380, 7):
        page.mouse.move(x, y)
        if page.locator(".tip:not([hidden])").count():
            break
    name = page.inner_text(".tip").removeprefix("trial ")
    page.mouse.click(x, y)
    page.get_by_role("heading", name=f"Trial {name}", exact=True).wait_for()


@pytest.mark.slow
def test_figures_offer_where_to_compare_and_are_stacked_on_a_phone(page: Any, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(address)
    page.wait_for_selector("tr.finished >> nth=2")
    assert not is_wide(page)
    page.goto(f"{address}#/run/small/parameters")
    wait_until_drawn(page, 3)
    slices = page.locator("section.card:has(.figure)").nth(1)
    assert not slices.locator(".figure").is_hidden()
    domains = slices.locator(".figure").evaluate(
        "place => Object.keys(place.layout).filter(name => name.startsWith('xaxis'))"
        ".map(name => place.layout[name].domain)"
    )
    assert len(domains) > 3 and domains.count([0, 1]) >= 4
    slices.get_by_label("compare trials at").select_option("1")
    slices.get_by_role("heading", name="at iteration 1").wait_for()


@pytest.mark.slow
def test_ten_thousand_trials_scroll_filter_and_are_picked_in_a_plot(page: Any, address: str) -> None:
    page.goto(f"{address}#/run/large/trials")
    page.wait_for_selector("table.trials tbody tr.active")
    assert page.locator("table.trials tbody tr").count() < 80
    page.get_by_role("region", name="Trials, scrollable").focus()
    page.keyboard.press("End")
    page.wait_for_selector(f"table.trials tr[aria-rowindex='{TRIALS + 1}']")
    count = page.locator(".tablebox [role=status]")
    page.fill("input.filter", "status:failed lr>0.001")
    page.wait_for_function("() => !document.querySelector('.tablebox [role=status]').textContent.startsWith('10,000')")
    found = int(count.inner_text().split()[0].replace(",", ""))
    assert 0 < found < TRIALS / 10 and page.locator("table.trials .status.stopped").count() == 0
    page.fill("input.filter", "17")
    page.wait_for_function("() => document.querySelector('.tablebox [role=status]').textContent.startsWith('1 of')")
    assert page.locator("table.trials tbody td a").all_inner_texts() == ["00017"]
    assert page.get_by_role("link", name="00017", exact=True).is_visible()
    page.fill("input.filter", "")
    page.wait_for_function("() => document.querySelector('.tablebox [role=status]').textContent.startsWith('10,000')")
    page.get_by_text("Columns", exact=True).click()
    page.keyboard.press("Escape")
    assert page.locator("details.menu[open]").count() == 0
    page.locator(".parallel canvas").scroll_into_view_if_needed()
    box = page.locator(".parallel canvas").bounding_box()
    x = box["x"] + 78  # the first axis
    page.mouse.move(x, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(x, box["y"] + 160, steps=4)
    page.mouse.up()
    page.wait_for_selector(".tablebox button.tag:not([hidden])")
    picked = int(count.inner_text().split()[0].replace(",", ""))
    assert 0 < picked < 800
    page.keyboard.press("Escape")
    page.locator("table.trials tbody td a").first.click()
    page.wait_for_selector("h1:has-text('Trial')")


@pytest.mark.slow
def test_notes_are_written_and_what_cannot_be_done_says_why(page: Any, address: str) -> None:
    page.goto(f"{address}#/run/small/notes")
    page.get_by_label("Note").fill("<img src=x onerror=alert(1)> good")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("saved", exact=True).wait_for()
    page.goto(f"{address}#/")
    page.goto(f"{address}#/run/small/notes")
    page.wait_for_function("() => document.querySelector('textarea')?.value.endsWith(' good')")
    stop = page.get_by_role("button", name="Stop")
    assert stop.get_attribute("aria-disabled") == "true" and "finished" in stop.get_attribute("title")
    stop.click(force=True)
    assert page.locator("dialog").count() == 0


@pytest.mark.slow
def test_the_token_is_asked_for_and_leaves_the_address(browser: Any, tmp_path: Path) -> None:
    stored(tmp_path, "run", experiment(20))
    token = "a-token-of-more-than-16-characters"
    with serving(tmp_path, token=token) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.wait_for_url("**/login")
        page.fill("#token", "wrong")
        page.get_by_role("button", name="Open").click()
        page.get_by_text("This is not the token.").wait_for()
        page.goto(f"{address}login#token={token}")
        page.wait_for_selector("table.runs tbody th")
        assert token not in page.url and token not in str(page.evaluate("Object.entries(localStorage)"))
        page.go_back()
        assert token not in page.url
        context.close()

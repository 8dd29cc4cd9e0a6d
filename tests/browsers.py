"""Chromium, for tests that look at pages; they are skipped where it is not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """A browser without a window, started with further arguments."""
    api = pytest.importorskip("playwright.sync_api")
    place = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if place is None:
        pytest.skip("there is no Chromium here")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox", *arguments])
        yield browser
        browser.close()


def wait_until_drawn(page: Any, count: int) -> None:
    """Scrolls to the figures of a view until that many are drawn and no other is visible.

    A view may put new elements in place of others while its data arrives, so each look starts with all of them.
    """
    page.wait_for_function(
        """count => {
            const visible = [...document.querySelectorAll(".figure")].filter((each) => each.checkVisibility());
            const left = visible.find((each) => each.dataset.drawn !== "yes" && !each.querySelector("canvas"));
            left?.scrollIntoView();
            return !left && visible.length === count;
        }""",
        arg=count,
    )

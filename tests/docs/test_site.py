"""The documentation site builds without a warning, has no broken link, and loads nothing from the network."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import DOCS

LOADED = re.compile(r'<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)="(https?:)?//|@import|url\((["\']?)https?:')
WITHOUT_NEXT = {"reference"}
"""Folders of pages that are looked up and not read in order."""


class Links(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, item in attributes:
            if name == "id" and item:
                self.anchors.add(item)
            if tag == "a" and name == "href" and item:
                self.links.add(item)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("docs")
    options = ["-q", "-W", "--keep-going", "-d", str(folder / "trees"), str(DOCS), str(folder / "site")]
    done = subprocess.run([sys.executable, "-m", "sphinx", *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_the_site_has_all_pages_and_loads_nothing_from_the_network(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    written = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    assert written <= {page.relative_to(site).as_posix() for page in pages}
    assert not [page.name for page in pages if LOADED.search(page.read_text())]


def test_no_link_is_broken(site: Path) -> None:
    found = {page.resolve(): Links(page.read_text()) for page in site.rglob("*.html")}
    broken = []
    for page, content in found.items():
        for link in sorted(content.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchors = found[target].anchors if target in found else set()
            if not target.exists() or (parts.fragment and target in found and unquote(parts.fragment) not in anchors):
                broken.append(f"{page.relative_to(site.resolve())}: {link}")
    assert not broken, "\n".join(broken)


def test_generated_parts_are_filled_in(site: Path) -> None:
    assert not [page.name for page in site.rglob("*.html") if "generated:" in page.read_text()]
    assert "<svg" in (site / "internals" / "life_cycle.html").read_text()


def test_each_page_ends_with_the_next_step() -> None:
    pages = [page for page in DOCS.rglob("*.md") if page.parent.name not in WITHOUT_NEXT]
    assert not [page.name for page in pages if not page.read_text().rstrip().splitlines()[-1].startswith("Next: [")]

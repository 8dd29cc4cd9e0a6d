"""Each page's Python runs as one program and prints what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, differences, execute, pages

BESIDE_RAY = {"guides/coming_from_ray_tune.md"}
"""Pages that run Ray Tune itself."""
NEEDS = {
    "tutorials/sklearn.md": ["sklearn"],
    "tutorials/pytorch.md": ["torch"],
    "guides/coming_from_optuna.md": ["optuna"],
    "guides/frameworks.md": ["lightgbm", "xgboost", "catboost", "keras", "lightning", "transformers"],
}
"""The libraries that a page needs, by page."""


def name(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


@pytest.mark.parametrize("page", [page for page in pages() if name(page) not in BESIDE_RAY], ids=name)
def test_a_page_runs_and_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    for library in NEEDS.get(name(page), ()):
        pytest.importorskip(library)
    assert not (broken := list(differences(page, execute(page, tmp_path)))), "\n".join(broken)


@pytest.mark.parametrize("page", sorted(BESIDE_RAY))
def test_a_page_runs_next_to_another_tuner(page: str, cluster: None, tmp_path: Path) -> None:
    pytest.importorskip("ray.tune")
    execute(DOCS / page, tmp_path)

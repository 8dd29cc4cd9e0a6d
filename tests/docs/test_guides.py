"""Each guide's Python is one program, and runs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tunedsl.experiment import Experiment
from tunedsl.results import Results

GUIDES = sorted((Path(__file__).resolve().parents[2] / "tunedsl" / "docs" / "guides").glob("*.md"))
OTHER_TUNERS = ("coming_from_ray_tune",)
"""Guides that run Ray Tune itself beside."""


def program(page: Path) -> str:
    """The Python blocks of a page, each on the lines where it stands there."""
    text = page.read_text()
    lines = [""] * (text.count("\n") + 1)
    for token in MarkdownIt().parse(text):
        if token.type == "fence" and token.info.strip() == "python" and token.map is not None:
            first = token.map[0] + 1
            for at, line in enumerate(token.content.splitlines()):
                lines[first + at] = line
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", [page for page in GUIDES if page.stem not in OTHER_TUNERS], ids=lambda page: page.stem)
def test_a_guide_runs(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    execute(page, monkeypatch, tmp_path)


@pytest.mark.parametrize("name", OTHER_TUNERS)
def test_a_guide_runs_beside_another_tuner(
    name: str, cluster: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("ray.tune")
    execute(GUIDES[0].parent / f"{name}.md", monkeypatch, tmp_path)


def execute(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs a page as a module of its own; its experiments run inline, where it does not say."""
    run = Experiment.run

    def inline(experiment: Experiment, engine: str = "inline", **options: object) -> Results:
        return run(experiment, engine, **{"quiet": True, **options})  # type: ignore[arg-type]

    monkeypatch.setattr(Experiment, "run", inline)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / f"guide_{page.stem}.py"
    file.write_text(program(page))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, file.stem, module)
    if "ray" in sys.modules:  # its workers have no such module
        sys.modules["ray"].cloudpickle.register_pickle_by_value(module)
    spec.loader.exec_module(module)

"""The examples and the documentation's Python as a type checker sees them: strict mypy has no objection."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "tunedsl" / "docs"
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
TWO_TOOLS = {"coming_from_ray_tune"}
"""Pages that give the same name to a thing of another tool and to its counterpart here."""
WITH_MISTAKES = {"concepts/experiment.md"}
"""Pages that show what a wrong argument leads to."""

OPTIONS = (
    "--strict",
    "--check-untyped-defs",
    "--allow-untyped-defs",  # training code is rarely annotated
    "--allow-incomplete-defs",
    "--allow-untyped-calls",
    "--allow-untyped-decorators",
    "--allow-subclassing-any",  # of a framework without types
    "--no-warn-unused-ignores",  # the package's own comments, which the settings of the package need
    "--scripts-are-modules",
)


def pages() -> list[Path]:
    return [
        page
        for page in sorted(DOCS.rglob("*.md"))
        if page.stem not in TWO_TOOLS
        and page.relative_to(DOCS).as_posix() not in WITH_MISTAKES
        and program(page).strip()
    ]


def program(page: Path) -> str:
    """The Python blocks of a page, each on the lines that it has there."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for token in MarkdownIt().parse(text):
        if token.type == "fence" and token.info.strip() == "python" and token.map is not None:
            first = token.map[0] + 1
            lines[first : first + token.content.count("\n")] = token.content.splitlines()
    return "\n".join(lines).rstrip() + "\n"


def check(files: list[Path], cache: Path) -> None:
    command = [sys.executable, "-m", "mypy", *OPTIONS, "--cache-dir", str(cache), "--config-file", "pyproject.toml"]
    done = subprocess.run(
        [*command, *map(str, files)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mypy")
    return tmp_path_factory.mktemp("mypy")


def test_examples(cache: Path) -> None:
    check(EXAMPLES, cache)


def test_pages(cache: Path, tmp_path: Path) -> None:
    files = []
    for page in pages():
        file = tmp_path / f"{page.parent.name}_{page.stem}.py"
        file.write_text(program(page), encoding="utf-8")
        files.append(file)
    check(files, cache)


WRONG = {
    "a clause's keyword": "experiment.retry(crashes=1)",
    "a clause's argument": 'experiment.samples("64")',
    "a domain's bound": 'uniform("0", 1)',
}


@pytest.mark.parametrize("mistake", sorted(WRONG))
def test_mistakes_are_found(mistake: str, cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    code = f"from tunedsl import space, uniform\n\nexperiment = space(x=uniform(0, 1))\n{WRONG[mistake]}\n"
    file.write_text(code, encoding="utf-8")
    with pytest.raises(AssertionError, match=r"wrong\.py:4: error"):
        check([file], cache)

"""The README and the index of examples: the code runs, the links have targets, and the commands exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tunedsl.experiment import Experiment

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md")
COMMANDS = (
    "    python -m pip install -e '.[examples]' && python examples/digits.py\n"
    "    python -m pip install -e '.[dev]' && python -m pytest\n"
)


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def first_program() -> str:
    found = re.search(r"```python\n(.*?)```", text("README.md"), re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_first_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Experiment.run
    monkeypatch.setattr(Experiment, "run", lambda experiment: run(experiment, "inline", quiet=True))
    file = tmp_path / "readme.py"
    file.write_text(first_program())
    names: dict[str, Any] = {"__name__": "readme", "__file__": str(file)}
    exec(compile(first_program(), str(file), "exec"), names)
    assert abs(names["results"].best.config["momentum"] - 0.9) < 0.1


def test_the_two_commands_are_on_the_page() -> None:
    assert COMMANDS in text("README.md")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", text(page))
    local = [target for target in targets if not target.startswith("https://")]
    assert not [target for target in local if not ((ROOT / page).parent / target).exists()]


def test_every_example_is_in_the_index() -> None:
    folder = ROOT / "examples"
    index = text("examples/README.md")
    assert not [
        name
        for name in (path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
        if f"]({name})" not in index
    ]

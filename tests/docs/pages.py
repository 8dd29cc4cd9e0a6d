"""Runs the Python of a documentation page and compares what it prints with the output on the page.

A page's Python blocks are one program. A `text` block directly after a Python block is that block's output, in which
`...` matches any text. `python -m tests.docs.pages [PAGE...]` writes the outputs again.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import attrs
import cloudpickle
import pytest
from markdown_it import MarkdownIt

from tunedsl.experiment import Experiment

DOCS = Path(__file__).resolve().parents[2] / "tunedsl" / "docs"
MARK = "\x1e"
"""Separates the outputs of two blocks."""

VARYING = (
    (r"^ *\d+\.\d+ s\b", "... s"),
    (r"\bon [\w.-]+/\d+", "on ..."),
    (r"-\d{8}-\d{6}-[0-9a-f]{4}", "-..."),
    (r'[^\s"]*page_\w+\.py(:\d+|", line \d+)?', "..."),
    (r"\b[0-9a-f]{32,}\b", "..."),
    (r"\b0x[0-9a-f]{6,}\b", "..."),
)
"""What differs between runs and machines, and what a page shows for it."""


@attrs.frozen
class Block:
    """A Python block of a page: its first line, its code, the lines of its output block and the text there."""

    line: int
    code: str
    end: int
    output_lines: tuple[int, int] | None
    output: str


def pages() -> list[Path]:
    """The pages that have Python."""
    return sorted(page for page in DOCS.rglob("*.md") if blocks(page))


def blocks(page: Path) -> list[Block]:
    """The Python blocks of a page, each with the output that the page shows."""
    tokens = MarkdownIt().parse(page.read_text())
    found = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type != "fence" or token.info.strip() != "python" or token.map is None:
            continue
        shown = following is not None and following.type == "fence" and following.info.strip() == "text"
        lines, text = None, ""
        if shown and following is not None and following.map is not None:
            lines, text = (following.map[0], following.map[1]), following.content
        found.append(Block(token.map[0] + 1, token.content, token.map[1], lines, text))
    return found


def program(page: Path) -> str:
    """The Python blocks of a page, each on its own lines, with a mark in the output after each."""
    lines = [""] * (page.read_text().count("\n") + 1)
    for block in blocks(page):
        for offset, line in enumerate(block.code.splitlines()):
            lines[block.line + offset] = line
        lines[block.end - 1] = f"print({MARK!r})"
    return "\n".join(lines) + "\n"


def execute(page: Path, folder: Path) -> list[str]:
    """Run a page as a module in a folder and return what each block printed. Experiments run inline by default."""
    run = Experiment.run

    def inline(experiment: Experiment, engine: Any = "inline", **options: Any) -> Any:
        return run(experiment, engine, **{"quiet": True, **options})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Experiment, "run", inline)
        patch.chdir(folder)
        patch.setenv("COLUMNS", "120")
        file = folder / f"page_{page.stem}.py"
        file.write_text(program(page))
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, file.stem, module)
        cloudpickle.register_pickle_by_value(module)  # workers have no such module
        if "ray" in sys.modules:
            sys.modules["ray"].cloudpickle.register_pickle_by_value(module)
        try:
            with redirect_stdout(io.StringIO()) as printed:
                spec.loader.exec_module(module)
        finally:
            cloudpickle.unregister_pickle_by_value(module)
    text = printed.getvalue().replace(str(folder.resolve()), "...").replace(str(folder), "...")
    return [part.strip("\n") for part in text.split(f"{MARK}\n")][:-1]


def stable(output: str) -> str:
    """An output with `...` in place of what differs between runs and machines."""
    for pattern, replacement in VARYING:
        output = re.sub(pattern, replacement, output, flags=re.MULTILINE)
    return output


def matches(printed: str, shown: str) -> bool:
    """Whether an output matches the shown one; `...` matches any text, and spaces at line ends are ignored."""
    wanted = re.escape(_trimmed(shown)).replace(r"\.\.\.", r".*?")
    return re.fullmatch(wanted, _trimmed(printed), re.DOTALL) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def differences(page: Path, printed: list[str]) -> Iterator[str]:
    """Each block whose output is not on the page, or differs from it."""
    for block, output in zip(blocks(page), printed, strict=True):
        if output and block.output_lines is None:
            yield f"{page.name}:{block.end}: the output is not on the page:\n{output}"
        elif not matches(output, block.output):
            yield f"{page.name}:{block.end}: printed:\n{output}\n--- on the page:\n{block.output}"


def write_outputs(page: Path, printed: list[str]) -> bool:
    """Put the outputs on the page; one that matches already stays."""
    lines = page.read_text().splitlines()
    changed = False
    for block, output in reversed(list(zip(blocks(page), printed, strict=True))):
        if matches(output, block.output) and bool(output) == (block.output_lines is not None):
            continue
        start, end = block.output_lines or (block.end, block.end)
        shown = ["```text", *_trimmed(stable(output)).splitlines(), "```"] if output else []
        if block.output_lines is None and shown:
            shown = ["", *shown]
        lines[start:end] = shown
        changed = True
    page.write_text("\n".join(lines) + "\n")
    return changed


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """An empty folder, the working directory of a page."""
    with tempfile.TemporaryDirectory(prefix="page_") as folder:
        yield Path(folder)
        os.chdir(DOCS)


def main(names: list[str]) -> None:
    """Write the outputs of the named pages, or of all. A name is that of a page, or its path, with or without `.md`."""
    wanted = {Path(name).stem: name for name in names}
    unknown = [wanted[stem] for stem in sorted(wanted.keys() - {page.stem for page in pages()})]
    if unknown:
        sys.exit(f"No page in {DOCS} with Python is named {', '.join(unknown)}.")
    for page in pages():
        if wanted and page.stem not in wanted:
            continue
        with fresh_folder() as folder:
            try:
                changed = write_outputs(page, execute(page, folder))
            except Exception as error:  # the other pages are written
                print(f"{page.relative_to(DOCS)}: {type(error).__name__}: {error}")
                continue
        print(f"{page.relative_to(DOCS)}: {'written' if changed else 'unchanged'}")


if __name__ == "__main__":
    main(sys.argv[1:])

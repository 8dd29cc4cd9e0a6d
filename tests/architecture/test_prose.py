"""The language of code, messages and docs: words and turns of phrase that a native reader would not write."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BANNED = {
    r"(is|are|was|were) (?-i:none)\b(?! of)": "say what there is not: 'has no ...', 'is not a ...'",
    r"that there (is|are)\b": "'existing', or drop it",
    r"(?<!instead )\bof before\b": "'previous', 'earlier'",
    r"hangs? on (?!to\b)": "'depends on'",
    r"\bstands? (already|beside|by itself|there)\b": "'exists', 'is next to', 'is independent'",
    r"\b(hear|hears|heard) of\b": "'is told', 'receives', 'is notified of'",
    r"\bis said\b|\bare said\b": "'is reported'",
    r"\banew\b": "'again', 'from the start'",
    r"\bso many\b": "name the number",
    r"\bby that\b": "say what does it",
    r"\bfrom (there|here|then) on\b": "'from this point', 'after that'",
    r"\bcomes? to lie\b": "'is at', 'is written to'",
    r"\bleft behind\b": "'disabled', 'abandoned', 'remains'",
    r"\bin vain\b": "'without success'",
    r"\bas it stands\b": "'unchanged', 'current'",
    r"\b(record|journal) wins\b": "'the journal takes precedence'",
    r"\bto be had\b": "'available'",
    r"\bgo(es)? on from\b": "'continues from', 'resumes from'",
    r"\blets? go\b": "'release', 'remove'",
    r"\bare told of\b|\bis told of\b": "'receive', 'is notified of'",
    r"\bare? brought about\b": "'caused'",
    r"\btells? of\b": "'reports', 'describes'",
    r"\bunread\b|\bunlearned\b": "'cannot be read', 'does not learn'",
    r"\bat the most\b": "'at most'",
    r"\bheed(s|ed|ing)?\b|\bdesk\b|\bbaton\b|\bquarry\b|\bhaunt\b": "a standard term",
    r"\bgoes? by the name\b": "'is named'",
    r"\bevery so often\b": "'periodically'",
    r"\bsomebody else\b": "'another process', 'another user'",
    r"\bwhat is to be\b": "name it",
    r"\bfor good\b": "'permanently'",
    r"\bmends?\b|\bmended\b": "'fix', 'repair'",
    r"\bthat one\b(?= (hears|stands|lies))": "name it",
    r"\bit lies\b|\blies in\b|\blie in\b|\blies at\b": "'is in', 'is at'",
    r"\b(go|goes|going|gone|went) on\b(?! (from|one)\b)": "'continue'",
    r"\bran on\b(?! (a|the|Ray)\b)|\bruns? on (for|while|after)\b": "'keep running'",
    r"\bunder way\b": "'in progress'",
    r"\bcomes? again\b": "'is repeated'",
    r"\bsomebody (asked|waits|holds|says|is)\b|\bwhere nobody\b": "name who: a user, another process",
    r"\b(die[sd]?|ended) before (it|they) (begins?|began)\b": "'failed to start'",
    r"\b(bury|buries|buried|stillborn|obeys?|obeyed)\b": "a standard term",
    r"\bstands? for (itself|themselves|the|whatever|what)\b": "'is', 'replaces', 'literal'",
    r"\b(is|are|was|were) asked and told\b(?! again)": "'ask and tell'",
    r"\basked for (again|since)\b": "'ask returns it again'",
    r"\bkeeps? on\b": "'continue'",
}
"""Pattern to what to write in its place."""

OLD_NAMES = re.compile(r"\b(MOST|LONGEST|WIDEST)_[A-Z]|\benrol(led|s|ment)?\b|\bUNLEARNED\b")


def sources() -> list[Path]:
    found = [*ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.py")]
    for folder in ("tunedsl", "tests"):
        found += [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.md")]
    return sorted(path for path in found if path != Path(__file__).resolve() and "CHANGELOG" not in path.name)


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and text that people read: a page's lines; a module's comments and strings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from enumerate(text.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for offset, line in enumerate(node.value.splitlines()):
                yield node.lineno + offset, line


@functools.cache
def all_prose() -> tuple[tuple[str, str], ...]:
    """Place and text of every line that people read."""
    return tuple((f"{path.relative_to(ROOT)}:{line}", text) for path in sources() for line, text in prose(path))


@pytest.mark.parametrize("pattern", sorted(BANNED))
def test_no_phrase_that_reads_as_translated(pattern: str) -> None:
    search = re.compile(pattern, re.IGNORECASE).search
    found = [f"{place}: {text.strip()}" for place, text in all_prose() if search(text)]
    assert not found, f"{BANNED[pattern]}\n" + "\n".join(found)


def test_no_name_of_the_old_vocabulary() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if OLD_NAMES.search(line)
    ]
    assert not found, "\n".join(found)


def test_first_lines_of_docstrings_fit_on_one_line() -> None:
    broken = []
    for path in sorted((ROOT / "tunedsl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = ast.get_docstring(node)
                if text and text.splitlines()[0][-1] not in ".:?`":
                    broken.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}")
    assert not broken, "\n".join(broken)

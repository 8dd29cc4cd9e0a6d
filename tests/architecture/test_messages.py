"""Messages to users are sentences: checked at the calls that make them, and on a page of mistakes."""

import ast
from pathlib import Path

import pytest

from tests.snapshots import mistakes

PACKAGE = Path(__file__).parents[2] / "tunedsl"
MESSAGE = {
    "ArgumentError": 2,
    "Diagnostic": 2,
    "JournalError": 1,
    "AmendError": 1,
    "CodecError": 0,
    "DamagedRecord": 0,
    "EngineLost": 0,
    "GoldenError": 0,
    "ImpossibleEvent": 0,
    "NoResult": 0,
    "ReportError": 0,
    "RequestRefused": 0,
    "ResourceError": 0,
    "SinkError": 0,
    "SpaceError": 0,
    "StorageError": 0,
    "TunedslError": 0,
    "UsageError": 0,
}
"""The classes whose message is a sentence, and which argument it is."""


def literal_messages() -> list[tuple[str, str]]:
    """The messages that are written at the call, with their places; interpolated parts are `{}`."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and name in MESSAGE:
                at = MESSAGE[name]
                text = _text(node.args[at]) if len(node.args) > at else None
                if text is not None:
                    found.append((f"{file.relative_to(PACKAGE)}:{node.lineno}", text))
    return found


def _text(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def complaint(text: str) -> str:
    """What makes a message no sentence; empty if it is one."""
    sentence, _, rest = text.partition("\n")
    if sentence[-1:] not in ".{}:?" or sentence.endswith(".."):
        return "it has no full stop"
    if ": expected " in sentence or sentence.startswith(("no ", "a ", "the ", "there ", "it ")):
        return "it is a fragment"
    if "help: " in rest and not rest.startswith("  help: "):
        return "its help is not indented"
    return ""


def test_messages_are_sentences():
    texts = literal_messages()
    assert len(texts) > 120
    assert [(place, text, complaint(text)) for place, text in texts if complaint(text)] == []


@pytest.mark.parametrize("text", ["no limit", "a budget: expected seconds", "It is full.\nhelp: empty it", "What is"])
def test_fragments_are_found(text):
    assert complaint(text)


def test_a_page_of_mistakes_is_made_of_sentences():
    for diagnostic in mistakes.build().check():
        assert not complaint(diagnostic.message) and diagnostic.message.endswith("."), diagnostic
        assert diagnostic.hint and diagnostic.place is not None, diagnostic

"""Small pieces of HTML for notebooks. All text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from tunedsl.base.printable import printable


def as_text(item: object) -> str:
    """The text of a value without control characters."""
    return printable(str(item))


_LEFT: Final = ' style="text-align: left; vertical-align: top; white-space: pre-wrap"'


def paragraph(text: object, heading: object = "") -> str:
    """A line of text, after a bold heading.

    >>> paragraph("a < b", "note")
    '<p><b>note</b> a &lt; b</p>'
    """
    bold = f"<b>{escape(as_text(heading))}</b> " if heading != "" else ""
    return f"<p>{bold}{escape(as_text(text))}</p>"


def table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> str:
    """A table with a row of headings, if any; empty without rows."""
    body = "".join(f"<tr>{''.join(f'<td{_LEFT}>{escape(as_text(cell))}</td>' for cell in row)}</tr>" for row in rows)
    top = "".join(f"<th{_LEFT}>{escape(as_text(cell))}</th>" for cell in head)
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if top else ''}<tbody>{body}</tbody></table>" if body else ""


def preformatted(text: object) -> str:
    """Preformatted text of several lines."""
    return f"<pre>{escape(as_text(text))}</pre>"

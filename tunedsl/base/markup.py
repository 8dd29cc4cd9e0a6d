"""Small pieces of HTML for notebooks. All text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_LEFT: Final = ' style="text-align: left; vertical-align: top; white-space: pre-wrap"'


def paragraph(text: object, heading: object = "") -> str:
    """A line of text, after a bold heading.

    >>> paragraph("a < b", "note")
    '<p><b>note</b> a &lt; b</p>'
    """
    bold = f"<b>{escape(str(heading))}</b> " if heading != "" else ""
    return f"<p>{bold}{escape(str(text))}</p>"


def table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> str:
    """A table with a row of headings, if any; empty without rows."""
    body = "".join(f"<tr>{''.join(f'<td{_LEFT}>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    top = "".join(f"<th{_LEFT}>{escape(str(cell))}</th>" for cell in head)
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if top else ''}<tbody>{body}</tbody></table>" if body else ""


def preformatted(text: object) -> str:
    """Preformatted text of several lines."""
    return f"<pre>{escape(str(text))}</pre>"

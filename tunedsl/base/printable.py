"""Text of other people for a terminal: without characters that move the cursor, change its title, or reorder text."""

from __future__ import annotations

import re
from typing import Final

_KEPT: Final = r"\x1b\[[0-9;]*m|\r"
_CONTROLS: Final = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_PLAIN: Final = re.compile(_CONTROLS)
_COLOURED: Final = re.compile(f"({_KEPT})|({_CONTROLS})")


def printable(text: str, keep_colours: bool = False) -> str:
    r"""The text with its control characters written as escapes, except line ends and tabs.

    Args:
        keep_colours: whether colours and returns to the start of a line stay, as in the output of a program.

    >>> print(printable("loss\x1b[2J is \u202e1"))
    loss\x1b[2J is \u202e1
    """
    if keep_colours:
        return _COLOURED.sub(lambda found: found[1] or _escape(found[0]), text)
    return _PLAIN.sub(lambda found: _escape(found[0]), text) if not text.isprintable() else text


def shortened(text: str, longest: int) -> str:
    """The printable text, of limited length.

    >>> shortened("0123456789", 5)
    '0123…'
    """
    text = printable(text[: longest + 1])
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()

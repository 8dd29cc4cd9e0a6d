"""Names: the nearest known one, and those that file systems and calls accept; and which texts are numbers."""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterable

_PORTABLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=,+-]{0,119}")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most similar to `name`, if its similarity is at least `cutoff` (0 to 1), else None."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or the list of known names if none is similar."""
    known = sorted(known)
    found = nearest(name, known)
    if found is not None:
        return f"did you mean {found!r}?"
    return (
        f"the known names are {', '.join(known)}" if len(known) > 1 else f"the only name is {known[0]}" if known else ""
    )


def is_portable(name: str) -> bool:
    """Whether `name` is one folder name that Linux, macOS and Windows all accept."""
    return bool(_PORTABLE.fullmatch(name)) and not _RESERVED.fullmatch(name) and name[-1] != "."


def is_number(text: str) -> bool:
    """Whether a text is a number in Python's notation."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_keyword_argument(name: str) -> bool:
    """Whether `name` can be written as the keyword of a call."""
    return name.isidentifier() and not keyword.iskeyword(name)

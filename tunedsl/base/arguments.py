"""Checks of arguments at the call: unknown keywords, wrong types, wrong counts.

What is wrong about one call raises here, at once. What is wrong about how the parts of an
experiment fit together is the compiler's business.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from tunedsl.base.errors import ArgumentError
from tunedsl.base.names import did_you_mean, nearest

P = ParamSpec("P")
R = TypeVar("R")

_MISPLACED_KEYWORDS: Final = {
    "metric": 'the experiment says it: .minimize("loss") or .maximize("accuracy")',
    "mode": 'the experiment says it: .minimize("loss") or .maximize("accuracy")',
    "max_concurrent": "the experiment says it: .parallel(4)",
    "points_to_evaluate": "put it around the searcher: try_first(tpe(), [{...}])",
}
"""What other libraries give to a searcher or scheduler, and is said in another place here."""


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a wrong call raise `ArgumentError`, with the nearest keyword that is known."""
    signature = inspect.signature(function)
    known = [
        name
        for name, parameter in signature.parameters.items()
        if name != "self" and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    name = function.__name__
    written = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(signature))

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not takes_any:
            for keyword in kwargs:
                if keyword not in known:
                    raise ArgumentError(
                        "E001",
                        name,
                        f"unknown keyword {keyword!r}",
                        f"one of {', '.join(known)}",
                        _keyword_hint(keyword, known),
                    )
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError("E002", name, str(error), f"{name}{written}") from None
        return function(*args, **kwargs)

    return call


def _keyword_hint(keyword: str, known: list[str]) -> str:
    near = nearest(keyword, known)
    return _MISPLACED_KEYWORDS.get(keyword, "") if near is None else did_you_mean(keyword, known)


def as_number(subject: str, value: Any) -> float:
    """`value` if it is a real number (NaN and infinity included), else `ArgumentError`."""
    if isinstance(value, bool) or not hasattr(value, "__float__") or isinstance(value, str):
        raise ArgumentError("E003", subject, repr(value), "a number")
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, (int, float)) else float(plain)


def as_int(subject: str, value: Any, minimum: int | None = None) -> int:
    """`value` as an int if it is a whole number of at least `minimum`, else `ArgumentError`."""
    plain = as_number(subject, value)
    expected = "a whole number" if minimum is None else f"a whole number of at least {minimum}"
    if not math.isfinite(plain) or plain != int(plain) or (minimum is not None and plain < minimum):
        raise ArgumentError("E003", subject, repr(value), expected)
    return int(plain)


def as_positive(subject: str, value: Any) -> float:
    """`value` if it is a finite number above 0, else `ArgumentError`."""
    plain = as_number(subject, value)
    if not (math.isfinite(plain) and plain > 0):
        raise ArgumentError("E003", subject, repr(value), "a finite number above 0")
    return plain


def check_callback(subject: str, f: Callable[..., Any], *example: Any, expected_call: str) -> None:
    """Raises `ArgumentError` for a function that cannot be called with as many arguments; `expected_call` says how it is."""
    try:
        inspect.signature(f, follow_wrapped=False).bind(*example)
    except TypeError as error:
        raise ArgumentError("E003", subject, str(error), f"one that takes {expected_call}") from None
    except ValueError:
        return  # built in, without a signature


def as_text(subject: str, value: Any) -> str:
    """`value` if it is a string that is not empty, else `ArgumentError`."""
    if not isinstance(value, str) or not value:
        raise ArgumentError("E003", subject, repr(value), "a string that is not empty")
    return value

"""Placeholders in the arguments of a program: their names, and their values as text."""

from __future__ import annotations

import datetime
import enum
import functools
import json
import string
from collections.abc import Mapping
from typing import Any, Final

import attrs

from tunedsl.base import codec
from tunedsl.base.errors import ArgumentError, CodecError
from tunedsl.base.standard_types import scalar
from tunedsl.base.types import Config

BUILT_IN: Final = frozenset({"checkpoint", "config", "folder", "seed", "trial"})
"""Placeholders that are not parameters, unless the space has a parameter of that name."""


@attrs.frozen
class Placeholder:
    """A name in braces, with its format."""

    name: str
    format: str = ""


@functools.lru_cache(maxsize=1024)
def parts(text: str) -> tuple[str | Placeholder, ...]:
    """The literal parts and the placeholders of a text, in order.

    Raises:
        ArgumentError: for braces that do not match, and for placeholders without a name.

    >>> parts("--lr={lr:.3g}")
    ('--lr=', Placeholder(name='lr', format='.3g'))
    """
    found: list[str | Placeholder] = []
    hint = "write {name} for the value of a parameter, and {{ or }} for a literal brace"
    try:
        for literal, name, form, conversion in string.Formatter().parse(text):
            found += [literal] if literal else []
            if name is not None:
                if not name or conversion or "{" in (form or ""):
                    raise ValueError("a placeholder must have only a name and a format")
                found.append(Placeholder(name, form or ""))
    except ValueError as error:
        raise ArgumentError(
            "E003", "command.program", f"{text!r} has a malformed placeholder: {error}.", hint
        ) from None
    return tuple(found)


def placeholders(text: str) -> tuple[str, ...]:
    """The names of the placeholders in a text."""
    return tuple(part.name for part in parts(text) if isinstance(part, Placeholder))


def fill(text: str, values: Mapping[str, Any], config: Config) -> str | None:
    """The text with values in place of its placeholders; None if the configuration lacks one of them.

    >>> fill("--lr={lr}", {}, {"lr": 1e-05})
    '--lr=1e-05'
    """
    filled = []
    for part in parts(text):
        if isinstance(part, str):
            filled.append(part)
            continue
        item = lookup(part.name, values, config)
        if item is MISSING:
            return None
        filled.append(_formatted(item, part.format))
    return "".join(filled)


def _formatted(item: Any, form: str) -> str:
    """The value as text, by its format; `name` is the chosen option of a `choice` between spaces."""
    if form == "name" and isinstance(item, Mapping) and len(item) == 1:
        return str(next(iter(item)))
    return format(item, form) if form else as_argument(item)


def shell_script(text: str, values: Mapping[str, Any], config: Config) -> tuple[str, dict[str, str]]:
    """A shell script with variables in place of its placeholders, and their values.

    The values are never part of the script, so that no value can be executed. A parameter that the configuration lacks
    is empty.
    """
    script, variables, quote = "", dict[str, str](), ""
    for part in parts(text):
        if isinstance(part, str):
            script, quote = script + part, _quote_after(part, quote)
            continue
        name = f"TUNEDSL_VALUE_{len(variables) + 1}"
        item = lookup(part.name, values, config)
        variables[name] = "" if item is MISSING else _formatted(item, part.format)
        reference = f"${{{name}}}"
        script += {"": f'"{reference}"', '"': reference, "'": f"'\"{reference}\"'"}[quote]
    return script, variables


def _quote_after(text: str, quote: str) -> str:
    """The quote that is open after a part of a shell script."""
    escaped = False
    for letter in text:
        if escaped:
            escaped = False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif letter in "'\"" and quote in ("", letter):
            quote = "" if quote else letter
    return quote


MISSING: Final = object()


def lookup(name: str, values: Mapping[str, Any], config: Config) -> Any:
    """The parameter of a dotted name, else the built-in value of that name, else `MISSING`."""
    found = _param(name, config)
    return values.get(name, MISSING) if found is MISSING else found


def _param(name: str, config: Any) -> Any:
    if not isinstance(config, Mapping):
        return MISSING
    if name in config:
        return config[name]
    head, dot, tail = name.partition(".")
    while dot:
        found = _param(tail, config.get(head))
        if found is not MISSING:
            return found
        more, dot, tail = tail.partition(".")
        head = f"{head}.{more}"
    return MISSING


def as_argument(item: Any) -> str:
    """A value as text: strings unchanged, other values as in JSON, except for `nan` and `inf`.

    >>> as_argument("a b"), as_argument(True), as_argument([1, 2]), as_argument(float("nan"))
    ('a b', 'true', '[1, 2]', 'nan')
    """
    plain = as_plain(item)
    if isinstance(plain, str):
        return plain
    return repr(plain) if isinstance(plain, float) else json.dumps(plain)


def as_plain(item: Any) -> Any:
    """A value of a configuration as plain data; functions and classes by their reference."""
    if isinstance(item, enum.Enum):
        return item.name
    item = scalar(item)
    if item is None or isinstance(item, (bool, int, float, str)):
        return item
    if isinstance(item, Mapping):
        return {str(name): as_plain(part) for name, part in item.items()}
    if isinstance(item, (list, tuple)):
        return [as_plain(part) for part in item]
    if isinstance(item, (set, frozenset)):
        return sorted(map(as_plain, item), key=repr)
    if isinstance(item, (datetime.date, datetime.time)):
        return item.isoformat()
    try:
        return codec.reference_to(item)
    except CodecError:
        return str(item)

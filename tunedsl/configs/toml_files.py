"""Parses TOML into entries. The standard library's parser has no lines, so each statement is parsed by itself, too."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tunedsl.base.diagnostics import Diagnostic, SourceLocation, shorten
from tunedsl.base.errors import CompileError
from tunedsl.configs.entries import Entry

_LINE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def read_toml(text: str, file: str) -> Entry:
    """The content of a TOML file.

    Raises:
        CompileError: for text that is not TOML, with the line.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = str(error)
        found = _LINE.search(problem)
        last = text.count("\n") + 1
        line = int(found[1]) if found is not None and found[1] else last
        message = f"The file is not valid TOML: {shorten(_LINE.sub('', problem))}."
        hint = "write text in quotes" if "value" in problem.lower() else ""
        raise CompileError([Diagnostic("E003", "file", message, hint, SourceLocation(file, line))]) from None
    except RecursionError:
        message = "The file is not valid TOML: it is nested too deeply."
        raise CompileError([Diagnostic("E003", "file", message, "", SourceLocation(file, 1))]) from None
    return _entry(data, (), dict(_lines(text)), SourceLocation(file, 1))


def _entry(item: Any, path: tuple[str, ...], lines: Mapping[tuple[str, ...], int], parent: SourceLocation) -> Entry:
    place = SourceLocation(parent.file, lines.get(path, parent.line))
    if isinstance(item, dict):
        return Entry({name: _entry(part, (*path, name), lines, place) for name, part in item.items()}, place)
    if isinstance(item, list):
        return Entry([_entry(part, path, lines, place) for part in item], place)
    return Entry(item, place)


def _lines(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """The path of each key with its line: that of the first statement that has it."""
    seen: set[tuple[str, ...]] = set()
    table: tuple[str, ...] = ()
    for line, statement in _statements(text):
        paths = [*_paths(tomllib.loads(statement))]
        if statement.lstrip().startswith("["):
            table = paths[-1] if paths else ()
            paths = [table[: end + 1] for end in range(len(table))]
        else:
            paths = [(*table, *path) for path in paths]
        for path in paths:
            if path not in seen:
                seen.add(path)
                yield path, line


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The statements of valid TOML, each with its first line; one may have several lines."""
    start, kept = 1, ""
    for number, line in enumerate(text.splitlines(), 1):
        start, kept = (start, f"{kept}\n{line}") if kept else (number, line)
        try:
            tomllib.loads(kept)
        except tomllib.TOMLDecodeError:
            continue
        if kept.strip():
            yield start, kept
        kept = ""


def _paths(item: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if path:
        yield path
    for name, part in item.items() if isinstance(item, dict) else ():
        yield from _paths(part, (*path, name))
    for part in item if isinstance(item, list) else ():
        yield from list(_paths(part, path))[1:]

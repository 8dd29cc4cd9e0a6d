"""Parses YAML and JSON into entries. Types follow YAML 1.2: `1e-3` is a number, `no` is text, and tags are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import attrs
import yaml  # type: ignore[import-untyped]

from tunedsl.base.diagnostics import Diagnostic, SourceLocation, reason, shorten
from tunedsl.base.errors import CompileError
from tunedsl.configs.entries import Entry

MAX_ENTRIES: Final = 20_000
"""How many values a file may have, counting those of aliases each time."""

_TAG: Final = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # has no types
    """Finds the types of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_RESOLVED: Final = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+(_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    "merge": r"<<",
}
for _name, _pattern in _RESOLVED.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), None)


def _int(text: str) -> int:
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _joined_surrogates(text: str) -> str:
    """A text in which two escapes of JSON that are one character are one."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


_SCALARS: Final = {
    f"{_TAG}null": lambda text: None,
    f"{_TAG}bool": lambda text: text.lower() == "true",
    f"{_TAG}int": _int,
    f"{_TAG}float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    f"{_TAG}str": _joined_surrogates,
}


def read_yaml(text: str, file: str) -> Entry:
    """The content of a YAML file.

    Raises:
        CompileError: for text that is not YAML, a repeated key, or a tag; with all lines.
    """
    try:
        node = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = SourceLocation(file, 1 if mark is None else mark.line + 1)
        raise _invalid("YAML", error.problem or str(error), place, _hint(error, text)) from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise _invalid("YAML", str(error).partition("\n")[0], SourceLocation(file, line)) from None
    except RecursionError:
        raise _invalid("YAML", "it is nested too deeply", SourceLocation(file, 1)) from None
    if node is None:
        return Entry(None, SourceLocation(file, 1))
    reader = _Reader(file)
    try:
        entry = reader.read(node, reader.place(node))
    except RecursionError:
        raise _invalid("YAML", "an alias contains itself, or it is nested too deeply", reader.place(node)) from None
    if reader.problems:
        raise CompileError(reader.problems)
    return entry


def read_json(text: str, file: str) -> Entry:
    """The content of a JSON file; raises as `read_yaml` does."""

    def refuse(constant: str) -> None:
        raise json.JSONDecodeError(f"{constant} is not part of JSON", text, text.find(constant))

    try:
        json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise _invalid("JSON", error.msg, SourceLocation(file, error.lineno)) from None
    except RecursionError:
        raise _invalid("JSON", "it is nested too deeply", SourceLocation(file, 1)) from None
    plain = text.replace("\t", " ")  # JSON has no tabs inside strings
    return read_yaml(re.sub(r"[^\x00-\x7e]", lambda found: f"\\U{ord(found[0]):08x}", plain), file)


def _invalid(language: str, problem: str, place: SourceLocation, hint: str = "") -> CompileError:
    message = f"The file is not valid {language}: {shorten(problem)}."
    return CompileError([Diagnostic("E003", "file", message, hint, place)])


def _hint(error: yaml.MarkedYAMLError, text: str) -> str:
    lines = [*text.splitlines(), ""]
    line = lines[min(error.problem_mark.line, len(lines) - 1)] if error.problem_mark is not None else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent by spaces"
    name, _, value = (part.strip() for part in line.partition(":"))
    if "mapping values" in str(error.problem) and not value.startswith(("{", "[")):
        return f"write the whole value in quotes: {name}: '{value}'"
    return "write text with brackets, braces or colons in quotes: '...'" if "(" in line else ""


@attrs.define
class _Reader:
    """Turns nodes into entries; collects what is wrong."""

    file: str
    problems: list[Diagnostic] = attrs.field(factory=list)
    count: int = 0

    def place(self, node: yaml.Node) -> SourceLocation:
        return SourceLocation(self.file, node.start_mark.line + 1)

    def read(self, node: yaml.Node, place: SourceLocation) -> Entry:
        self.count += 1
        if self.count > MAX_ENTRIES:
            raise _invalid("YAML", f"it has more than {MAX_ENTRIES:,} values", place)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return Entry([self.read(part, self.place(part)) for part in node.value], place)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return Entry(self._mapping(node), place)
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node, place)
        hint = "write plain values: numbers, text, lists and mappings"
        self._add(place, "E003", f"The tag {node.tag.replace(_TAG, '!!')} is not allowed.", hint)
        return Entry(None, place)

    def _scalar(self, node: yaml.ScalarNode, place: SourceLocation) -> Entry:
        try:
            return Entry(_SCALARS[node.tag](node.value), place)
        except ValueError as error:  # a tag that does not fit, or too many digits
            self._add(place, "E003", f"{shorten(repr(node.value))} cannot be read: {reason(error)}.", "")
            return Entry(None, place)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Entry]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in node.value:
            place = self.place(key)
            if key.tag == f"{_TAG}merge":
                for base in self._merged(value, place):
                    merged = {**base, **merged}
            elif not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAG}str":
                shown = repr(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                hint = f"write it in quotes: {key.value!r}" if isinstance(key, yaml.ScalarNode) else ""
                self._add(place, "E003", f"A key must be text, not {shorten(shown)}.", hint)
            elif (name := _joined_surrogates(key.value)) in own:
                message = f"The key {shorten(name)} is already set ({own[name].place})."
                self._add(place, "E004", message, "remove one of the two")
            else:
                own[name] = self.read(value, place)
        return {**{each: entry for each, entry in merged.items() if each not in own}, **own}

    def _merged(self, node: yaml.Node, place: SourceLocation) -> Iterator[dict[str, Entry]]:
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(part, yaml.MappingNode):
                yield self._mapping(part)
            else:
                self._add(place, "E003", "The value of << must be a mapping.", "write <<: *name")

    def _add(self, place: SourceLocation, code: str, message: str, hint: str) -> None:
        self.problems.append(Diagnostic(code, "file", message, hint, place))

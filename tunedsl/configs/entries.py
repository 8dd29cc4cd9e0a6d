"""The content of a file: values, each with its line. Parsers are in `yaml_files` and `toml_files`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tunedsl.base.diagnostics import Diagnostic, SourceLocation, shorten


@attrs.frozen
class Entry:
    """A value and where it is written.

    Attributes:
        content: a list of entries, a dict of entries, or any other object, which is a value.
        place: the file and line; None for data that is not from a file.
    """

    content: Any
    place: SourceLocation | None = None

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.content, dict):
            return {name: entry.plain() for name, entry in self.content.items()}
        return [entry.plain() for entry in self.content] if isinstance(self.content, list) else self.content

    def error(self, code: str, subject: str, message: str, hint: str = "") -> Diagnostic:
        """The diagnostic for this entry."""
        return Diagnostic(code, subject, message, hint, self.place)

    def located(self, found: Diagnostic) -> Diagnostic:
        """A diagnostic at the line of this entry, or of the argument in it that the diagnostic is about."""
        about = found.message.partition(", not ")[0]
        parts = self.content.items() if isinstance(self.content, dict) else ()
        place = next((part.place for name, part in parts if _is_named(name, found.subject, about)), self.place)
        return attrs.evolve(found, place=place)

    def wrong(self, subject: str, requirement: str, hint: str = "") -> Diagnostic:
        """The diagnostic for a value of the wrong kind."""
        shown = shorten(repr(self.plain()))
        return self.error("E003", subject, f"{subject} must be {requirement}, not {shown}.", hint)


def entry_of(item: Any) -> Entry:
    """Data of this process as an entry: mappings and sequences, those of OmegaConf included, and other objects."""
    if isinstance(item, Mapping):
        return Entry({name: entry_of(item[name]) for name in item})
    if isinstance(item, Sequence) and not isinstance(item, (str, bytes, tuple)):
        return Entry([entry_of(part) for part in item])
    return Entry(item)


def _is_named(name: Any, subject: str, message: str) -> bool:
    return subject.endswith(f".{name}") or f"{name!r}" in message

"""Reads the values of a file: constants, expressions as text, and calls as mappings such as `{asha: {max_t: 81}}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from tunedsl.base.diagnostics import Diagnostic, shorten
from tunedsl.base.errors import ArgumentError
from tunedsl.configs import foreign
from tunedsl.configs.entries import Entry
from tunedsl.configs.expressions import (
    DOMAINS,
    is_expression,
    language_functions,
    names_in,
    policy_functions,
    program_functions,
    read_expression,
)
from tunedsl.configs.references import import_object, is_reference
from tunedsl.plan import backoff, command
from tunedsl.spaces import sample_from

_ONE_ARGUMENT: Final = ("choice", "grid")
"""Functions for which a list or mapping is one argument."""
_PARAM_CALLS: Final = (*DOMAINS, "sample_from")
"""What a mapping with one key may call as a parameter."""


@attrs.frozen
class ValueReader:
    """Reads values; what is wrong is added to `problems`, and the value is then meaningless.

    Attributes:
        problems: receives diagnostics at the lines of the values.
        folder: the file's folder; None without a file.
        params: the names of the parameters, which text may have mentioned by mistake.
    """

    problems: list[Diagnostic]
    folder: Path | None
    params: Collection[str]

    def value(self, subject: str, entry: Entry, calls: Collection[str] = ()) -> Any:
        """A constant, an expression, or a list or mapping of these.

        Args:
            calls: the functions that a mapping with one key may call.
        """
        content = entry.content
        if isinstance(content, dict):
            if _is_call(content, calls):
                return self._call(subject, entry, language_functions(), calls)
            return {name: self.value(f"{subject}.{name}", part, calls) for name, part in content.items()}
        if isinstance(content, list):
            return [self.value(subject, part, calls) for part in content]
        if isinstance(content, str):
            return self._text(subject, entry)
        return content

    def param(self, subject: str, entry: Entry) -> Any:
        """A parameter, or a nested space."""
        written = foreign.domain(entry.plain()) if isinstance(entry.content, dict) else ""
        if written:
            message = f"{subject} is written as in another tool: {shorten(repr(entry.plain()))}."
            self.problems.append(entry.error("E003", subject, message, f"write {written}"))
            return None
        if isinstance(entry.content, dict) and not _is_call(entry.content, _PARAM_CALLS):
            return {name: self.param(f"{subject}.{name}", part) for name, part in entry.content.items()}
        return self.value(subject, entry, _PARAM_CALLS)

    def expression(self, subject: str, entry: Entry, functions: Mapping[str, Callable[..., Any]] | None = None) -> Any:
        """An expression, a function's name with or without arguments, or an object as `module:name`."""
        content = entry.content
        known = language_functions() if functions is None else functions
        if isinstance(content, dict):
            if len(content) != 1:
                self.problems.append(entry.wrong(subject, "one name with its arguments", "write {name: {argument: 1}}"))
                return None
            return self._call(subject, entry, known, known)
        if not isinstance(content, str):
            return entry.plain()
        if is_reference(content):
            return self._tried(entry, lambda: import_object(subject, content, self.folder))
        text = f"{content}()" if content.isidentifier() else content
        return self._tried(entry, lambda: read_expression(subject, text, known))

    def keyword(self, clause: str, name: str, entry: Entry) -> Any:
        """The value of a keyword of a clause."""
        subject = f"{clause}.{name}"
        if subject == "retry.backoff" and isinstance(entry.content, dict):
            return self._tried(entry, lambda: backoff(**{word: part.plain() for word, part in entry.content.items()}))
        if clause == "data" and is_reference(entry.content):
            return self._tried(entry, lambda: import_object(subject, entry.content, self.folder))
        return self.value(subject, entry)

    def command(self, entry: Entry) -> Any:
        """The program of the key `command`: a command line, a list of arguments, or a mapping with options."""
        hint = foreign.for_command(entry.plain())
        if hint:
            self.problems.append(entry.wrong("command", "a program with {name} for each parameter", hint))
            return None
        if not isinstance(entry.content, dict):
            return command(entry.plain())
        count = len(self.problems)
        words = {name: part.plain() for name, part in entry.content.items()}
        if "metrics" in words:
            given = entry.content["metrics"]
            parts = given.content if isinstance(given.content, list) else [given]
            words["metrics"] = [self.expression("command.metrics", part, program_functions()) for part in parts]
        return None if len(self.problems) > count else self._tried(entry, lambda: command(**words))

    def _text(self, subject: str, entry: Entry) -> Any:
        text: str = entry.content
        if is_expression(text):
            return self._tried(entry, lambda: read_expression(subject, text))
        named = sorted(names_in(text) & set(self.params))
        if named:
            written = re.sub(rf"\b({'|'.join(named)})\b", r'ref("\1")', text)
            message = f"{subject} is the text {shorten(repr(text))}, which names the parameter {named[0]}."
            self.problems.append(entry.error("E003", subject, message, f"write {written}, or '\"{text}\"' for text"))
        return text

    def _call(self, subject: str, entry: Entry, known: Mapping[str, Callable[..., Any]], calls: Collection[str]) -> Any:
        """The value of `{name: arguments}`: a mapping has keywords, a list positional arguments."""
        (name, given), *_ = entry.content.items()
        if name == "sample_from" and name in calls:
            return self._tried(given, lambda: sample_from(import_object(subject, given.plain(), self.folder)))
        if name not in known:  # the error of an unknown function, with its hint
            return self._tried(entry, lambda: read_expression(subject, f"{name}()", known))

        def argument(part: Entry, at: str = subject) -> Any:
            is_policy = name in policy_functions() and isinstance(part.content, str)
            if is_policy and part.content in policy_functions():
                return self.expression(at, part, known)
            return self.value(at, part, calls)

        count = len(self.problems)
        args: list[Any] = []
        words: dict[str, Any] = {}
        if name not in _ONE_ARGUMENT and isinstance(given.content, list):
            args = [argument(part) for part in given.content]
        elif name not in _ONE_ARGUMENT and isinstance(given.content, dict) and not _is_call(given.content, calls):
            words = {word: argument(part, f"{subject}.{word}") for word, part in given.content.items()}
        elif given.content is not None:
            args = [argument(given)]
        return None if len(self.problems) > count else self._tried(given, lambda: known[name](*args, **words))

    def _tried(self, entry: Entry, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except ArgumentError as error:
            self.problems.append(entry.located(error.diagnostic))
            return None


def _is_call(content: dict[str, Entry], calls: Collection[str]) -> bool:
    """Whether a mapping calls a function."""
    return len(content) == 1 and next(iter(content)) in calls

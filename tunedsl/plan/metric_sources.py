"""Specs of the sources of a program's metrics: lines of its output, lines of a file, TensorBoard files.

A worker reads them (`tunedsl.worker.program_metrics`). Public names are in `tunedsl.metrics`.
"""

from __future__ import annotations

import os
import re
from typing import Final

from tunedsl.base.arguments import as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError, wrong_value
from tunedsl.base.references import call_repr

STREAMS: Final = ("stdout", "stderr")


@value(repr=False)
class KeyValues:
    """`name=number` pairs in the lines of a source."""

    source: str = "stdout"

    def __repr__(self) -> str:
        return call_repr("key_values", self)


@value(repr=False)
class JsonLines:
    """Lines of a source that are JSON objects."""

    source: str = "stdout"

    def __repr__(self) -> str:
        return call_repr("jsonl", self, 1 if self.source != "stdout" else 0)


@value(repr=False)
class Pattern:
    """The named groups of a regular expression in the lines of a source."""

    regex: str
    source: str = "stdout"

    def __repr__(self) -> str:
        return call_repr("pattern", self, 1)


@value(repr=False)
class TensorboardEvents:
    """The scalars of the event files in a folder and its subfolders."""

    folder: str

    def __repr__(self) -> str:
        return call_repr("tensorboard_events", self, 1)


MetricSource = KeyValues | JsonLines | Pattern | TensorboardEvents


def path_of(source: MetricSource) -> str | None:
    """The file or folder that a source reads, as written; None for an output stream."""
    path = source.folder if isinstance(source, TensorboardEvents) else source.source
    return None if path in STREAMS else path


@check_arguments
def key_values(source: str | os.PathLike[str] = "stdout") -> KeyValues:
    """Reads `name=number` pairs, such as `epoch=3 val/loss=0.25`; other words of a line are ignored.

    Args:
        source: `"stdout"`, `"stderr"`, or the path of a file that the program appends to.

    Raises:
        ArgumentError: for a source that is not text or a path.

    >>> key_values("stderr")
    key_values(source='stderr')
    """
    return KeyValues(_source("key_values.source", source))


@check_arguments
def jsonl(source: str | os.PathLike[str] = "stdout") -> JsonLines:
    """Reads each line that is a JSON object, such as `{"loss": 0.25}`; `NaN` and numbers in quotes are numbers.

    Args:
        source: `"stdout"`, `"stderr"`, or the path of a file that the program appends to.

    Raises:
        ArgumentError: for a source that is not text or a path.

    >>> jsonl("{folder}/metrics.jsonl")
    jsonl('{folder}/metrics.jsonl')
    """
    return JsonLines(_source("jsonl.source", source))


@check_arguments
def pattern(regex: str, source: str | os.PathLike[str] = "stdout") -> Pattern:
    r"""Reads the named groups of a regular expression, searched for in each line.

    Args:
        regex: an expression in Python's syntax with a named group for each metric.
        source: `"stdout"`, `"stderr"`, or the path of a file that the program appends to.

    Raises:
        ArgumentError: for an invalid expression, or one without a named group.

    >>> pattern(r"loss: (?P<loss>\S+)")
    pattern('loss: (?P<loss>\\S+)')
    """
    text = as_text("pattern.regex", regex)
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        raise ArgumentError("E003", "pattern.regex", f"{text!r} is not a regular expression: {error}.") from None
    if not groups:
        hint = r"pattern(r'loss: (?P<loss>\S+)')"
        raise wrong_value("pattern.regex", text, "an expression with a named group for each metric", hint)
    return Pattern(text, _source("pattern.source", source))


@check_arguments
def tensorboard_events(folder: str | os.PathLike[str]) -> TensorboardEvents:
    """Reads the scalars that the program writes for TensorBoard; one step is one report.

    A metric is named by its tag, and in a subfolder by the subfolder and its tag: `validation/epoch_loss`. It needs
    `tensorboardX`: `pip install tunedsl[tensorboard]`.

    Args:
        folder: where the program writes its event files.

    Raises:
        ArgumentError: for a folder that is not text or a path.

    >>> tensorboard_events("{folder}/logs")
    tensorboard_events('{folder}/logs')
    """
    return TensorboardEvents(_source("tensorboard_events.folder", folder))


def _source(subject: str, source: str | os.PathLike[str]) -> str:
    return as_text(subject, os.fspath(source) if isinstance(source, os.PathLike) else source)

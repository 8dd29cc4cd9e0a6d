"""Reads metrics from a program's output: lines of streams and of files, and TensorBoard's event files.

A reader yields rows of metrics, each with a step if the source has one. `Rows` joins them to reports.
"""

from __future__ import annotations

import contextlib
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from tunedsl.base.types import AUTOMATIC_METRICS
from tunedsl.plan.metric_sources import JsonLines, KeyValues, MetricSource, Pattern, TensorboardEvents

MAX_LINE: Final = 2**20
"""Maximum bytes of a line; the rest of a longer line is ignored."""
MAX_EVENT: Final = 2**24
"""Maximum bytes of an event in a TensorBoard file; larger events, such as images, are skipped."""
MAX_PENDING: Final = 1000
"""Maximum number of incomplete iterations, of which some metrics are known and others are missing."""
CHECKPOINT: Final = "checkpoint"
"""The name in a row for the folder of its checkpoint."""

_NUMBER: Final = r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?i:nan|inf(?:inity)?))"
_PAIR: Final = re.compile(
    rf"(?<![\w.])(?:(?P<folder>{CHECKPOINT})\s*=\s*(?P<path>\S+)"
    rf"|(?P<name>[A-Za-z_][\w./@-]*)\s*=\s*(?P<number>{_NUMBER})(?=$|[\s,;|)\]}}%]))"
)
_TAIL_BYTES: Final = 64

Row = dict[str, Any]
StepRow = tuple[int | None, Row]


class Lines:
    """Splits bytes into lines, at newlines and carriage returns, in bounded memory."""

    def __init__(self) -> None:
        self._rest = b""
        self._skips = False

    def feed(self, data: bytes) -> Iterator[str]:
        """Add bytes; yield the lines that are now complete."""
        *ended, rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in ended:
            if line and not self._skips and len(line) <= MAX_LINE:
                yield line.decode("utf-8", "replace")
            self._skips = False
        self._skips = self._skips or len(rest) > MAX_LINE
        self._rest = b"" if self._skips else rest

    def end(self) -> Iterator[str]:
        """Yield the last line if no newline ended it."""
        yield from self.feed(b"\n")


def parse_line(source: MetricSource, line: str) -> Row:
    """The metrics in a line; empty if it has none.

    >>> parse_line(KeyValues(), "epoch=3, loss=1e-2 (lr=fast)")
    {'epoch': 3, 'loss': 0.01}
    """
    match source:
        case KeyValues():
            return {
                found["folder"] or found["name"]: found["path"] if found["folder"] else _number(found["number"])
                for found in _PAIR.finditer(line)
            }
        case JsonLines():
            with contextlib.suppress(ValueError, RecursionError):
                row = json.loads(line) if line.lstrip().startswith("{") else None
                if isinstance(row, dict):
                    return {name: _number(item) if isinstance(item, str) else item for name, item in row.items()}
        case Pattern(regex=regex):
            return {
                name: text if name == CHECKPOINT else _number(text)
                for found in re.finditer(regex, line)
                for name, text in found.groupdict().items()
                if text is not None
            }
    return {}


def _number(text: str) -> Any:
    """A number in text as an int or a float; other text unchanged."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


class FileTail:
    """Reads new content of a file; reads a new or replaced file from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position, self._tail = 0, b""
        with contextlib.suppress(OSError), path.open("rb") as file:
            self._position = path.stat().st_size
            file.seek(max(0, self._position - _TAIL_BYTES))
            self._tail = file.read(self._position - file.tell())

    def read(self) -> Iterator[bytes]:
        """Yield the new content in blocks."""
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            file.seek(self._position - len(self._tail))
            if file.read(len(self._tail)) != self._tail:
                self._position, self._tail = 0, b""
                file.seek(0)
            while block := file.read(2**16):
                self._position += len(block)
                self._tail = (self._tail + block)[-_TAIL_BYTES:]
                yield block


class EventFile:
    """Reads the scalars that are appended to one event file: records of length, checksum, content, checksum."""

    def __init__(self, path: Path, prefix: str, skips: bool) -> None:
        self._path, self._prefix = path, prefix
        self._position = path.stat().st_size if skips else 0

    def read(self) -> Iterator[tuple[int, str, float]]:
        """Yield step, name and value of the new scalars; incomplete records wait for the next call."""
        from tensorboardX.crc32c import crc32c
        from tensorboardX.proto.event_pb2 import Event

        with contextlib.suppress(OSError), self._path.open("rb") as file:
            size = self._path.stat().st_size
            while size - self._position >= 12:
                file.seek(self._position)
                head = file.read(12)
                length, check = struct.unpack("<QI", head)
                if _masked(crc32c(head[:8])) != check or size - self._position < length + 16:
                    return
                content = file.read(length) if length <= MAX_EVENT else b""
                self._position += length + 16
                yield from self._scalars(Event, content)

    def _scalars(self, event_class: Any, content: bytes) -> Iterator[tuple[int, str, float]]:
        event = event_class()
        try:
            event.ParseFromString(content)
        except Exception:  # protobuf's own error, in any of its versions
            return
        for item in event.summary.value:
            number = _scalar(item)
            if number is not None:
                yield event.step, self._prefix + item.tag, number


def _masked(checksum: int) -> int:
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _scalar(item: Any) -> float | None:
    """The number of a summary, which TensorFlow 2 writes as a tensor."""
    kind = item.WhichOneof("value")
    if kind == "simple_value":
        return float(item.simple_value)
    if kind != "tensor":
        return None
    tensor = item.tensor
    for numbers in (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val):
        if len(numbers) == 1:
            return float(numbers[0])
    form = {(1, 4): "<f", (2, 8): "<d"}.get((tensor.dtype, len(tensor.tensor_content)))  # DT_FLOAT, DT_DOUBLE
    return None if form is None else float(struct.unpack(form, tensor.tensor_content)[0])


class EventFolder:
    """Reads the event files in a folder; the scalars of a step are one row, complete when another step begins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, EventFile] = {}
        self._step: int | None = None
        self._row: Row = {}
        self._find(skips=True)

    def read(self) -> Iterator[StepRow]:
        """Yield the rows that are complete: also the last one, if nothing was added since the previous call."""
        self._find(skips=False)
        is_quiet = True
        for file in self._files.values():
            for step, name, number in file.read():
                is_quiet = False
                if step != self._step:
                    yield from self.end()
                    self._step = step
                self._row[name] = number
        if is_quiet:
            yield from self.end()

    def end(self) -> Iterator[StepRow]:
        """Yield the last row."""
        if self._row:
            step, row, self._step, self._row = self._step, self._row, None, {}
            yield step, row

    def _find(self, skips: bool) -> None:
        for path in sorted(self._folder.rglob("*tfevents*")):
            if path not in self._files:
                prefix = path.parent.relative_to(self._folder).as_posix()
                with contextlib.suppress(OSError):
                    self._files[path] = EventFile(path, "" if prefix == "." else f"{prefix}/", skips)


@attrs.define
class FileReader:
    """Reads the rows of one source that is a file."""

    source: MetricSource
    tail: FileTail
    lines: Lines = attrs.Factory(Lines)

    def read(self) -> Iterator[StepRow]:
        """Yield the rows of the lines that are complete now."""
        for block in self.tail.read():
            yield from ((None, parse_line(self.source, line)) for line in self.lines.feed(block))

    def end(self) -> Iterator[StepRow]:
        """Yield the row of a last line without a newline."""
        yield from ((None, parse_line(self.source, line)) for line in self.lines.end())


def reader_of(source: MetricSource, path: Path) -> FileReader | EventFolder:
    """The reader of a source that is a file or a folder."""
    return EventFolder(path) if isinstance(source, TensorboardEvents) else FileReader(source, FileTail(path))


class Rows:
    """Joins rows to reports: a report has all objectives and the metrics that precede them.

    With an iteration, the rows of the same iteration are joined, and repeated iterations are dropped.

    Args:
        objectives: the metrics that a report has; without them, every row is a report.
        iteration: the metric that counts iterations.

    Attributes:
        last: the iteration of the last report, or the step of its source; None without either.
    """

    def __init__(self, objectives: Sequence[str], iteration: str | None = None) -> None:
        self._objectives = frozenset(objectives)
        self._iteration = iteration
        self._current: int | None = None
        self.last: int | None = None
        self._pending: dict[int | None, Row] = {}

    def add(self, row: Row, step: int | None = None) -> Row | None:
        """Add a row; return the report that it completes, or None."""
        row = {name: item for name, item in row.items() if name not in AUTOMATIC_METRICS}
        if not row:
            return None
        if self._iteration is not None:
            step = self._step_of(row, step)
            row.setdefault(self._iteration, step)
        if step is not None and self.last is not None and step <= self.last:
            return None
        joined = {**self._pending.pop(step, {}), **row}
        if self._objectives <= joined.keys() and (self._objectives & row.keys() or not self._objectives):
            self.last = step if step is not None else self.last
            self._pending = {
                key: item for key, item in self._pending.items() if key is None or step is None or key > step
            }
            return joined
        self._pending[step] = joined
        if len(self._pending) > MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        return None

    def _step_of(self, row: Mapping[str, Any], step: int | None) -> int | None:
        """The iteration of a row: its own, the step of its source, or that of the previous row."""
        count = row.get(self._iteration or "")
        if isinstance(count, (int, float)) and count == count and abs(count) < 2**63:
            self._current = int(count)
            return self._current
        return self._current if step is None else step

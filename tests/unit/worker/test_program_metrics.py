"""Metrics from lines of output, from files that grow, and from TensorBoard's event files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedsl.metrics import jsonl, key_values, pattern, tensorboard_events
from tunedsl.plan.metric_sources import MetricSource
from tunedsl.worker.program_metrics import MAX_LINE, MAX_PENDING, FileTail, Lines, Rows, parse_line, reader_of


@pytest.mark.parametrize(
    ("source", "line", "row"),
    [
        (key_values(), "epoch=3 val/loss=2.5e-1", {"epoch": 3, "val/loss": 0.25}),
        (key_values(), "[loss = -.5, acc=93%]", {"loss": -0.5, "acc": 93}),
        (key_values(), "loss=-inf acc=Infinity", {"loss": -math.inf, "acc": math.inf}),
        (key_values(), "lr=fast size=3MB step=2of9 a==3", {}),
        (key_values(), "loss=1 checkpoint=/tmp/a-3", {"loss": 1, "checkpoint": "/tmp/a-3"}),
        (key_values(), "nothing to see", {}),
        (jsonl(), ' {"loss": "0.5", "name": "a", "n": 1}', {"loss": 0.5, "name": "a", "n": 1}),
        (jsonl(), '{"loss": -Infinity}', {"loss": -math.inf}),
        (jsonl(), '{"loss": ', {}),
        (jsonl(), "[1, 2]", {}),
        (jsonl(), '{"a":' * 100_000, {}),
        (pattern(r"loss: (?P<loss>\S+)( acc: (?P<acc>\S+))?"), "loss: 0.5", {"loss": 0.5}),
        (pattern(r"(?P<loss>\d+)"), "1 2 3", {"loss": 3}),
        (pattern(r"(?P<loss>\S+)"), "0x", {"loss": "0x"}),
    ],
)
def test_a_line_is_read(source: MetricSource, line: str, row: dict[str, Any]) -> None:
    assert parse_line(source, line) == row


@pytest.mark.parametrize(
    ("source", "line"), [(key_values(), "loss=NaN"), (jsonl(), '{"loss": NaN}'), (pattern("(?P<loss>nan)"), "nan")]
)
def test_nan_is_a_number(source: MetricSource, line: str) -> None:
    assert math.isnan(parse_line(source, line)["loss"])


@given(st.binary(), st.lists(st.integers(0, 50)))
def test_lines_do_not_depend_on_how_bytes_arrive(data: bytes, cuts: list[int]) -> None:
    whole = Lines()
    expected = [*whole.feed(data), *whole.end()]
    lines, found = Lines(), list[str]()
    for cut in [*cuts, len(data)]:
        found += lines.feed(data[:cut])
        data = data[cut:]
    found += lines.feed(data)
    assert [*found, *lines.end()] == expected


def test_a_huge_line_takes_bounded_memory_and_is_ignored() -> None:
    lines = Lines()
    assert not [line for _ in range(40) for line in lines.feed(b"x" * (MAX_LINE // 4))]
    assert len(lines._rest) <= MAX_LINE
    assert list(lines.feed(b"loss=1\nloss=2\n")) == ["loss=2"]


def test_a_file_is_read_from_where_it_ended_and_from_its_beginning_when_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text("old\n")
    tail = FileTail(path)

    def read() -> bytes:
        return b"".join(tail.read())

    assert read() == b""
    with path.open("a") as file:
        file.write("a\nb")
    assert read() == b"a\nb"
    assert read() == b""
    path.write_text("another content that is longer than before\n")
    assert read() == path.read_bytes()
    path.unlink()
    assert read() == b""
    path.write_text("x")
    assert read() == b"x"


def test_a_file_may_appear_later(tmp_path: Path) -> None:
    reader = reader_of(jsonl(), tmp_path / "sub" / "m.jsonl")
    assert list(reader.read()) == []
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "m.jsonl").write_text('{"loss": 1}\n{"loss": 2}')
    assert list(reader.read()) == [(None, {"loss": 1})]
    assert list(reader.end()) == [(None, {"loss": 2})]


def test_the_scalars_of_a_step_are_one_row(tmp_path: Path) -> None:
    board = pytest.importorskip("tensorboardX")
    old = board.SummaryWriter(str(tmp_path))
    old.add_scalar("loss", 9.0, 1)
    old.close()
    reader = reader_of(tensorboard_events("unused"), tmp_path)
    writer, below = board.SummaryWriter(str(tmp_path), filename_suffix=".new"), board.SummaryWriter(str(tmp_path / "v"))
    for step in (1, 2):
        writer.add_scalar("loss", 1 / step, step)
        writer.add_scalar("acc", step, step)
        writer.add_text("note", "no number", step)
    writer.close()
    assert list(reader.read()) == [(1, {"loss": 1.0, "acc": 1.0})]
    assert list(reader.read()) == [(2, {"loss": 0.5, "acc": 2.0})]
    below.add_scalar("loss", 3.0, 2)
    below.close()
    assert [*reader.read(), *reader.end()] == [(2, {"v/loss": 3.0})]


def test_an_incomplete_or_damaged_event_waits(tmp_path: Path) -> None:
    board = pytest.importorskip("tensorboardX")
    reader = reader_of(tensorboard_events("unused"), tmp_path / "logs")
    writer = board.SummaryWriter(str(tmp_path / "made"))
    writer.add_scalar("loss", 0.5, 1)
    writer.close()
    (content,) = [path.read_bytes() for path in (tmp_path / "made").iterdir()]
    (tmp_path / "logs").mkdir()
    target = tmp_path / "logs" / "events.out.tfevents.1"
    for size in (0, 5, 40, len(content) - 1):
        target.write_bytes(content[:size])
        assert list(reader.read()) == []
    target.write_bytes(content + b"\0" * 40)
    assert [*reader.read(), *reader.end()] == [(1, {"loss": 0.5})]


def test_tensors_of_tensorflow_are_scalars(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter

    reader = reader_of(tensorboard_events("unused"), tmp_path)
    event = Event(step=3)
    value = event.summary.value.add(tag="loss")
    value.tensor.dtype = 1
    value.tensor.tensor_content = b"\0\0\0?"
    records = RecordWriter(str(tmp_path / "events.tfevents.1"))
    records.write(event.SerializeToString())
    records.close()
    assert [*reader.read(), *reader.end()] == [(3, {"loss": 0.5})]


def test_rows_are_joined_until_all_objectives_are_there() -> None:
    rows = Rows(["loss", "size"])
    assert rows.add({"lr": 0.1}) is None
    assert rows.add({"loss": 1}) is None
    assert rows.add({"size": 2}) == {"lr": 0.1, "loss": 1, "size": 2}
    assert rows.add({"lr": 0.2}) is None
    assert rows.add({}) is None


def test_without_objective_every_row_is_a_report() -> None:
    assert Rows([]).add({"a": 1}) == {"a": 1}


def test_names_that_are_counted_automatically_are_dropped() -> None:
    assert Rows(["loss"]).add({"loss": 1, "training_iteration": 3}) == {"loss": 1}


def test_an_iteration_joins_sources_and_drops_repetitions() -> None:
    rows = Rows(["loss"], "epoch")
    assert rows.add({"epoch": 1, "lr": 0.1}) is None
    assert rows.add({"loss": 0.5}, 1) == {"epoch": 1, "lr": 0.1, "loss": 0.5}
    assert rows.add({"epoch": 1, "loss": 0.4}) is None
    assert rows.add({"epoch": "2", "loss": 9}) is None
    assert rows.add({"epoch": 2.0, "loss": 0.3}) == {"epoch": 2.0, "loss": 0.3}


def test_incomplete_iterations_take_bounded_memory() -> None:
    rows = Rows(["loss"], "epoch")
    for epoch in range(10 * MAX_PENDING):
        rows.add({"epoch": epoch, "lr": 0.1})
    assert len(rows._pending) <= MAX_PENDING

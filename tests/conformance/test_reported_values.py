"""Reported values come back unchanged in results, frames, files, sinks and stop functions."""

from __future__ import annotations

import csv as library
import datetime as dates
import enum
import json
import math
import uuid
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tunedsl import load, report, space, uniform
from tunedsl.backends import Recorded, SimulatedEngine
from tunedsl.base import codec
from tunedsl.base.plain_json import plain_json
from tunedsl.experiment import Experiment
from tunedsl.results import Results
from tunedsl.sinks import Sink, csv, jsonl


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Word(enum.StrEnum):
    HELLO = "hello"


VALUES: dict[str, tuple[Any, Any]] = {
    "per_class": ({0: 0.5, 1.5: 0.25}, {0: 0.5, 1.5: 0.25}),
    "shape": ((3, 4), (3, 4)),
    "nested": ({"a": [(1, {2: {"b": (3,)}})]}, {"a": [(1, {2: {"b": (3,)}})]}),
    "money": ({"$price": 1, "$": (2,)}, {"$price": 1, "$": (2,)}),
    "set": ({3, 1, 2}, {1, 2, 3}),
    "frozen": (frozenset({(1, 2)}), frozenset({(1, 2)})),
    "array": (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    "arrays": ({"a": np.array([1.5, 2.5])}, {"a": [1.5, 2.5]}),
    "inside": ([np.float32(0.5), np.int8(2), np.bool_(True), np.str_("a")], [0.5, 2, True, "a"]),
    "moment": (dates.datetime(2024, 1, 2, 3, 4, 5, 6), dates.datetime(2024, 1, 2, 3, 4, 5, 6)),
    "zoned": (dates.datetime(2024, 1, 2, tzinfo=dates.UTC), dates.datetime(2024, 1, 2, tzinfo=dates.UTC)),
    "stamp": (pd.Timestamp("2024-01-02 03:04:05"), dates.datetime(2024, 1, 2, 3, 4, 5)),
    "nat": (pd.NaT, None),
    "numpy_nat": (np.datetime64("NaT"), None),
    "numpy_moment": (np.datetime64("2024-01-02T03:04:05", "ns"), dates.datetime(2024, 1, 2, 3, 4, 5)),
    "day": (dates.date(2024, 1, 2), dates.date(2024, 1, 2)),
    "time": (dates.time(3, 4), dates.time(3, 4)),
    "span": (dates.timedelta(days=1, microseconds=3), dates.timedelta(days=1, microseconds=3)),
    "decimals": ([Decimal("0.10")], [Decimal("0.10")]),
    "fractions": ([Fraction(1, 3)], [Fraction(1, 3)]),
    "complex": (1 + 2j, 1 + 2j),
    "numpy_complex": (np.complex64(1 + 2j), 1 + 2j),
    "path": (Path("a/b"), Path("a/b")),
    "bytes": (b"\x00\xff", b"\x00\xff"),
    "uuid": (uuid.UUID(int=7), uuid.UUID(int=7)),
    "range": (range(1, 9, 2), range(1, 9, 2)),
    "colour": (Colour.RED, Colour.RED),
    "colours": ({Colour.BLUE: 1}, {Colour.BLUE: 1}),
    "word": (Word.HELLO, "hello"),
    "none": (None, None),
    "empty": ((), ()),
    "text": (np.str_("text"), "text"),
    "function": (math.sqrt, math.sqrt),
}
NUMBERS = {
    "decimal": (Decimal("0.5"), 0.5),
    "fraction": (Fraction(1, 4), 0.25),
    "long": (np.longdouble("0.5"), 0.5),
    "scalar": (np.float16(0.5), 0.5),
    "zero_d": (np.array(3), 3),
    "truth": (np.bool_(True), True),
    "masked": (np.ma.masked, math.nan),
    "na": (pd.NA, math.nan),
}
FORMS = ("$map", "$tuple", "$set", "$frozenset", "$float", "$object", "$value", "$datetime", "$bytes", "$path")


def train(config: dict[str, Any]) -> None:
    for _ in range(2):
        report(loss=config["x"], **{name: given for name, (given, _) in (VALUES | NUMBERS).items()})


SEEN: list[dict[str, Any]] = []


def seen(trial_id: str, result: dict[str, Any]) -> bool:
    SEEN.append(result)
    return False


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    return type(found) is type(expected) and found == expected


def experiment(store: Path) -> Experiment:
    return space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).seed(0).parallel(1).store(store)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    SEEN.clear()
    store = tmp_path_factory.mktemp("values")
    return experiment(store).stop(seen).sinks(csv(), jsonl()).order("logical").run("inline", quiet=True)


@pytest.mark.parametrize("name", [*VALUES, *NUMBERS])
def test_a_value_comes_back(results, name):
    _, expected = (VALUES | NUMBERS)[name]
    assert not results.errors, results.errors[0]
    row = load(results.path).trials[1].metrics
    assert same(row[name], expected), row[name]
    for frame in (results.dataframe(), results.trials[0].curve, results.curves):
        held = frame[name].iloc[0]
        assert same(held, expected) or (name in NUMBERS and same(float(held), float(expected))), held
    assert all(same(result[name], expected) for result in SEEN), "a stop function sees the same"


def test_files_have_no_internal_forms(results, tmp_path):
    folder = results.trials[0].path
    texts = [(folder / "progress.csv").read_text(), (folder / "reports.jsonl").read_text()]
    texts.append(results.to_csv(tmp_path / "all.csv").read_text())
    for text in texts:
        assert not [form for form in FORMS if form in text.replace('"$price"', "").replace('"$"', "")]
    row = json.loads(texts[1].splitlines()[0])
    assert row["per_class"] == {"0": 0.5, "1.5": 0.25} and row["shape"] == [3, 4] and row["set"] == [1, 2, 3]
    assert row["moment"] == "2024-01-02T03:04:05.000006" and row["colour"] == "Colour.RED" and row["path"] == "a/b"
    assert math.isnan(row["masked"]) and row["decimal"] == 0.5
    cells = next(iter(library.DictReader(texts[0].splitlines())))
    assert json.loads(cells["shape"]) == [3, 4] and cells["word"] == "hello" and cells["none"] == ""
    frame = pd.read_csv(tmp_path / "all.csv")
    assert json.loads(frame["per_class"][0]) == {"0": 0.5, "1.5": 0.25}


def test_parquet_has_the_same(results, tmp_path):
    frame = pd.read_parquet(results.to_parquet(tmp_path / "all.parquet"))
    assert json.loads(frame["shape"][0]) == [3, 4] and frame["colour"][0] == "Colour.RED"


class Heard(Sink):
    rows: list[dict[str, Any]] = []

    def on_report(self, trial: Any, row: Any) -> None:
        Heard.rows.append(dict(row))


def test_a_sink_of_ones_own_gets_the_values(results):
    Heard.rows.clear()
    results.export(Heard)
    assert len(Heard.rows) == 4
    assert all(same(row[name], expected) for row in Heard.rows for name, (_, expected) in VALUES.items())


def test_tensorboard_gets_the_numbers_inside(results):
    from tunedsl.sinks.contract import scalar_metrics

    found = dict(scalar_metrics(results.trials[0].metrics))
    assert found["per_class/0"] == 0.5 and found["per_class/1.5"] == 0.25 and "shape" not in found


def test_the_terminal_shows_them_as_json(results):
    from tunedsl.cli.tables import as_json

    text = as_json(results, results.trials)
    assert not [form for form in FORMS if form in text]
    assert json.loads(text)["trials"][0]["metrics"]["per_class"] == {"0": 0.5, "1.5": 0.25}


def test_a_simulation_of_the_journal_reports_the_same(results, tmp_path):
    again = experiment(tmp_path).stop(seen).order("logical").run(SimulatedEngine(Recorded(results.path)), quiet=True)
    assert again.journal.digest == results.journal.digest
    assert all(same(again.trials[0].metrics[name], expected) for name, (_, expected) in VALUES.items())


def test_a_local_enum_comes_back_as_its_value(tmp_path):
    class Here(enum.Enum):
        LEFT = (1, 2)

    def local(config: dict[str, Any]) -> None:
        report(loss=1.0, here=Here.LEFT)

    results = experiment(tmp_path).trainable(local).run("inline", quiet=True)
    assert results.best.metrics["here"] == (1, 2)


@pytest.mark.parametrize("value", [given for given, _ in VALUES.values() if not isinstance(given, np.ndarray)][:4])
def test_the_codec_gives_back_what_it_wrote(value):
    assert codec.from_json(codec.to_json(value)) == value


@pytest.mark.parametrize(
    "data",
    ['{"$datetime":"no"}', '{"$decimal":[1]}', '{"$fraction":["1","0"]}', '{"$bytes":"é"}', '{"$range":["x"]}',
     '{"$set":[[1]]}', '{"$uuid":""}', '{"$timedelta":["x"]}', '{"$complex":"x"}'],
)  # fmt: skip
def test_malformed_forms_are_typed_errors(data):
    with pytest.raises(codec.CodecError, match="malformed"):
        codec.from_json(data)


def test_plain_json_is_json():
    values = {name: given for name, (given, _) in VALUES.items() if not isinstance(given, np.ndarray)}
    del values["arrays"], values["numpy_nat"], values["nat"]
    assert json.loads(json.dumps(plain_json(values)))["nested"] == {"a": [[1, {"2": {"b": [3]}}]]}

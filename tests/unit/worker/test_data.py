"""Objects of `.data(...)`: changes by one trial reach neither other trials nor the user's objects."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.plans import make_plan
from tunedsl import Trainable, report, space, uniform
from tunedsl.backends.local.shipping import read_shipment, write_shipment
from tunedsl.worker import Shipment
from tunedsl.worker.data import DataViews, without_unused_rows


def fresh(item: Any) -> Any:
    return DataViews({"item": item}).fresh()["item"]


def test_arrays_are_views_that_cannot_be_written_to():
    for array in (np.arange(6.0).reshape(2, 3), np.arange(10)[::2], np.asfortranarray(np.eye(3))):
        found = fresh(array)
        assert type(found) is np.ndarray and np.shares_memory(found, array) and (found == array).all()
        with pytest.raises(ValueError, match="read-only"):
            found /= 16
        assert array.flags.writeable


@pytest.mark.parametrize(
    "wrap", [lambda a: [a], lambda a: {"x": (a, 1)}, lambda a: Holder(a)], ids=["list", "dict", "own"]
)
def test_arrays_inside_of_others_are_too(wrap):
    array = np.arange(4.0)
    held = wrap(array)
    found = fresh(held)
    inner = found[0] if isinstance(found, list) else found["x"][0] if isinstance(found, dict) else found.array
    assert np.shares_memory(inner, array) and not inner.flags.writeable and found is not held


class Holder:
    def __init__(self, array: Any) -> None:
        self.array, self.names = array, ["a"]


def test_frames_are_copies():
    frame, series = pd.DataFrame({"a": [1.0, 2.0]}), pd.Series([1.0, 2.0])
    views = DataViews({"frame": frame, "series": series, "both": {"frame": frame}})
    for _ in range(2):
        found = views.fresh()
        assert found["frame"]["a"][0] == 1.0 and found["both"]["frame"]["a"][0] == 1.0 and found["series"][0] == 1.0
        found["frame"].loc[0, "a"] = found["both"]["frame"].loc[0, "a"] = found["series"].loc[0] = 99.0
    assert frame["a"][0] == 1.0 and series[0] == 1.0


def test_everything_else_is_a_copy_each_time():
    views = DataViews({"rows": [1, [2]], "own": Holder(3), "names": {"a"}, "table": np.ma.array([1.0, 2.0])})
    first, second = views.fresh(), views.fresh()
    first["rows"][1].append(3)
    first["own"].names.append("b")
    first["names"].add("b")
    assert second["rows"] == [1, [2]] and second["own"].names == ["a"] and second["names"] == {"a"}
    objects = fresh(np.array(["a", ["b"]], dtype=object))
    assert objects[1] == ["b"]


def test_code_and_values_that_cannot_change_are_the_same():
    def local(x: int) -> int:
        return x

    for item in (1, "text", None, b"b", local, Holder, np, len, (1, 2)[0]):
        assert fresh(item) is item
    assert fresh({"f": local})["f"] is local


def test_what_cannot_be_copied_is_shared():
    lock, numbers = threading.Lock(), (n for n in range(3))
    held = [lock]
    assert fresh(lock) is lock and fresh(numbers) is numbers and fresh(held) is held

    class Broken:
        def __reduce__(self) -> Any:
            raise KeyError("no")

    broken = Broken()
    assert fresh(broken) is broken


def test_arrow_tables_are_shared_since_nobody_can_change_them():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, 2]})
    for item in (table, table["a"], table["a"].chunk(0), table.to_batches()[0]):
        assert fresh(item) is item
    assert fresh({"rows": table})["rows"] is table


def test_of_a_sliced_arrow_table_only_the_slice_is_sent():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": np.arange(1_000_000.0), "b": pa.array(["x", None] * 500_000)})
    for rows in (0, 5):
        part = table.slice(7, rows)
        first = part.to_batches()[0] if rows else pa.RecordBatch.from_pylist([], schema=part.schema)
        for item in (part, part["a"], part["a"].combine_chunks(), first, table["b"].chunk(0)[3 : 3 + rows]):
            shipment = Shipment.of(make_plan(), {"rows": item, "inside": [item]}, {}, "")
            with write_shipment(shipment) as file:
                assert file.seek(0, 2) < 100_000
                data = read_shipment(file.fileno()).data
            assert data["rows"].equals(item) and data["inside"][0].equals(item) and type(data["rows"]) is type(item)
    assert without_unused_rows(table) is table


def test_one_object_in_two_places_stays_one():
    inner = [1]
    found = fresh({"a": inner, "b": inner})
    assert found["a"] is found["b"] is not inner
    endless: list[Any] = []
    endless.append(endless)
    again = fresh(endless)
    assert again[0] is again is not endless


def divides(config: dict[str, Any], table: Any) -> None:
    try:
        table /= 16
    except ValueError as error:
        report(loss=float(table[0, 0]), refused=str(error))
        return
    report(loss=-1.0)


def appends(config: dict[str, Any], rows: list[int]) -> None:
    rows.append(1)
    report(loss=len(rows))


class Appends(Trainable):
    def setup(self, config: dict[str, Any], rows: list[int]) -> None:
        rows.append(1)
        self.rows = rows

    def step(self) -> dict[str, float] | None:
        if len(self.rows) > 2:
            return None
        self.rows.append(1)
        return {"loss": len(self.rows)}


def test_trials_inline_do_not_meet_in_their_data(tmp_path):
    table = np.full((2, 2), 16.0)
    base = space(x=uniform(0, 1)).minimize("loss").samples(3).seed(0).store(tmp_path)
    results = base.trainable(divides).data(table=table).run("inline", quiet=True)
    assert [trial.metrics["loss"] for trial in results.trials] == [16.0] * 3 and (table == 16.0).all()
    assert all("read-only" in trial.metrics["refused"] for trial in results.trials)
    rows: list[int] = [0]
    for form, loss in ((appends, 2), (Appends, 3)):
        results = base.trainable(form).data(rows=rows).parallel(2).run("inline", quiet=True)
        assert [trial.metrics["loss"] for trial in results.trials] == [loss] * 3 and rows == [0]


def test_pandas_is_not_loaded_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert fresh([1]) == [1]

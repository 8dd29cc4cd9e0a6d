"""The tables of an experiment: all reports, statistics, exports, comparisons, and what a notebook shows."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.journals import journal, of_values, reported, results, whole
from tests.plans import make_plan
from tunedsl.base.errors import ArgumentError, NoResult
from tunedsl.base.objective import Objective
from tunedsl.kernel import Ended, Failed, Reported, Saved, Started
from tunedsl.plan import Retry
from tunedsl.results import Results
from tunedsl.results.trial_history import Column, Span
from tunedsl.schedulers import asha
from tunedsl.spaces import Space, choice, grid, loguniform, randint, uniform


class TestOneTrial:
    def test_trials_by_id_and_number(self) -> None:
        found = of_values([3], [1])
        assert found["00001"].number == found[1].number == 1
        assert [trial.id for trial in found] == ["00000", "00001"] and len(found) == 2
        with pytest.raises(NoResult, match="did you mean '00001'"):
            found["0001"]

    def test_the_checkpoint_of_the_best_report_is_not_the_newest(self) -> None:
        events = [Started(0.0, 0, 0)]
        for at, value in enumerate([3.0, 1.0, "nan", 2.0], start=1):
            events += [reported(0, [value], first=at), Saved(float(at), 0, at, f"trials/00000/checkpoints/{at}")]
        trial = results(events, 1).trials[0]
        assert [Path(str(each)).name for each in (trial.best_checkpoint(), trial.checkpoint)] == ["2", "4"]
        assert Path(str(trial.best_checkpoint("loss", "max"))).name == "1"
        assert trial.best_checkpoint("accuracy", "max") is None

    def test_infinities_compete_only_if_they_may(self) -> None:
        found = of_values([1, "-inf"], ["nan"], [2])
        assert found.best_trial(scope="all").number == 0
        assert found.best_trial().number == 2
        assert found.best_trial(finite=False).number == 0


@pytest.mark.parametrize(("values", "mode", "finite", "place"), [
    ([math.nan, 2, 2], "min", True, 1),
    ([math.inf, math.inf], "min", False, 0),
    ([math.nan, math.inf], "min", False, 1),
    ([math.nan], "max", False, None),
    ([-math.inf, 1, math.inf], "max", True, 1),
    ([-math.inf, 1, math.inf], "max", False, 2),
])  # fmt: skip
def test_the_place_of_the_best(values: list[float], mode: str, finite: bool, place: int | None) -> None:
    assert Column(values, range(len(values))).best(mode, finite) == place


class TestFrames:
    def test_all_reports_in_one_frame(self) -> None:
        events = [
            Started(5.0, 0, 0),
            Reported(9.0, 0, 1, ("loss",), ((3.0,), (1.0,)), (2.0, 4.0)),
            Reported(10.0, 0, 3, ("seconds",), ((7.0,),), (5.0,), data=({"note": [1]},)),
        ]
        frame = results(events, 2).curves
        assert list(frame.columns) == [
            "trial_id", "number", "training_iteration", "time_total_s", "seconds", "loss", "metrics/seconds", "note",
        ]  # fmt: skip
        assert list(frame["training_iteration"]) == [1, 2, 3]
        assert list(frame["seconds"]) == [7.0, 9.0, 10.0]  # a batch's reports by their trial's own clock
        np.testing.assert_array_equal(frame["loss"], [3, 1, math.nan])
        assert list(frame["note"]) == [None, None, [1]]

    def test_types_follow_from_domains_and_not_from_what_was_drawn(self) -> None:
        space = Space.of({"n": randint(1, 3), "x": loguniform(1e-3, 1), "on": choice([True, None]), "g": grid([1, 2])})
        empty = Results(journal(make_plan(space=space), []))
        assert empty.dataframe().dtypes.astype(str).to_dict() | {"trial_id": "", "status": "", "stop_reason": ""} == {
            "trial_id": "", "number": "int64", "status": "", "stop_reason": "", "fidelity": "int64",
            "training_iteration": "int64", "time_total_s": "float64",
            "loss": "float64", "config/n": "Int64", "config/x": "float64", "config/on": "boolean", "config/g": "Int64",
        }  # fmt: skip
        kinds = empty.curves.dtypes.astype(str).to_dict()
        assert kinds["trial_id"] == "category" and kinds["loss"] == kinds["seconds"] == "float64"

    def test_a_scope_says_which_row(self) -> None:
        found = of_values([3, 1, 2])
        assert found.dataframe(scope="all")["loss"].item() == 1.0
        assert found.dataframe("loss", scope="last")["loss"].item() == 2.0
        with pytest.raises(ArgumentError, match="'last' or 'all'"):
            found.dataframe(scope="avg")  # type: ignore[arg-type]

    def test_statistics(self) -> None:
        events = [*whole(0, [1, 2]), Started(3.0, 1, 0), Failed(4.0, 1, "crash", "boom"), Started(4.5, 1, 1)]
        stats = results(events, 3, retry=Retry(crash=1)).stats
        assert stats.statuses == {"completed": 1, "pending": 2}  # no driver is active, so no trial runs
        assert (stats.trials, stats.attempts, stats.iterations) == (3, 3, 2)
        assert (stats.seconds, stats.training_seconds) == (4.5, 2.0)


class TestWhereAndWhen:
    def test_spans_with_failures_and_retries(self) -> None:
        events = [
            Started(1.0, 0, 0, "a"), reported(0, [5]), Failed(4.0, 0, "crash", "boom"),
            Started(5.0, 0, 1, "b"), reported(0, [4, 3], first=2), Ended(9.0, 0, 3),
        ]  # fmt: skip
        record = results(events, 1, retry=Retry(crash=1)).reading.records[0]
        assert record.spans == [Span("a", 0, 1.0, 0, 4.0, 1, "failed"), Span("b", 1, 5.0, 1, 9.0, 3, "completed")]

    def test_what_was_decided_at_a_rung(self) -> None:
        events = [
            event for trial in range(3) for event in (Started(0.0, trial, 0), reported(trial, [trial], waits=True))
        ]
        reading = results(events, 3, scheduler=asha(max_t=9, reduction_factor=3)).reading
        assert reading.turns == {(1, "continued"): 1, (1, "stopped"): 2}


class TestExports:
    ROWS = [["nan"], [0.1], [1 / 3]]

    def test_csv_reads_back(self, tmp_path: Path) -> None:
        found = of_values(*self.ROWS)
        back = pd.read_csv(found.to_csv(tmp_path / "trials.csv"), dtype={"trial_id": str})
        pd.testing.assert_frame_equal(back, found.dataframe(), check_dtype=False)
        assert back["loss"][2] == 1 / 3

    def test_parquet_reads_back_with_its_types_and_says_what_it_is(self, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        space = Space.of({"n": randint(1, 3), "parts": [1, [2]], "mixed": choice([1, "a"])})
        found = of_values(*self.ROWS, space=space)
        place = found.to_parquet(tmp_path / "trials.parquet")
        back = pd.read_parquet(place)
        assert back.dtypes.astype(str)["config/n"] == "Int64"
        assert list(back["loss"])[1:] == [0.1, 1 / 3]
        facts = parquet.read_schema(place).metadata
        assert facts[b"tunedsl.plan"].decode() == found.plan.digest

    def test_values_of_mixed_types_are_json(self, tmp_path: Path) -> None:
        events = [Started(0.0, 0, 0), Reported(1.0, 0, 1, ("loss",), ((1.0,),), (1.0,), data=({"odd": [1, "a"]},))]
        back = pd.read_csv(results(events, 1).to_csv(tmp_path / "trials.csv"))
        assert json.loads(back["odd"][0]) == [1, "a"]

    def test_without_pyarrow_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        with pytest.raises(NoResult, match=r"tunedsl\[parquet\]"):
            of_values([1]).to_parquet(tmp_path / "x.parquet")


class TestComparing:
    def test_side_by_side_with_the_plans_difference(self) -> None:
        both = of_values([3, 1], name="one").compare(of_values([0.5], ["nan"], name="two", seed=3))
        assert both.names == ("one", "two")
        frame = both.frame
        assert list(frame.loc["best loss (min, last)"]) == [1, 0.5]
        assert list(frame.loc["trials"]) == [1, 2]
        assert {change.path for change in both.diff.changes} >= {"name", "seed", "trials"}
        assert "  seed: 0 -> 3" in str(both).splitlines()

    def test_nothing_to_be_best_is_said(self) -> None:
        frame = of_values([1]).compare(results([], 1)).frame
        assert "no trial reported anything yet" in frame.loc["best loss (min, last)"].iloc[1]

    def test_what_is_no_result_is_refused(self) -> None:
        with pytest.raises(ArgumentError, match=r"compare\.other"):
            of_values([1]).compare("there")  # type: ignore[arg-type]

    def test_a_notebook_shows_a_table_and_runs_nothing(self) -> None:
        found = of_values([1]).compare(of_values([2], objectives=(Objective("<b>", "min"),)))
        page = found._repr_html_()
        assert "<table>" in page and "<b>" not in page and "&lt;b&gt;" in page


class TestNotebook:
    def test_the_best_first_and_not_all(self) -> None:
        page = of_values(*[[value] for value in range(12, 0, -1)])._repr_html_()
        assert "12 trials: 12 completed, the 10 best shown" in page
        assert page.index("00011") < page.index("00010") and "00000" not in page

    def test_hostile_text_is_text(self) -> None:
        events = [Started(0.0, 0, 0), Reported(1.0, 0, 1, ("loss",), ((1.0,),), (1.0,), data=({"d": "<img src=x>"},))]
        page = results(events, 1, space=Space.of({"x": uniform(0, 1)}))._repr_html_()
        assert "<img" not in page and "&lt;img" in page

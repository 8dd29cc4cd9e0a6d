"""Results of journals that were written by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.journals import journal, of_values, opened, reported, results, whole, write
from tests.plans import make_plan
from tunedsl.base import codec
from tunedsl.base.errors import ArgumentError, JournalError, NoResult
from tunedsl.base.objective import Objective
from tunedsl.journal import FileWriter, Journal, Mark, MemoryWriter
from tunedsl.kernel import (
    Amended,
    CapacityChanged,
    Event,
    Failed,
    Proposed,
    Reported,
    RetryRequested,
    Saved,
    Started,
    StopRequested,
)
from tunedsl.plan import Plan, Retry
from tunedsl.results import Results, load
from tunedsl.schedulers import asha
from tunedsl.spaces import Space, choice, uniform
from tunedsl.stopping import Budget, metric


class TestBest:
    def test_the_best_last_value_by_the_objective(self) -> None:
        found = of_values([3, 1], [0.5, 2], [9, 1.5]).best
        assert (found.id, found.number, found.status) == ("00000", 0, "completed")
        assert found.config == {"x": 0.0}
        assert found.metrics == {"loss": 1, "training_iteration": 2, "time_total_s": 2.0}

    def test_a_failed_trial_is_the_best_only_where_no_other_has_a_value(self) -> None:
        failing = [Started(0.0, 0, 0), reported(0, [0.5]), Failed(2.0, 0, "crash", "boom")]
        found = results([*failing, *whole(1, [3, 2])], 2)
        assert found.best.number == 1 and found.best.metrics["loss"] == 2
        assert [trial.number for trial in found.pareto] == [1] and found.order(Objective("loss", "min")) == [1, 0]
        assert found.best_trial(scope="all").number == 1
        assert found.peak is not None and (found.peak.trial, found.peak.value) == ("00000", 0.5)
        assert "a better loss=0.5 was reported before, by trial 00000, which failed, at iteration 1" in repr(found)
        assert results(failing, 1).best.status == "failed"
        assert results([*failing, *whole(1, ["nan"])], 2).best.number == 0, "it has a value"
        with pytest.raises(NoResult):
            results([Started(0.0, 0, 0), Failed(2.0, 0, "crash", "boom")], 1).best

    def test_a_trial_is_exported_as_json(self) -> None:
        found = json.loads(of_values([3, 4], [0.5, 2]).best.to_json())
        assert found["config"] == {"x": 0.1} and found["metrics"]["loss"] == 2 and found["seed"] > 0
        assert (
            json.loads(results([Started(0.0, 0, 0), reported(0, ["nan"])], 1)[0].to_json())["metrics"]["loss"] is None
        )

    def test_an_objective_that_the_last_report_lacks_stands_with_its_newest_value(self) -> None:
        last = Reported(3.0, 0, 3, ("accuracy",), ((0.9,),), (3.0,))
        found = results([Started(0.0, 0, 0), reported(0, [2, 1]), last], 2)
        assert found.best.metrics == {"loss": 1, "accuracy": 0.9, "training_iteration": 3, "time_total_s": 3.0}
        assert found.best.metrics == found[0].metrics
        row = found.dataframe().iloc[0]
        assert (row["loss"], row["fidelity"], row["training_iteration"]) == (1.0, 2, 3)
        assert found.dataframe().iloc[1]["fidelity"] == 0
        assert found.best_trial("accuracy", "max").metrics["accuracy"] == 0.9

    def test_a_metric_that_is_no_objective_is_there_where_it_was_compared_by(self) -> None:
        events = [Started(0.0, 0, 0), Reported(1.0, 0, 1, ("accuracy",), ((0.9,),), (1.0,)), reported(0, [2], first=2)]
        assert results(events, 1).best_trial("accuracy", "max").metrics["accuracy"] == 0.9

    def test_where_a_better_value_was_reported_before_it_is_said(self) -> None:
        found = of_values([9, 1, 2], [3, 4])
        assert found.best.number == 0 and str(found.peak).startswith(
            "a better loss=1 was reported before, by trial 00000, at iteration 2"
        )
        assert "a better loss=1" in found._repr_html_() and "a better loss=1" in repr(found)
        assert of_values([9, 2, 1], [3, 4]).peak is None and of_values([]).peak is None
        other = of_values([1, 5], [9, 2], objectives=(Objective("loss", "max"),)).peak
        assert other is not None and (other.trial, other.value) == ("00001", 9.0)

    def test_maximize_turns_it_around(self) -> None:
        assert of_values([3, 1], [0.5, 2], objectives=(Objective("loss", "max"),)).best.number == 1

    @pytest.mark.parametrize(
        ("scope", "number"), [("last", 0), ("all", 1), ("avg", 2), ("last-5-avg", 2), ("last-10-avg", 2)]
    )
    def test_scopes(self, scope: str, number: int) -> None:
        found = of_values([9, 9, 1], [0, 20, 20], [2, 2, 2])
        assert found.best_trial(scope=scope).number == number  # type: ignore[arg-type]

    def test_averages_are_over_the_last_few_or_all(self) -> None:
        ramp = [float(value) for value in range(20)]
        found = of_values(ramp, [16.5] * 20)
        chosen = {
            scope: found.best_trial("loss", "max", scope).number for scope in ("avg", "last-5-avg", "last-10-avg")
        }
        # means of the ramp: 9.5, then 17 over the last five, then 14.5 over the last ten
        assert chosen == {"avg": 1, "last-5-avg": 0, "last-10-avg": 1}

    def test_the_earlier_trial_wins_a_tie(self) -> None:
        assert of_values([2], [1], [1]).best.number == 1

    @pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
    def test_what_is_not_finite_never_wins(self, value: str) -> None:
        for mode in ("min", "max"):
            found = of_values([value], [5], objectives=(Objective("loss", mode),))
            assert all(found.best_trial(scope=scope).number == 1 for scope in ("last", "all", "avg", "last-5-avg"))

    def test_under_all_a_nan_hides_nothing(self) -> None:
        assert of_values([0.5, "nan"], [1, 1]).best_trial(scope="all").number == 0

    def test_automatic_metrics_can_be_asked_for(self) -> None:
        assert of_values([1], [1, 1], [1]).best_trial("training_iteration", "max").number == 1

    def test_a_metric_that_is_no_objective_needs_a_mode(self) -> None:
        with pytest.raises(ArgumentError, match="The metric 'x' is not an objective, so it needs a mode"):
            of_values([1]).best_trial("x")

    def test_an_unknown_scope_is_refused(self) -> None:
        with pytest.raises(ArgumentError, match="one of last, all"):
            of_values([1]).best_trial(scope="best")  # type: ignore[arg-type]

    def test_folders_and_checkpoints(self) -> None:
        events = [Started(0.0, 0, 0), reported(0, [1, 2])]
        events += [
            Saved(2.0, 0, 1, "trials/00000/checkpoints/00000001"),
            Saved(2.0, 0, 2, "trials/00000/checkpoints/2"),
        ]
        found = results(events, 1)
        assert found.best_checkpoint == found.best.path / "checkpoints/2"
        assert list(found.best.checkpoints) == [1, 2]
        assert of_values([1]).best_checkpoint is None


class TestNoResult:
    def test_nothing_was_reported_yet(self) -> None:
        with pytest.raises(NoResult, match="no trial reported anything yet"):
            results([], 2).best

    def test_a_metric_that_no_trial_reported_has_a_nearest_name(self) -> None:
        for ask in (lambda: of_values([1]).best_trial("los", "min"), lambda: of_values([1]).dataframe("los", "min")):
            with pytest.raises(NoResult, match="did you mean 'loss'"):
                ask()

    def test_all_failed(self) -> None:
        with pytest.raises(NoResult, match="1 of 1 failed, the first one with ValueError: boom"):
            results([Started(0.0, 0, 0), Failed(1.0, 0, "crash", "ValueError: boom")], 1).best

    def test_nothing_finite(self) -> None:
        with pytest.raises(NoResult, match="no trial reported a finite 'loss'"):
            of_values(["nan"], ["inf"]).best

    def test_no_objective(self) -> None:
        with pytest.raises(NoResult, match="no objective"):
            of_values([1], objectives=()).best


class TestFrames:
    def test_one_row_a_trial_at_its_last_report(self) -> None:
        frame = of_values([3, 1, 2], [], [0.5]).dataframe()
        assert list(frame.columns) == [
            "trial_id",
            "number",
            "status",
            "stop_reason",
            "fidelity",
            "training_iteration",
            "time_total_s",
            "loss",
            "config/x",
        ]
        assert list(frame["training_iteration"]) == [3, 0, 1]
        assert list(frame["time_total_s"]) == [3.0, 0.0, 1.0]
        np.testing.assert_array_equal(frame["loss"], [2.0, math.nan, 0.5])

    def test_or_where_a_metric_was_best(self) -> None:
        frame = of_values([3, 1, 2], ["nan", 5]).dataframe("loss")
        assert list(frame["training_iteration"]) == [2, 2]
        assert list(frame["loss"]) == [1.0, 5.0]
        assert list(of_values([3, 1, 2]).dataframe(mode="max")["loss"]) == [3.0]

    def test_dtypes_do_not_depend_on_what_is_missing(self) -> None:
        space = Space.of(
            {
                "n": choice([1, 2]),
                "on": choice([True, False]),
                "model": choice({"svm": Space.of({"c": uniform(0, 1)}), "none": Space.of({})}),
                "inner": {"name": choice(["a", "b"])},
                "parts": [1, 2],
            }
        )
        configs = [
            {"n": 1, "on": True, "model": {"svm": {"c": 0.5}}, "inner": {"name": "a"}, "parts": [1, 2]},
            {"model": {"none": {}}, "inner": {"name": "b"}, "parts": [1, 2]},
        ]
        events: list[Event] = [Proposed(0.0, trial, config, str(trial)) for trial, config in enumerate(configs)]
        frame = Results(journal(make_plan(trials=2, space=space), [*opened(2)[:1], *events])).dataframe()
        kinds = frame.filter(like="config/").dtypes.astype(str).to_dict()
        assert kinds.pop("config/model") == kinds.pop("config/inner/name")  # pandas 3 says str, pandas 2 object
        assert kinds == {
            "config/n": "Int64", "config/on": "boolean", "config/model/svm/c": "float64", "config/parts": "object",
        }  # fmt: skip
        assert list(frame["config/model"]) == ["svm", "none"]
        assert list(frame["config/parts"]) == [[1, 2], [1, 2]]

    def test_a_metric_with_a_columns_name_is_told_apart(self) -> None:
        frame = results(whole(0, [1], metric="status"), 1).dataframe()
        assert list(frame["status"]) == ["completed"]
        assert list(frame["metrics/status"]) == [1.0]

    def test_curves_with_metrics_that_come_and_go_and_data(self) -> None:
        events = [
            Started(0.0, 0, 0),
            reported(0, [1, 2]),
            Reported(3.0, 0, 3, ("accuracy",), ((0.5,),), (3.0,), data=({"note": "x"},)),
        ]
        found = results(events, 1)
        curve = found["00000"].curve
        assert list(curve["training_iteration"]) == [1, 2, 3]
        np.testing.assert_array_equal(curve["loss"], [1, 2, math.nan])
        np.testing.assert_array_equal(curve["accuracy"], [math.nan, math.nan, 0.5])
        assert list(curve["note"]) == [None, None, "x"]
        rest = {"accuracy": 0.5, "note": "x", "training_iteration": 3, "time_total_s": 3.0}
        assert found.trials[0].metrics == {"loss": 2.0, **rest}  # the last value of loss is from iteration 2
        assert found.best_trial("loss").metrics["accuracy"] == 0.5
        row = found.dataframe("loss", "max").iloc[0]
        assert (row["training_iteration"], row["loss"]) == (2, 2.0)
        assert math.isnan(row["accuracy"])

    def test_a_trial_without_a_report_has_the_objectives_column_too(self) -> None:
        failed = Failed(2.0, 0, "crash", "ValueError: boom")
        curve = results([Started(0.0, 0, 0), failed], 1).trials[0].curve
        assert curve.dtypes.astype(str).to_dict() == {
            "training_iteration": "int64", "time_total_s": "float64", "loss": "float64",
        }  # fmt: skip

    def test_an_empty_journal_has_an_empty_frame(self) -> None:
        frame = Results(journal(make_plan(), [])).dataframe()
        assert len(frame) == 0
        assert "config/x" in frame


class TestErrors:
    FAILURE = Failed(
        2.0, 0, "crash", "ValueError: boom", "Traceback (most recent call last):\n  ...\nValueError: boom\n"
    )

    def test_the_users_traceback_comes_first_and_whole(self) -> None:
        (error,) = results([Started(0.0, 0, 0), self.FAILURE], 1).errors
        assert (error.id, error.kind, error.message) == ("00000", "crash", "ValueError: boom")
        assert str(error).startswith(self.FAILURE.traceback)
        assert str(error).endswith("(trial 00000, crash)")

    def test_a_failure_that_a_retry_made_good_is_no_error(self) -> None:
        events = [Started(0.0, 0, 0), self.FAILURE, Started(3.0, 0, 1), reported(0, [1], ends="returned")]
        found = results(events, 1, retry=Retry(crash=1))
        assert found.errors == []
        assert found.finished

    def test_a_failure_while_the_experiment_ends_is_none_either(self) -> None:
        found = results([*whole(0, [1]), StopRequested(1.0, None, "enough")], 3)
        assert [trial.status for trial in found.trials] == ["completed", "cancelled", "cancelled"]
        assert found.errors == []


class TestStatus:
    def test_what_a_budget_cuts_and_what_it_never_starts_is_cancelled(self) -> None:
        events = [*whole(0, [1]), Started(0.0, 1, 0), reported(1, [2, 1])]
        found = results(events, 4, budget=Budget(iterations=3))
        frame = found.dataframe()
        assert list(frame["status"]) == ["completed", "cancelled", "cancelled", "cancelled"]
        reason = "the budget of 3 iterations is used up"
        assert frame["stop_reason"].isna()[0] and list(frame["stop_reason"][1:]) == [reason] * 3
        assert found.stats.said == "4 trials: 1 completed, 3 cancelled" and found.stats.ended == 1
        assert found.why(3).endswith("cancelled")

    def test_why_each_trial_ended(self) -> None:
        plan = {"scheduler": asha(max_t=9, reduction_factor=3), "stop": metric("loss") < 0, "retry": Retry(crash=1)}
        events = [
            *whole(0, [1]),
            Started(0.0, 1, 0), reported(1, [-1], ends="rule"),
            Started(0.0, 2, 0), reported(2, [-5], waits=True),
            Started(0.0, 3, 0), reported(3, [9], waits=True),
            Started(0.0, 4, 0), StopRequested(2.0, 4, "by hand"),
            Started(0.0, 5, 0), Failed(3.0, 5, "crash", "boom\nmore"), Failed(3.0, 5, "crash", "boom\nmore"),
            Started(0.0, 6, 0), Failed(3.0, 6, "oom", "no memory"), StopRequested(4.0, 7, ""),
        ]  # fmt: skip
        found = results(events, 9, **plan)
        assert [(trial.status, trial.stop_reason.partition(":")[0]) for trial in found.trials] == [
            ("completed", ""),
            ("completed", "loss < 0"),
            ("pending", ""),  # it is unfinished, and no driver is active
            ("stopped", "asha"),
            ("stopped", "a user requested it"),
            ("failed", "crash"),
            ("failed", "oom"),
            ("cancelled", "a user requested it"),
            ("pending", ""),
        ]
        assert found[3].stop_reason.startswith("asha: ") and "9" in found[3].stop_reason
        assert found[5].stop_reason == "crash: boom" and found[4].stop_reason.endswith("by hand")

    def test_a_retry_that_the_end_of_the_run_cut_off_is_told(self) -> None:
        events = [Started(0.0, 0, 0), Failed(5.0, 0, "crash", "boom")]
        found = results(events, 1, retry=Retry(crash=1), budget=Budget(seconds=5.0))
        assert (found[0].status, found[0].error) == ("cancelled", None)
        assert found[0].stop_reason.endswith("is used up; its last attempt failed, crash: boom")

    def test_a_run_that_was_amended_is_not_finished_before_its_new_end(self) -> None:
        before, after = make_plan(trials=1), make_plan(trials=2)
        events = [
            *opened(1),
            *whole(0, [1]),
            Amended(1.0, codec.encode(after), ("trials", "samples")),
            CapacityChanged(1.0, 1),
        ]
        found = Results(journal(before, events))
        assert not found.finished and found.state == "interrupted"

    def test_a_failed_trial_that_is_run_again_is_no_failure_until_it_fails_again(self) -> None:
        failed = [Started(0.0, 0, 0), Failed(1.0, 0, "crash", "boom")]
        asked = [*failed, RetryRequested(2.0, (0,)), CapacityChanged(2.0, 1)]
        found = results(asked, 1)
        assert (found[0].status, found.errors, found.finished) == ("pending", [], False)
        again = results([*asked, Started(2.0, 0, 1), Failed(3.0, 0, "oom", "no memory")], 1)
        assert [error.kind for error in again.errors] == ["oom"] and again.finished


class TestWhy:
    def test_what_comes_after_the_reading_is_not_told(self) -> None:
        writer, plan = MemoryWriter(), make_plan(trials=1)
        write(writer, plan, [*opened(1), Started(0.0, 0, 0), reported(0, [1.0])])
        found = Results(Journal(writer.lines))
        before = found.why(0)
        assert before.endswith("pending with loss=1.0")
        write(later := MemoryWriter(), plan, [*opened(1), *whole(0, [1.0])])
        writer.lines += later.lines[len(writer.lines) :]
        assert Results(Journal(writer.lines)).why(0).endswith("completed with loss=1.0")
        assert found.why(0) == before

    def test_decisions_with_their_facts(self) -> None:
        plan_ = {"scheduler": asha(max_t=9, reduction_factor=3)}
        events = [
            event for trial in range(3) for event in (Started(0.0, trial, 0), reported(trial, [trial], waits=True))
        ]
        found = results(events, 3, **plan_)
        assert found.why("00002").splitlines() == [
            "trial 00002 (number 2): x=0.2",
            "      0.00 s  proposed",
            "      0.00 s  started",
            "      1.00 s  stopped after iteration 1: "
            "asha: loss 2 at iteration 1 ranked 3 of 3; "
            "to continue, it needed 0.333333 or less, the limit of the best 1/3 of 2 earlier trials",
            "stopped with loss=2",
        ]
        assert found.why(2) == found.why("00002")

    def test_failures_and_retries(self) -> None:
        events = [
            Started(0.0, 0, 0),
            reported(0, [1, 2]),
            Saved(2.0, 0, 2, "trials/00000/checkpoints/2"),
            Failed(2.5, 0, "crash", "ValueError: boom"),
            Started(3.0, 0, 1, "host/1"),
            Failed(3.5, 0, "crash", "ValueError: boom"),
        ]
        story = results(events, 1, retry=Retry(crash=1)).why(0)
        assert "failed after iteration 2 (crash): ValueError: boom\n" in story
        assert "launched again from the checkpoint of iteration 2" in story
        assert "started on host/1, attempt 2" in story
        assert "given up, the plan has retry(crash=1)" in story

    def test_ends(self) -> None:
        assert "returned after iteration 1" in results(whole(0, [1], ends="returned"), 1).why(0)
        assert "ended by itself after iteration 1" in of_values([1]).why(0)
        story = results([StopRequested(1.0, None, "enough")], 2).why(1)
        assert "stopped after iteration 0: enough" in story

    def test_an_unknown_trial(self) -> None:
        with pytest.raises(NoResult, match=r"do not include '0000'\.\n  help: did you mean '00000'"):
            of_values([1]).why("0000")


class TestFiles:
    def plan(self) -> Plan:
        return make_plan(trials=2)

    def test_running_interrupted_and_finished(self, tmp_path: Path) -> None:
        events = [*opened(2), *whole(0, [1]), *whole(1, [2])]
        file = tmp_path / "journal.jsonl"
        writer = FileWriter(file)
        write(writer, self.plan(), events[:-1])
        assert load(tmp_path).state == "running"
        writer.close()
        assert load(str(file)).state == "interrupted"
        assert not load(tmp_path).finished
        file.unlink()
        writer = FileWriter(file)
        write(writer, self.plan(), events)
        writer.mark(Mark(closed="finished"))
        writer.close()
        found = load(tmp_path)
        assert found.state == "finished: all trials have ended"
        assert found.path == tmp_path
        assert found.best.path == tmp_path / "trials" / "00000"
        assert found.plan == self.plan()
        assert repr(found) == f"<Results of 2 trials in {str(tmp_path)!r}, finished: all trials have ended>"
        assert "config/x" in found._repr_html_()

    def test_no_journal(self, tmp_path: Path) -> None:
        with pytest.raises(JournalError, match="There is no journal here"):
            load(tmp_path)

    def test_an_error_of_the_driver_is_said(self, tmp_path: Path) -> None:
        writer = FileWriter(tmp_path / "journal.jsonl")
        write(writer, self.plan(), opened(2))
        writer.mark(Mark(closed="failed: OSError: disk full"))
        writer.close()
        assert load(tmp_path).state == "interrupted: failed: OSError: disk full"

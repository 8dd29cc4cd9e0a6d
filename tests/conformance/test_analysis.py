"""`results` agrees with Ray Tune's `ExperimentAnalysis` and `ResultGrid` on the same trials.

The files are those that Ray Tune writes: a snapshot of its own `Trial` objects, and a `result.json` for each trial.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.journals import journal, opened, whole
from tests.plans import make_plan
from tunedsl.base.errors import NoResult
from tunedsl.base.keys import generator
from tunedsl.base.objective import Objective
from tunedsl.base.types import Mode
from tunedsl.integrations import ray_tune
from tunedsl.results import Results
from tunedsl.results.trial_history import SCOPES

Values = list[list[float]]

EXPERIMENTS: dict[str, Values] = {
    "plain": [[3.0, 1.0, 2.0], [0.5, 2.5], [9.0, 9.0, 1.5]],
    "ties": [[1.0, 2.0], [2.0, 1.0], [1.0, 1.0], [1.0, 1.0]],
    "nan last": [[1.0, math.nan], [5.0, 4.0], [6.0, 7.0]],
    "nan first": [[math.nan, 1.0], [5.0, 4.0], [6.0, 7.0]],
    "infinities": [[math.inf, 2.0], [3.0, -math.inf], [1.0, math.inf], [4.0, 4.0]],
    "silent": [[], [2.0], []],
    **{
        f"drawn {number}": [
            [float(value) for value in generator(number * 10 + trial).integers(0, 5, 1 + (number + trial) % 12)]
            for trial in range(5)
        ]
        for number in range(6)
    },
}


def ours(trials: Values, mode: Mode = "min") -> Results:
    shown = [[value if math.isfinite(value) else repr(value) for value in values] for values in trials]
    events = [event for trial, values in enumerate(shown) for event in whole(trial, values)]
    plan = make_plan(trials=len(trials), objectives=(Objective("loss", mode),))
    return Results(journal(plan, [*opened(len(trials)), *events]))


def theirs(trials: Values, folder: Path, mode: Mode = "min") -> Any:
    """The files as Ray Tune's own loader reads them."""
    from ray.train._internal.storage import StorageContext
    from ray.tune.analysis.experiment_analysis import ExperimentAnalysis
    from ray.tune.experiment.trial import Trial
    from ray.tune.utils.serialization import TuneFunctionEncoder

    storage = StorageContext(storage_path=str(folder), experiment_dir_name="experiment")
    states = []
    for number, values in enumerate(trials):
        trial = Trial(
            "train",
            config={"x": number / 10},
            trial_id=f"{number:05d}",
            stub=True,
            storage=storage,
        )
        trial.create_placement_group_factory()
        rows = [
            {"loss": value, "training_iteration": step, "trial_id": trial.trial_id, "config": trial.config}
            for step, value in enumerate(values, start=1)
        ]
        for row in rows:
            trial.update_last_result(dict(row))
        trial.set_status(Trial.TERMINATED)
        trial.storage.trial_dir_name = trial.trial_id
        place = folder / "experiment" / trial.trial_id
        place.mkdir(parents=True)
        (place / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
        states.append(trial.get_json_state())
    snapshot = folder / "experiment" / "experiment_state-2026.json"
    snapshot.write_text(json.dumps({"trial_data": states}, cls=TuneFunctionEncoder))
    return ExperimentAnalysis(str(folder / "experiment"), default_metric="loss", default_mode=mode)


def by_hand(trials: Values, mode: Mode, scope: str) -> int | None:
    """The first best trial by a finite number; scope `all` skips values that are not finite."""
    best = None
    for number, values in enumerate(trials):
        if scope == "all":
            window = [value for value in values if math.isfinite(value)]
            scores = [min(window) if mode == "min" else max(window)] if window else []
        else:
            count = {"last": 1, "last-5-avg": 5, "last-10-avg": 10}.get(scope, len(values))
            scores = [sum(values[-count:]) / len(values[-count:])] if values else []
        for score in scores:
            better = best is None or (score < best[1] if mode == "min" else score > best[1])
            if math.isfinite(score) and better:
                best = number, score
    return None if best is None else best[0]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_same_best_under_each_scope(name: str, mode: Mode, tmp_path: Path) -> None:
    from ray.tune import ResultGrid

    trials = EXPERIMENTS[name]
    found, analysis = ours(trials, mode), theirs(trials, tmp_path, mode)
    grid = ResultGrid(analysis)
    for scope in SCOPES:
        expected = by_hand(trials, mode, scope)
        assert found.best_trial(scope=scope).number == expected  # type: ignore[arg-type]
        if scope == "all" and not all(math.isfinite(value) for values in trials for value in values):
            continue  # see below
        best = analysis.get_best_trial(scope=scope)
        result = grid.get_best_result(scope=scope)
        assert (int(best.trial_id), result.config["x"] * 10) == (expected, expected)
        assert analysis.get_best_config(scope=scope) == found.best_trial(scope=scope).config  # type: ignore[arg-type]
    assert len(grid) == len(found) and grid.num_errors == len(found.errors) == 0


@pytest.mark.slow
def test_the_same_tables(tmp_path: Path) -> None:
    trials = EXPERIMENTS["plain"]
    found, analysis = ours(trials), theirs(trials, tmp_path)
    mirror = ray_tune.ExperimentAnalysis(found)
    assert mirror.get_all_configs() == analysis.get_all_configs()
    assert found.best_config == analysis.best_config
    assert mirror.best_result["loss"] == analysis.best_result["loss"]
    assert list(mirror.best_dataframe["loss"]) == list(analysis.best_dataframe["loss"])
    assert list(mirror.best_result_df["loss"]) == list(analysis.best_result_df["loss"])
    assert list(mirror.results_df["loss"]) == list(analysis.results_df["loss"])
    assert {name: row["loss"] for name, row in mirror.results.items()} == {
        name: row["loss"] for name, row in analysis.results.items()
    }
    for name, curve in mirror.trial_dataframes.items():
        assert list(curve["loss"]) == list(analysis.trial_dataframes[name]["loss"])
    for metric, mode in ((None, None), ("loss", "min"), ("loss", "max")):
        pair = [each.dataframe(metric, mode) for each in (found, analysis)]
        for column in ("trial_id", "loss", "training_iteration"):
            assert list(pair[0][column]) == list(pair[1][column])


@pytest.mark.slow
class TestWhereTheOriginalErrs:
    """Ray Tune 2.60; if one of these fails, Ray Tune has fixed it and the difference can go."""

    def test_a_nan_hides_what_was_reported_before_it(self, tmp_path: Path) -> None:
        trials = EXPERIMENTS["nan last"]
        assert theirs(trials, tmp_path).get_best_trial(scope="all").trial_id == "00001"
        assert ours(trials).best_trial(scope="all").number == 0  # it reported 1.0, the least of all

    def test_an_infinity_hides_a_trials_best(self, tmp_path: Path) -> None:
        trials = [[2.0, -math.inf, 3.0], [5.0]]
        assert theirs(trials, tmp_path).get_best_trial(scope="all").trial_id == "00001"
        assert ours(trials).best_trial(scope="all").number == 0

    def test_unfiltered_a_nan_wins_if_it_comes_first(self, tmp_path: Path) -> None:
        trials = [[math.nan], [1.0], [-math.inf]]
        analysis = theirs(trials, tmp_path)
        assert analysis.get_best_trial(filter_nan_and_inf=False).trial_id == "00000"
        assert ours(trials).best_trial(finite=False).number == 2
        assert ours(trials).best_trial().number == 1

    def test_a_single_trial_wins_whatever_it_reported(self, tmp_path: Path) -> None:
        from ray.tune import ResultGrid

        assert math.isnan(ResultGrid(theirs([[math.nan]], tmp_path)).get_best_result().metrics["loss"])
        with pytest.raises(NoResult, match="finite"):
            ours([[math.nan]]).best_trial()

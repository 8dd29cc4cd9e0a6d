"""Replays of recorded curves: what is not censored equals a run of the other policy on the full curves."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tunedsl import asha, diverged, fifo, grid, metric, plateau, report, space
from tunedsl.experiment import Experiment
from tunedsl.results import Results
from tunedsl.schedulers import asha_promote, hyperband, median_stopping
from tunedsl.stopping import best, no_improvement

EPOCHS = 9
SCHEDULERS = (
    fifo(),
    asha(max_t=EPOCHS, reduction_factor=3),
    asha(max_t=EPOCHS, reduction_factor=2),
    asha(max_t=EPOCHS, grace_period=2, reduction_factor=4),
    asha_promote(max_t=EPOCHS, reduction_factor=3),
    hyperband(max_t=EPOCHS),
    median_stopping(grace_period=2, min_samples_required=2),
)
TIMED = SCHEDULERS[-1:]
"""Those that logical order refuses."""
STOPS = (None, metric("loss") < 0.2, plateau("loss", std=0.05, num_results=3, grace_period=3), diverged("loss"))
UNTILS = (None, None, best() < 0.1, no_improvement(trials=4))


def train(config: dict[str, Any]) -> None:
    while config["row"] is not None:  # never run: curves are given
        report(loss=0.0, checkpoint="saved")


@st.composite
def policies(draw: Any) -> dict[str, Any]:
    return {
        "scheduler": draw(st.sampled_from(SCHEDULERS)),
        "stop": draw(st.sampled_from(STOPS)),
        "until": draw(st.sampled_from(UNTILS)),
        "parallel": draw(st.integers(1, 5)),
    }


@st.composite
def curves(draw: Any) -> list[list[float | None]]:
    value = st.one_of(st.floats(0, 1, width=16), st.just(math.nan))
    rows = draw(st.lists(st.lists(value, min_size=EPOCHS, max_size=EPOCHS), min_size=2, max_size=12))
    lengths = draw(st.lists(st.sampled_from([EPOCHS, EPOCHS, EPOCHS, 2, 5]), min_size=len(rows), max_size=len(rows)))
    return [[*row[:length], *[None] * (EPOCHS - length)] for row, length in zip(rows, lengths, strict=True)]


def simulated(full: list[list[float | None]], order: str, policy: dict[str, Any], costs: list[float]) -> Any:
    assume(order == "arrival" or policy["scheduler"] not in TIMED)
    e: Experiment = space(row=grid(list(range(len(full))))).trainable(train).minimize("loss").seed(0)
    e = e.order(order).scheduler(policy["scheduler"]).stop(training_iteration=EPOCHS).parallel(policy["parallel"])  # type: ignore[arg-type]
    e = e if policy["stop"] is None else e.stop(policy["stop"])
    e = e if policy["until"] is None else e.until(policy["until"])
    return e.dry_run(
        curve=lambda config, epoch: full[config["row"]][epoch - 1] if epoch <= EPOCHS else None,  # type: ignore[arg-type,return-value]
        cost=lambda config, epoch: costs[config["row"] % len(costs)],
    )


@settings(max_examples=100, deadline=None)
@given(
    curves(), policies(), policies(), st.sampled_from(["arrival", "logical"]), st.sampled_from([[1.0], [1.0, 0.7, 1.3]])
)
def test_what_is_not_censored_equals_a_run_of_the_other_policy(
    full: list[list[float | None]], recorded: dict[str, Any], other: dict[str, Any], order: str, costs: list[float]
) -> None:
    results = Results(simulated(full, order, recorded, costs).journal)
    stop = [{"training_iteration": EPOCHS}, *([] if other["stop"] is None else [other["stop"]])]
    until = [] if other["until"] is None else other["until"]
    if other["until"] is None and recorded["until"] is not None:
        other = {**other, "until": recorded["until"]}  # without a new condition, the run's own stays
        until = None
    forecast = results.what_if(other["scheduler"], stop, until, other["parallel"])
    truth = Results(simulated(full, order, other, costs).journal)
    for outcome in forecast.outcomes:
        if outcome.known:
            trial = truth[outcome.trial]
            assert (outcome.status, outcome.iterations) == (trial.status, trial.iterations)
            last = trial.metrics.get("loss")
            assert outcome.value == last or (outcome.value is None and (last is None or not math.isfinite(last)))
    facts: dict[str, float | None] = {
        "iterations": sum(trial.iterations for trial in truth),
        "seconds": truth.reading.seconds,
        **{status: sum(trial.status == status for trial in truth) for status in ("completed", "stopped", "cancelled")},
    }
    for figure in forecast.figures:
        if figure.name.startswith("best"):
            scores = [trial.metrics["loss"] for trial in truth if "loss" in trial.metrics]
            fact = min(filter(math.isfinite, scores), default=None)
        else:
            fact = facts.get(figure.name, 0)
        if not figure.censored:
            assert figure.value == (fact if fact is None else pytest.approx(fact)), figure.name
        elif fact is not None:
            assert figure.low is None or figure.low <= fact + 1e-9, figure
            assert figure.high is None or figure.high >= fact - 1e-9, figure


@settings(max_examples=40, deadline=None)
@given(curves(), policies(), st.sampled_from(["arrival", "logical"]))
def test_full_curves_leave_nothing_censored(full: list[list[float | None]], other: dict[str, Any], order: str) -> None:
    recorded = {"scheduler": fifo(), "stop": None, "until": None, "parallel": 2}
    results = Results(simulated(full, order, recorded, [1.0]).journal)
    forecast = results.what_if(
        other["scheduler"],
        [{"training_iteration": EPOCHS}, *([] if other["stop"] is None else [other["stop"]])],
        other["until"],
        other["parallel"],
    )
    censored = {name for name, is_censored in forecast.censored.items() if is_censored}
    assert censored <= ({"seconds"} if order == "logical" and other["until"] is not None else set())
    assert forecast.known_seconds == math.inf
    assert all(outcome.known for outcome in forecast.outcomes)


@settings(max_examples=40, deadline=None)
@given(curves(), policies(), st.sampled_from(["arrival", "logical"]))
def test_the_same_policy_on_a_finished_run_gives_what_happened(
    full: list[list[float | None]], policy: dict[str, Any], order: str
) -> None:
    recorded = simulated(full, order, {**policy, "until": None}, [1.0, 0.7])
    forecast = Results(recorded.journal).what_if()
    assert not any(forecast.censored.values()), forecast
    assert (forecast.iterations, forecast.seconds) == (recorded.iterations, recorded.seconds)

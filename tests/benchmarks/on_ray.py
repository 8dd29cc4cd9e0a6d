"""Trials and reports a second on Ray, beside Ray Tune with `reuse_actors=True`, in one run on two workers."""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
import warnings
from typing import Any

import ray
from ray import tune

from tests.benchmarks.measure import show
from tunedsl import report, space, uniform
from tunedsl.experiment import Experiment

REPEATS = 3
TUNE_TRIALS, OUR_TRIALS = 60, 20_000
TUNE_REPORTS, OUR_REPORTS = 500, 500_000


def once(config: dict[str, Any]) -> None:
    report(loss=config["x"])


def many(config: dict[str, Any]) -> None:
    for step in range(OUR_REPORTS):
        report(loss=config["x"] + step)


def tune_once(config: dict[str, Any]) -> None:
    tune.report({"loss": config["x"]})


def tune_many(config: dict[str, Any]) -> None:
    for step in range(TUNE_REPORTS):
        tune.report({"loss": config["x"] + step})


def with_tune(trainable: Any, samples: int) -> float:
    with tempfile.TemporaryDirectory() as store:
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=samples, metric="loss", mode="min", reuse_actors=True),
            run_config=tune.RunConfig(storage_path=store, verbose=0),
        )
        began = time.perf_counter()
        tuner.fit()
        return time.perf_counter() - began


def with_ours(trainable: Any, samples: int) -> float:
    with tempfile.TemporaryDirectory() as store:
        experiment: Experiment = space(x=uniform(0, 1)).trainable(trainable).minimize("loss").samples(samples).seed(0)
        began = time.perf_counter()
        experiment.store(store).run(quiet=True)
        return time.perf_counter() - began


def rates(what: str, ours: list[float], theirs: list[float]) -> None:
    mine, peer = statistics.median(ours), statistics.median(theirs)
    show(f"{what}: tunedsl, whole run with its start", f"{mine:,.1f} a second")
    show(f"{what}: Ray Tune, the same", f"{peer:,.2f} a second")
    show(f"{what}: ratio", f"{mine / peer:,.0f} x")


def main() -> None:
    warnings.simplefilter("ignore")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    with_tune(tune_once, 2)
    with_ours(once, 2)
    pairs = [
        (OUR_TRIALS / with_ours(once, OUR_TRIALS), TUNE_TRIALS / with_tune(tune_once, TUNE_TRIALS))
        for _ in range(REPEATS)
    ]
    rates("trials", [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    pairs = [(OUR_REPORTS / with_ours(many, 1), TUNE_REPORTS / with_tune(tune_many, 1)) for _ in range(REPEATS)]
    rates("reports of one trial", [pair[0] for pair in pairs], [pair[1] for pair in pairs])


if __name__ == "__main__":
    main()

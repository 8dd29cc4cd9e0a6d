"""What sinks cost a run on Ray: reports a second without them, with some and with all, and beside Ray Tune's loggers.

A trial's pace is taken by its own clock, and that of the run with its start and with what sinks write at the end.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import time
import warnings
from typing import Any

import ray
from ray import tune

from tests.benchmarks.measure import show
from tunedsl import report, space, uniform
from tunedsl.kernel import Reported
from tunedsl.results import Results
from tunedsl.sinks import Sink, comet, csv, jsonl, mlflow, tensorboard, wandb

TRIALS, REPORTS = 2, 150_000
PACED_REPORTS, PACE = 400, 50.0
"""Of each of two trials at a time, and how many a second."""


class Counts(Sink):
    """A sink as a user writes it."""

    def __init__(self) -> None:
        self.reports = 0

    def on_report(self, trial: Any, row: Any) -> None:
        self.reports += 1


def fast(config: dict[str, Any]) -> None:
    for step in range(REPORTS):
        report(loss=config["x"] + step, accuracy=config["x"])


def paced(config: dict[str, Any]) -> None:
    began = time.perf_counter()
    for step in range(1, PACED_REPORTS + 1):
        time.sleep(max(0.0, began + step / PACE - time.perf_counter()))
        report(loss=config["x"] + step, accuracy=config["x"])


def tune_paced(config: dict[str, Any]) -> None:
    began = time.perf_counter()
    for step in range(1, PACED_REPORTS + 1):
        time.sleep(max(0.0, began + step / PACE - time.perf_counter()))
        tune.report({"loss": config["x"] + step, "accuracy": config["x"]})


def of_trials(results: Results) -> float:
    """Seconds that the longest trial took, by its own clock."""
    return max(event.times[-1] for event in results.journal.events() if isinstance(event, Reported))


def ours(trainable: Any, sinks: tuple[Any, ...]) -> tuple[float, float]:
    """Seconds of the longest trial, and of the whole run."""
    with tempfile.TemporaryDirectory() as store:
        experiment = space(x=uniform(0, 1)).trainable(trainable).minimize("loss").samples(TRIALS).seed(0).store(store)
        if sinks:
            experiment = experiment.sinks(*sinks)
        began = time.perf_counter()
        results = experiment.run(quiet=True)
        return of_trials(results), time.perf_counter() - began


def theirs(loggers: bool) -> float:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "0" if loggers else "1"
    with tempfile.TemporaryDirectory() as store:
        tuner = tune.Tuner(
            tune.with_resources(tune_paced, {"cpu": 1}),
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=TRIALS, metric="loss", mode="min", reuse_actors=True),
            run_config=tune.RunConfig(storage_path=store, verbose=0),
        )
        began = time.perf_counter()
        tuner.fit()
        return time.perf_counter() - began


def trackers(store: str) -> tuple[Any, ...]:
    """Those whose packages are installed."""
    known = {"mlflow": mlflow(f"sqlite:///{store}/mlflow.db"), "wandb": wandb(), "comet_ml": comet()}
    return tuple(sink for module, sink in known.items() if importlib.util.find_spec(module) is not None)


def main() -> None:
    warnings.simplefilter("ignore")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    ours(fast, ())  # workers and imports are warm after this
    files = (csv(), tensorboard())
    every = (*files, jsonl(), Counts)
    count = TRIALS * REPORTS
    plain = ours(fast, ())
    for what, sinks in (("no sink", ()), ("CSV, TensorBoard", files), ("CSV, TensorBoard, JSON lines, own", every)):
        running, whole = plain if not sinks else ours(fast, sinks)
        show(f"{what}: in trials", f"{count / running:,.0f} reports a second ({plain[0] / running:.2f})")
        show(f"{what}: until all is written", f"{count / whole:,.0f} reports a second ({plain[1] / whole:.2f})")
    with tempfile.TemporaryDirectory() as store:
        most = (*every, *trackers(store))
        names = f"all {len(most)} that are installed"
        least = PACED_REPORTS / PACE
        for what, sinks in (("no sink", ()), ("CSV, TensorBoard", files), (names, most)):
            running, whole = ours(paced, sinks)
            show(
                f"50 results a second a trial, {what}",
                f"{running:.2f} s of trials (least {least:.0f}), {whole:.2f} s in all",
            )
    for loggers in (False, True):
        what = "with its CSV, JSON and TensorBoard" if loggers else "no logger"
        show(f"the same by Ray Tune, {what}", f"{theirs(loggers):.2f} s in all")


if __name__ == "__main__":
    main()

"""The local engine: the time to a first report, and LightGBM fits beside Optuna with `n_jobs=2`, in one run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, Final

import lightgbm
import numpy as np

from tests.benchmarks.measure import show
from tunedsl import loguniform, report, space
from tunedsl.backends import LocalEngine

REPEATS: Final = 3
FITS: Final = 40
SETTINGS: Final = {"objective": "binary", "num_leaves": 63, "num_threads": 1, "verbose": -1, "metric": "binary_logloss"}
SCRIPT: Final = """
import time
from tunedsl import report, space, uniform
from tunedsl.runs import runs
import tunedsl.backends.local

def train(config):
    report(loss=config["x"], at=time.time())

began = time.time()
e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(1).seed(0).store({store!r})
print(min(trial.metrics["at"] for trial in e.run(engine="local", quiet=True).trials) - began)
"""


def loss_of(learning_rate: float, features: Any, labels: Any) -> float:
    half = len(labels) // 2
    training = lightgbm.Dataset(features[:half], labels[:half])
    model = lightgbm.train({**SETTINGS, "learning_rate": learning_rate}, training, num_boost_round=100)
    chance = np.clip(model.predict(features[half:]), 1e-9, 1 - 1e-9)
    return float(-np.mean(np.where(labels[half:], np.log(chance), np.log(1 - chance))))


def train(config: dict[str, Any], features: Any, labels: Any) -> None:
    report(loss=loss_of(config["rate"], features, labels))


def with_ours(features: Any, labels: Any) -> float:
    with tempfile.TemporaryDirectory() as store:
        e = space(rate=loguniform(0.01, 0.3)).trainable(train).data(features=features, labels=labels)
        e = e.minimize("loss").samples(FITS).parallel(2).seed(0).store(store)
        began = time.perf_counter()
        results = e.run(LocalEngine(cpus=2), quiet=True)
        assert not results.errors
        return time.perf_counter() - began


def with_optuna(features: Any, labels: Any) -> float:
    import optuna  # here, so that workers of the other side do not import it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    began = time.perf_counter()
    study.optimize(
        lambda trial: loss_of(trial.suggest_float("rate", 0.01, 0.3, log=True), features, labels),
        n_trials=FITS,
        n_jobs=2,
    )
    return time.perf_counter() - began


def first_report() -> float:
    """Seconds from the end of a script's imports to its first report."""
    with tempfile.TemporaryDirectory() as store:
        code = SCRIPT.format(store=store)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return float(done.stdout)


def main() -> None:
    from sklearn.datasets import make_classification

    show("load of the machine", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    show("a script's first report, beyond imports", f"{statistics.median(first_report() for _ in range(5)):.2f} s")
    features, labels = make_classification(20_000, 30, n_informative=10, random_state=0)
    pairs = [(with_ours(features, labels), with_optuna(features, labels)) for _ in range(REPEATS)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    show(f"{FITS} LightGBM fits: tunedsl, whole run with its start", f"{ours:.1f} s")
    show(f"{FITS} LightGBM fits: Optuna, n_jobs=2", f"{theirs:.1f} s")
    show("ratio", f"{ours / theirs:.2f} x")


if __name__ == "__main__":
    main()

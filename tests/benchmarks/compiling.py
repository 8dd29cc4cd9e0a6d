"""Checking and compiling an experiment with 50 parameters."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.measure import seconds, show
from tunedsl import asha, choice, loguniform, qrandint, ref, report, space, uniform
from tunedsl.experiment import Experiment


def train(config: dict[str, Any]) -> None:
    report(loss=sum(value for value in config.values() if isinstance(value, float)))


def experiment() -> Experiment:
    params: dict[str, Any] = {}
    for index in range(10):
        params[f"a{index}"] = uniform(0, 1)
        params[f"b{index}"] = loguniform(1e-6, 1)
        params[f"c{index}"] = qrandint(0, 100, 5)
        params[f"d{index}"] = choice(["one", "two", "three"])
        params[f"e{index}"] = uniform(0, 1).when(ref(f"d{index}") == "one")
    return space(**params).trainable(train).minimize("loss").scheduler(asha()).samples(100).seed(0)


def main() -> None:
    show("check, 50 parameters", f"{seconds(lambda: experiment().check(engine='inline'), 9) * 1e3:.1f} ms")
    show("compile, 50 parameters", f"{seconds(lambda: experiment().compile(engine='inline'), 9) * 1e3:.1f} ms")
    constrained = experiment().where(ref("a0") < ref("a1"))
    show("compile, with a constraint", f"{seconds(lambda: constrained.compile(engine='inline'), 9) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()

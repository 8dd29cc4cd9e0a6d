"""Problems for the comparison of searchers: functions, surrogates of real trainings, and real models.

The data is in `../shared/data` beside the repository; what is missing there is left out, with the reason.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from tests.benchmarks.bbob import FUNCTIONS, Instance
from tests.benchmarks.branches import named
from tunedsl.spaces import Space, choice, lograndint, loguniform, randint, uniform

_PLACES = [parent / "shared" / "data" for parent in Path(__file__).resolve().parents[3:]]
DATA = next((place for place in _PLACES if place.is_dir()), _PLACES[0])


@attrs.frozen(eq=False)
class Problem:
    """A function of configurations to minimise.

    Attributes:
        name: of the problem within its class.
        space: of the configurations.
        loss: the value of a configuration.
        least: the least value; None if it is not known.
    """

    name: str
    space: Space
    loss: Callable[[dict[str, Any]], float]
    least: float | None = None


@attrs.frozen(eq=False)
class Curves:
    """Trainings to end early: the loss of a configuration after some epochs, of `epochs`."""

    name: str
    space: Space
    loss: Callable[[dict[str, Any], int], float]
    epochs: int


def held_out(index: int, development: bool) -> bool:
    """Whether a task is not of the wanted part: every third is for development, the others for reports."""
    return (index % 3 == 0) != development


def bbob(seed: int, development: bool) -> Iterator[Problem]:
    """The functions in 2 to 20 dimensions; each instance belongs to its seed."""
    for index, (name, function) in enumerate(FUNCTIONS.items()):
        if held_out(index, development):
            continue
        for dims in (2, 5, 10, 20):
            instance = Instance(dims, 1_000 * development + seed)
            space = Space.of({f"x{dim}": uniform(-5, 5) for dim in range(dims)})

            def loss(config: dict[str, Any], function: Any = function, instance: Instance = instance) -> float:
                return float(function(instance, np.array(list(config.values()))))

            yield Problem(f"{name} {dims}D", space, loss, 0.0)


class Surrogate:
    """A network of YAHPO Gym, which predicts the results of a training."""

    def __init__(self, name: str, categories: list[str], numbers: list[str]) -> None:
        import onnxruntime

        folder = DATA / "yahpo" / name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", options)
        self._encoding = json.loads((folder / "encoding.json").read_text())
        meta = json.loads((folder / "config_space.json").read_text())["hyperparameters"]
        self.choices = {each["name"]: each["choices"] for each in meta if each["type"] == "categorical"}
        self._categories, self._numbers = categories, numbers

    def __call__(self, config: dict[str, Any]) -> np.ndarray[Any, Any]:
        chosen = [self._encoding[name][config[name]] for name in self._categories]
        numbers = [config[name] for name in self._numbers]
        inputs = {"x_cat": np.array([chosen], np.int32), "x_cont": np.array([numbers], np.float32)}
        found: np.ndarray[Any, Any] = self._session.run(None, inputs)[0][0].astype(float)
        return found


LCBENCH = Space.of(
    {
        "batch_size": lograndint(16, 513),
        "learning_rate": loguniform(1e-4, 1e-1),
        "max_dropout": uniform(0, 1),
        "max_units": lograndint(64, 1025),
        "momentum": uniform(0.1, 0.99),
        "num_layers": randint(1, 6),
        "weight_decay": uniform(1e-5, 1e-1),
    }
)
RPART = Space.of(
    {
        "cp": loguniform(0.001, 1),
        "maxdepth": randint(1, 31),
        "minbucket": randint(1, 101),
        "minsplit": randint(1, 101),
        "num.impute.selected.cpo": choice(["impute.mean", "impute.median", "impute.hist"]),
    }
)


# The networks take their inputs in the order of the tables that they were trained on.
@functools.cache
def surrogate(name: str) -> Surrogate:
    if name == "lcbench":
        numbers = "epoch batch_size learning_rate momentum weight_decay num_layers max_units max_dropout"
        return Surrogate(name, ["OpenML_task_id"], numbers.split())
    numbers = "cp maxdepth minbucket minsplit trainsize repl"
    return Surrogate(name, ["task_id", "num.impute.selected.cpo"], numbers.split())


def lcbench_curves(development: bool) -> Iterator[Curves]:
    model = surrogate("lcbench")
    for index, task in enumerate(model.choices["OpenML_task_id"]):
        if not held_out(index, development):

            def loss(config: dict[str, Any], epoch: int, task: str = task) -> float:
                return 100 - float(model({**config, "OpenML_task_id": task, "epoch": epoch})[1])

            yield Curves(f"LCBench {task}", LCBENCH, loss, 52)


def lcbench(seed: int, development: bool) -> Iterator[Problem]:
    for curves in lcbench_curves(development):
        yield Problem(curves.name, LCBENCH, functools.partial(curves.loss, epoch=curves.epochs))


def rpart(seed: int, development: bool) -> Iterator[Problem]:
    model = surrogate("rbv2_rpart")
    for index, task in enumerate(model.choices["task_id"][::4]):
        if not held_out(index, development):

            def loss(config: dict[str, Any], task: str = task) -> float:
                return 1 - float(model({**config, "task_id": task, "repl": 10, "trainsize": 1.0})[0])

            yield Problem(f"rpart {task}", RPART, loss)


def taskset_curves(development: bool) -> Iterator[Curves]:
    """Recorded trainings; between the configurations, the curves of the five nearest, weighted by distance."""
    files = sorted((DATA / "taskset").glob("*.npz"))
    names = ("learning_rate", "beta1", "beta2", "epsilon", "l1", "l2", "linear_decay", "exponential_decay")
    for index, file in enumerate(files):
        if (index == 0) != development:
            continue
        data = np.load(file)
        plain = np.array([name in ("beta1", "beta2") for name in names])
        scaled = np.where(plain, data["hp"], np.log(np.maximum(data["hp"], 1e-300)))
        valid = data["valid"].astype(float)
        # A diverged training keeps the worst finite value.
        valid = np.where(np.isfinite(valid), valid, np.nanmax(np.where(np.isfinite(valid), valid, np.nan)))
        low, high = scaled.min(axis=0), scaled.max(axis=0)
        points = (scaled - low) / (high - low)
        space = Space.of(
            {
                name: uniform(a, b) if even else loguniform(float(np.exp(a)), float(np.exp(b)))
                for name, even, a, b in zip(names, plain, low.tolist(), high.tolist(), strict=True)
            }
        )
        yield Curves(
            file.stem, space, functools.partial(_between, points, valid, plain, low, high, names), valid.shape[1]
        )


def _between(
    points: Any,
    valid: Any,
    plain: Any,
    low: Any,
    high: Any,
    names: Any,
    config: dict[str, Any],
    epoch: int,
    count: int = 5,
) -> float:
    at = np.array([config[name] for name in names])
    near = (np.where(plain, at, np.log(np.maximum(at, 1e-300))) - low) / (high - low)
    squares = ((points - near) ** 2).sum(axis=1)
    rows = np.argpartition(squares, count)[:count]
    weights = 1 / (squares[rows] + 1e-6)
    return float(weights @ valid[rows, epoch - 1] / weights.sum())


def taskset(seed: int, development: bool) -> Iterator[Problem]:
    for curves in taskset_curves(development):
        yield Problem(curves.name, curves.space, functools.partial(curves.loss, epoch=curves.epochs))


def algoperf_curves(development: bool) -> Iterator[Curves]:
    """Real trainings, one for each of at least ten configurations, of which the two nearest are averaged."""
    with gzip.open(DATA / "algoperf" / "curves.json.gz") as file:
        workloads = json.load(file)
    names = ("learning_rate", "one_minus_beta1", "weight_decay")
    index = 0
    for workload, trials in sorted(workloads.items()):
        repeats: dict[tuple[float, ...], list[Any]] = {}
        for trial in trials:
            config = tuple(trial["hp"].get(name) or 0.0 for name in names)
            if all(config):
                repeats.setdefault(config, []).append(_resampled(trial["curve"], 27))
        if len(repeats) < 10:
            continue
        index += 1
        if held_out(index, development):
            continue
        valid = np.array([_median_of(curves) for curves in repeats.values()])
        valid = np.where(np.isfinite(valid), valid, np.nanmax(np.where(np.isfinite(valid), valid, np.nan)))
        logs = np.log(np.array([*repeats]))
        low, high = logs.min(axis=0), logs.max(axis=0)
        domains = [loguniform(*np.exp(pair).tolist()) for pair in zip(low, high, strict=True)]
        points, plain = (logs - low) / (high - low), np.zeros(len(names), bool)
        loss = functools.partial(_between, points, valid, plain, low, high, names, count=2)
        yield Curves(workload, Space.of(dict(zip(names, domains, strict=True))), loss, 27)


def _median_of(curves: list[Any]) -> Any:
    """The curve whose end is the median, so that its noise is that of a training."""
    return sorted(curves, key=lambda curve: float(curve[-1]))[len(curves) // 2]


def _resampled(curve: list[list[float]], count: int) -> np.ndarray[Any, Any]:
    """The last value of a curve at each of some equal parts of its steps."""
    steps, values = np.array([row[0] for row in curve], float), np.array([row[3] for row in curve], float)
    at = np.linspace(0, steps[-1], count + 1)[1:]
    return values[np.maximum(np.searchsorted(steps, at, side="right") - 1, 0)]


def models(seed: int, development: bool) -> Iterator[Problem]:
    """Models of scikit-learn on its data sets, with conditional, log, integer and categorical parameters."""
    from tests.benchmarks.models import problems

    for index, (name, space, loss) in enumerate(problems()):
        if not held_out(index, development):
            yield Problem(name, space, loss)


def conditional(seed: int, development: bool) -> Iterator[Problem]:
    """Random functions of branches with parameters of their own; they belong to their seed."""
    for name, function in named(seed, development):
        yield Problem(name, function.space, function, 0.0)


CLASSES: dict[str, Callable[[int, bool], Iterator[Problem]]] = {
    "bbob": bbob,
    "lcbench": lcbench,
    "rpart": rpart,
    "taskset": taskset,
    "models": models,
    "branches": conditional,
}
CURVES: dict[str, Callable[[bool], Iterator[Curves]]] = {
    "lcbench": lcbench_curves,
    "taskset": taskset_curves,
    "algoperf": algoperf_curves,
}

"""How good the configurations are that searchers find, beside Optuna, SMAC and Ax in the same run.

    python -m tests.benchmarks.decisions run bbob --seeds 10 --tasks 6 --save bbob.jsonl
    python -m tests.benchmarks.decisions run bbob --seeds 10 --tasks 3 --searchers ax --save bbob.jsonl
    python -m tests.benchmarks.decisions curves lcbench --seeds 3 --save curves.jsonl
    python -m tests.benchmarks.decisions report bbob.jsonl lcbench.jsonl
    python -m tests.benchmarks.decisions costs

`run`: 100 evaluations of each problem of a class, or of some that are evenly spaced in it. `curves`: a scheduler, by
default ASHA, with 8 virtual workers, until the epochs of 30 full trainings are spent. By default, only tasks are run
that no option was chosen on; `--development` runs the others, with other seeds. A searcher whose library is not
installed is left out. `report` is explained in `decision_report.py`. Set OMP_NUM_THREADS=1.

Optuna's AutoSampler is not compared: its package loads the code from GitHub when it is called.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks.decision_report import report
from tests.benchmarks.problems import CLASSES, CURVES, Curves, Problem
from tests.benchmarks.schedulers import Looked
from tests.benchmarks.searchers import GOAL, optuna_study, suggested
from tests.benchmarks.taskset import losses_in_order
from tunedsl import asha, hyperband, space, tpe
from tunedsl.base.codec import decode
from tunedsl.journal import Journal
from tunedsl.kernel import Proposed, Reported
from tunedsl.runs import dry_run
from tunedsl.schedulers import asha_promote, pasha
from tunedsl.searchers import Observation, Proposal, auto, ax, bohb, gp, hebo, random_search, searcher_of, smac
from tunedsl.spaces import Space, uniform
from tunedsl.spaces.layout import resolve_space

EVALUATIONS = 100
SCHEDULERS = {"asha": asha, "asha_promote": asha_promote, "pasha": pasha, "hyperband": hyperband}
WORKERS, FULL_TRAININGS = 8, 30
SPECS: dict[str, Any] = {
    "random": random_search(),
    "tpe": tpe(),
    "gp": gp(),
    "auto": auto(),
    "bohb": bohb(),
    "smac": smac(),
    "ax": ax(),
    "hebo": hebo(),
}
PACKAGES = {"optuna": ["optuna"], "optuna-gp": ["optuna", "torch"], "smac": ["smac"], "ax": ["ax"], "hebo": ["hebo"]}
Run = Callable[[Problem, int, int, int], list[float]]
"""The values in the order of asking, from a problem, a seed, a width and a number of evaluations."""


def native(name: str, problem: Problem, seed: int, width: int, count: int) -> list[float]:
    spec = SPECS[name]
    searcher = searcher_of(spec)
    state = searcher.init(spec, problem.space, GOAL, seed)
    running: list[tuple[int, float]] = []
    values = []
    for trial in range(count):
        state, answer = searcher.ask(spec, state, trial, seed)
        assert isinstance(answer, Proposal)
        values.append(problem.loss(decode(answer.config)))
        running.append((trial, values[-1]))
        if len(running) == width:
            ended, found = running.pop(0)
            state = searcher.tell(spec, state, ended, Observation("done", 1, (found,)))
    return values


def of_optuna(sampler: str, problem: Problem, seed: int, width: int, count: int) -> list[float]:
    import optuna

    study = optuna_study(seed)
    if sampler == "gp":
        study.sampler = optuna.samplers.GPSampler(seed=seed)
    layout = resolve_space(problem.space)
    running: list[tuple[Any, float]] = []
    values = []
    for _ in range(count):
        trial = study.ask()
        values.append(problem.loss(suggested(layout, trial)))
        running.append((trial, values[-1]))
        if len(running) == width:
            ended, found = running.pop(0)
            study.tell(ended, found)
    return values


RUNS: dict[str, Run] = {
    **{name: partial(native, name) for name in SPECS},
    "optuna": partial(of_optuna, "tpe"),
    "optuna-gp": partial(of_optuna, "gp"),
}


def installed(names: list[str]) -> list[str]:
    """Those whose libraries are installed; the others are printed."""
    found = []
    for name in names:
        missing = [package for package in PACKAGES.get(name, []) if importlib.util.find_spec(package) is None]
        if missing:
            print(f"{name} is left out: {' and '.join(missing)} is not installed", flush=True)
        else:
            found.append(name)
    return found


def chosen(tasks: list[Any], options: argparse.Namespace) -> list[Any]:
    """The tasks whose names fit, or as many as are wanted of them, evenly spaced."""
    tasks = [task for task in tasks if not options.only or any(part in task.name for part in options.only)]
    count = min(options.tasks or len(tasks), len(tasks))
    return [tasks[(2 * place + 1) * len(tasks) // (2 * count)] for place in range(count)]


def run(options: argparse.Namespace) -> None:
    """Runs searchers on the problems of a class and appends their results to a file."""
    searchers = installed(options.searchers)
    for seed in range(options.first, options.first + options.seeds):
        for problem in chosen(list(CLASSES[options.what](seed, options.development)), options):
            for name in searchers:
                began = time.perf_counter()
                values = RUNS[name](problem, seed, options.width, options.evaluations)
                row = {
                    "class": options.what if options.width == 1 else f"{options.what}, width {options.width}",
                    "problem": problem.name,
                    "least": problem.least,
                    "seed": seed,
                    "searcher": name,
                    "values": np.minimum.accumulate(values).tolist(),
                    "seconds": time.perf_counter() - began,
                }
                with open(options.save, "a") as file:
                    file.write(json.dumps(row) + "\n")


def best_after(journal: Journal, curves: Curves, epochs: int) -> float:
    """The final loss of the trial that led when the epochs were spent."""
    configs, rows = {}, []
    for event in journal.events():
        if isinstance(event, Proposed):
            configs[event.trial] = decode(event.config)
        elif isinstance(event, Reported):
            for offset, (elapsed, row) in enumerate(zip(event.times, event.rows, strict=True)):
                at = event.seconds - event.times[-1] + elapsed
                rows.append((at, event.trial, event.last - len(event.rows) + offset + 1, float(row[0])))
    seen: dict[int, tuple[int, float]] = {}
    for _, trial, epoch, loss in sorted(rows)[:epochs]:
        seen[trial] = (epoch, min(loss, seen.get(trial, (0, math.inf))[1]))
    longest = max(epoch for epoch, _ in seen.values())
    leader = min((loss, trial) for trial, (epoch, loss) in seen.items() if epoch == longest)[1]
    return curves.loss(configs[leader], curves.epochs)


def run_curves(options: argparse.Namespace) -> None:
    """Runs ASHA with searchers on trainings and appends their results to a file."""
    for seed in range(options.first, options.first + options.seeds):
        for curves in chosen(list(CURVES[options.what](options.development)), options):
            for name in options.searchers:
                experiment = space(**dict(curves.space.params)).trainable(Looked).minimize("loss")
                scheduler = SCHEDULERS[options.scheduler](max_t=curves.epochs, reduction_factor=3)
                experiment = experiment.searcher(SPECS[name]).scheduler(scheduler)
                experiment = experiment.samples(options.evaluations).parallel(WORKERS).seed(seed)
                began = time.perf_counter()
                journal = dry_run(experiment, curve=curves.loss).journal
                epochs = FULL_TRAININGS * curves.epochs
                row = {
                    "class": f"{options.scheduler} {options.what}",
                    "problem": curves.name,
                    "least": None,
                    "seed": seed,
                    "searcher": name,
                    "values": [best_after(journal, curves, epochs)],
                    "seconds": time.perf_counter() - began,
                    "epochs": len(losses_in_order(journal)),
                }
                with open(options.save, "a") as file:
                    file.write(json.dumps(row) + "\n")


def costs(options: argparse.Namespace) -> None:
    """Prints the milliseconds of an ask: the median and the largest of ten, in eight dimensions."""
    cube = Space.of({f"x{dim}": uniform(0, 1) for dim in range(8)})
    draw = np.random.default_rng(0)
    for name in options.searchers:
        spec = SPECS[name]
        searcher = searcher_of(spec)
        assert searcher.force is not None
        for count in (100, 1_000, 10_000):
            state = searcher.init(spec, cube, GOAL, 0)
            for trial, row in enumerate(draw.random((count, 8)).tolist()):
                config = {f"x{dim}": x for dim, x in enumerate(row)}
                state = searcher.force(spec, state, trial, config, 0)
                state = searcher.tell(spec, state, trial, Observation("done", 1, (sum((x - 0.3) ** 2 for x in row),)))
            taken = []
            for trial in range(count, count + 11):
                began = time.perf_counter()
                state, _ = searcher.ask(spec, state, trial, 0)
                taken.append(1e3 * (time.perf_counter() - began))
                state = searcher.tell(spec, state, trial, Observation("done", 1, (float(draw.random()),)))
            print(
                f"{name}, {count:,} trials: {np.median(taken[1:]):.1f} ms an ask, the first {taken[0]:.1f}", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    usual = [name for name in ("random", "tpe", "gp", "auto", "optuna") if name in RUNS]
    for verb, classes, function in (("run", CLASSES, run), ("curves", CURVES, run_curves)):
        one = verbs.add_parser(verb)
        one.add_argument("what", choices=[*classes])
        one.add_argument(
            "--searchers", nargs="+", choices=[*RUNS], default=[n for n in usual if verb == "run" or n in SPECS]
        )
        one.add_argument("--seeds", type=int, default=3, help="how many")
        one.add_argument("--first", type=int, default=0, help="the first of them")
        one.add_argument("--width", type=int, default=1, help="how many trials run at a time")
        one.add_argument("--evaluations", type=int, default=EVALUATIONS if verb == "run" else 250)
        one.add_argument("--tasks", type=int, help="how many of the tasks, evenly spaced, in place of all")
        one.add_argument("--only", nargs="+", help="parts of the names of problems")
        if verb == "curves":
            one.add_argument("--scheduler", choices=[*SCHEDULERS], default="asha")
        one.add_argument("--development", action="store_true", help="the tasks on which options may be chosen")
        one.add_argument("--save", required=True, help="a file of JSON lines, to which results are appended")
        one.set_defaults(function=function)
    one = verbs.add_parser("report")
    one.add_argument("files", nargs="+")
    one.add_argument("--after", type=int, nargs="+", default=[20, 50, EVALUATIONS], help="numbers of evaluations")
    one.add_argument("--against", default="auto", help="the searcher that the others are compared with")
    one.set_defaults(function=report)
    one = verbs.add_parser("costs")
    one.add_argument("--searchers", nargs="+", choices=[*SPECS], default=["tpe", "gp"])
    one.set_defaults(function=costs)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.function(options)


if __name__ == "__main__":
    main()

"""How good the configurations are that searchers find, beside Optuna and SMAC in the same run.

    python -m tests.benchmarks.decisions run bbob --seeds 3 --searchers random tpe gp auto optuna --save bbob.jsonl
    python -m tests.benchmarks.decisions curves lcbench --seeds 3 --save curves.jsonl
    python -m tests.benchmarks.decisions report bbob.jsonl lcbench.jsonl
    python -m tests.benchmarks.decisions costs

`run`: 100 evaluations of each problem of a class. `curves`: a scheduler, by default ASHA, with 8 virtual workers, until
the epochs of 30 full trainings are spent. A regret is the distance to the best value known of the problem, as a share
of the median distance of random search: random search has 1. By default, only tasks are run that no option was chosen
on; `--development` runs the others, with other seeds. Set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.problems import CLASSES, CURVES, Curves, Problem
from tests.benchmarks.schedulers import Looked
from tests.benchmarks.searchers import GOAL, optuna_study, share, sign_test, suggested
from tests.benchmarks.taskset import losses_in_order
from tunedsl import asha, hyperband, space, tpe
from tunedsl.base.codec import decode
from tunedsl.journal import Journal
from tunedsl.kernel import Proposed, Reported
from tunedsl.runs import dry_run
from tunedsl.schedulers import asha_promote, pasha
from tunedsl.searchers import Observation, Proposal, auto, bohb, gp, random_search, searcher_of, smac
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
}
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


def run(options: argparse.Namespace) -> None:
    """Runs searchers on the problems of a class and appends their results to a file."""
    for seed in range(options.first, options.first + options.seeds):
        for problem in CLASSES[options.what](seed, options.development):
            if options.only and not any(part in problem.name for part in options.only):
                continue
            for name in options.searchers:
                began = time.perf_counter()
                values = RUNS[name](problem, seed, options.width, options.evaluations)
                row = {
                    "class": options.what,
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
        for curves in CURVES[options.what](options.development):
            if options.only and not any(part in curves.name for part in options.only):
                continue
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


def report(options: argparse.Namespace) -> None:
    """Prints the regrets, ranks and shares of won runs of each class."""
    rows = [json.loads(line) for path in options.files for line in Path(path).read_text().splitlines()]
    by_problem: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in rows:
        # The functions of BBOB have another instance with each seed.
        which = f"{row['problem']} {row['seed']}" if row["least"] is not None else row["problem"]
        by_problem[row["class"], which].append(row)
    regrets: dict[str, dict[Any, dict[str, float]]] = defaultdict(dict)
    for (kind, which), some in by_problem.items():
        least = min(row["values"][-1] for row in some) if some[0]["least"] is None else some[0]["least"]
        at = min(options.evaluations, *(len(row["values"]) for row in some)) - 1
        losses = {(row["searcher"], row["seed"]): row["values"][at] - least for row in some}
        unit = float(np.median([loss for (name, _), loss in losses.items() if name == "random"] or [1.0]))
        for (name, seed), loss in losses.items():
            regrets[kind].setdefault((which, seed), {})[name] = loss / max(unit, 1e-300)
    ranks: dict[str, list[float]] = defaultdict(list)
    for kind, runs in regrets.items():
        names = list(dict.fromkeys(row["searcher"] for row in rows if row["class"] == kind))
        whole = [each for each in runs.values() if len(each) == len(names)]
        tasks = len({which.rsplit(" ", 1)[0] if kind == "bbob" else which for which, _ in runs})
        print(f"{kind}: {tasks} problems, {len(whole)} runs each")
        for name in names:
            found = np.array([each[name] for each in whole])
            place = [sum(other < each[name] for other in each.values()) for each in whole]
            ties = [sum(other == each[name] for other in each.values()) for each in whole]
            rank = float(np.mean(np.array(place) + (np.array(ties) + 1) / 2))
            ranks[name].append(rank)
            first = np.array([each[names[0]] for each in whole])
            against = {other: share(found, np.array([each[other] for each in whole])) for other in names}
            won = ", ".join(f"{other} {each:.0%}" for other, each in against.items() if other != name)
            better, worse = int((found < first).sum()), int((found > first).sum())
            print(
                f"  {name:10} regret {np.median(found):6.3f} (mean {np.mean(np.minimum(found, 5)):.3f}), "
                f"mean rank {rank:.2f}, won against {won}; p = {sign_test(better, worse):.1g}",
                flush=True,
            )
    if len(regrets) > 1:
        for name, found_ranks in ranks.items():
            if len(found_ranks) == len(regrets):
                print(f"{name:10} mean rank over classes {np.mean(found_ranks):.2f}")


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
        one.add_argument("--only", nargs="+", help="parts of the names of problems")
        if verb == "curves":
            one.add_argument("--scheduler", choices=[*SCHEDULERS], default="asha")
        one.add_argument("--development", action="store_true", help="the tasks on which options may be chosen")
        one.add_argument("--save", required=True, help="a file of JSON lines, to which results are appended")
        one.set_defaults(function=function)
    one = verbs.add_parser("report")
    one.add_argument("files", nargs="+")
    one.add_argument("--evaluations", type=int, default=EVALUATIONS)
    one.set_defaults(function=report)
    one = verbs.add_parser("costs")
    one.add_argument("--searchers", nargs="+", choices=[*SPECS], default=["tpe", "gp"])
    one.set_defaults(function=costs)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.function(options)


if __name__ == "__main__":
    main()

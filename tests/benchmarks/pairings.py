"""How good the configurations are that schedulers find with searchers, beside Syne Tune over the same curves.

    python -m tests.benchmarks.pairings run lcbench --save pairings.jsonl
    python -m tests.benchmarks.pairings peers lcbench --save pairings.jsonl      (needs syne-tune)
    python -m tests.benchmarks.pairings report pairings.jsonl

`run` and `peers`: a pairing trains on a virtual clock, where an epoch takes a second, until the epochs of 30 full
trainings are spent. Then the trial with the best report counts, by its loss after a full training.
A regret is the distance to the best loss that any pairing found on the task, as a share of the median distance of
`asha` with random search. `report` compares each pairing with that one: by medians over tasks of medians over seeds,
by the share of tasks with a better median, and by a sign test over tasks.

By default, tasks are run that no option was chosen on, at most the first five of a class; `--development` runs the
others. Set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import json
import logging
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.problems import CURVES, Curves
from tests.benchmarks.schedulers import Looked
from tests.benchmarks.searchers import sign_test
from tunedsl import asha, hyperband, space
from tunedsl.base.codec import decode
from tunedsl.kernel import Proposed, Reported
from tunedsl.runs import dry_run
from tunedsl.schedulers import asha_promote, pasha
from tunedsl.searchers import auto, bohb, gp, random_search, tpe
from tunedsl.spaces.domains import LogRandInt, LogUniform, RandInt, Uniform

FULL_TRAININGS, TASKS = 30, 5
SCHEDULERS: dict[str, Callable[..., Any]] = {
    "asha": asha,
    "asha_grace_3": functools.partial(asha, grace_period=3),
    "asha_promote": asha_promote,
    "pasha": pasha,
    "hyperband": hyperband,
}
SEARCHERS: dict[str, Any] = {
    "random": random_search(),
    "tpe": tpe(),
    "bohb": bohb(),
    "gp": gp(),
    "auto": auto(),
}
BASELINE = "asha + random"
Row = tuple[float, int, int, float]
"""The time of a report, its trial, its epoch and its loss."""
Played = tuple[list[Row], dict[int, dict[str, Any]]]
"""All reports, and the configurations by trial."""


def played(curves: Curves, scheduler: str, searcher: str, width: int, seed: int) -> Played:
    """The reports of a pairing of this package."""
    experiment = space(**dict(curves.space.params)).trainable(Looked).minimize("loss")
    experiment = experiment.scheduler(SCHEDULERS[scheduler](max_t=curves.epochs, reduction_factor=3))
    experiment = experiment.searcher(SEARCHERS[searcher]).samples(100_000).parallel(width).seed(seed)
    experiment = experiment.budget(iterations=FULL_TRAININGS * curves.epochs + 9 * width)
    rows: list[Row] = []
    configs = {}
    for event in dry_run(experiment, curve=curves.loss).journal.events():
        if isinstance(event, Proposed):
            configs[event.trial] = decode(event.config)
        elif isinstance(event, Reported):
            for offset, (elapsed, row) in enumerate(zip(event.times, event.rows, strict=True)):
                at = event.seconds - event.times[-1] + elapsed
                rows.append((at, event.trial, event.first + offset, float(row[0])))
    return rows, configs


def played_by_syne(curves: Curves, kind: str, width: int, seed: int) -> Played:
    """The reports of a scheduler of Syne Tune on the same virtual clock."""
    from datetime import datetime

    from syne_tune.backend.trial_status import Trial
    from syne_tune.optimizer import baselines

    scheduler = _of_syne(getattr(baselines, kind), curves, seed)
    rows: list[Row] = []
    configs: dict[int, dict[str, Any]] = {}
    trials: dict[int, Any] = {}
    running: list[tuple[float, int, int]] = []
    now = 0.0
    while len(rows) < FULL_TRAININGS * curves.epochs:
        while len(running) < width:
            number = len(trials)
            config = _suggested(scheduler, number)
            trials[number] = Trial(number, config, datetime(2026, 1, 1))
            configs[number] = {name: config[name] for name, _ in curves.space.params}
            scheduler.on_trial_add(trials[number])
            heapq.heappush(running, (now + 1, number, 1))
        now, number, epoch = heapq.heappop(running)
        loss = curves.loss(configs[number], epoch)
        rows.append((now, number, epoch, loss))
        result = {"loss": loss, "epoch": epoch}
        if epoch == curves.epochs:
            scheduler.on_trial_complete(trials[number], result)
        elif scheduler.on_trial_result(trials[number], result) == "CONTINUE":
            heapq.heappush(running, (now + 1, number, epoch + 1))
        else:
            scheduler.on_trial_remove(trials[number])
    return rows, configs


def _of_syne(make: Any, curves: Curves, seed: int) -> Any:
    from syne_tune import config_space

    domains: dict[str, Any] = {"epochs": curves.epochs}
    for name, domain in dict(curves.space.params).items():
        match domain:
            case Uniform():
                domains[name] = config_space.uniform(domain.low, domain.high)
            case LogUniform():
                domains[name] = config_space.loguniform(domain.low, domain.high)
            case RandInt():
                domains[name] = config_space.randint(domain.low, domain.high - 1)
            case LogRandInt():
                domains[name] = config_space.lograndint(domain.low, domain.high - 1)
            case _:
                raise TypeError(f"no domain of Syne Tune for {domain!r}")
    if hasattr(make, "time_attr") or "time_attr" in make.__init__.__annotations__:
        return make(domains, "loss", time_attr="epoch", max_t=curves.epochs, reduction_factor=3, random_seed=seed)
    found = make(
        domains,
        metric="loss",
        mode="min",
        resource_attr="epoch",
        max_resource_attr="epochs",
        reduction_factor=3,
        random_seed=seed,
        search_options={"debug_log": False},
    )
    return found


def _suggested(scheduler: Any, number: int) -> dict[str, Any]:
    import inspect

    asks_with_trial = "trial_id" in inspect.signature(scheduler.suggest).parameters
    suggestion = scheduler.suggest(number) if asks_with_trial else scheduler.suggest()
    found: dict[str, Any] = suggestion.config
    return found


def final_loss(curves: Curves, result: Played) -> float:
    """The loss, after a full training, of the trial with the best report when the epochs are spent."""
    rows, configs = result
    leader = min((loss, trial) for _, trial, _, loss in sorted(rows)[: FULL_TRAININGS * curves.epochs])[1]
    return curves.loss(configs[leader], curves.epochs)


def tasks(options: argparse.Namespace) -> Iterator[tuple[int, Curves]]:
    """The seeds and tasks of a call."""
    known = list(CURVES[options.what](options.development))[: options.tasks]
    for seed in range(options.first, options.first + options.seeds):
        for curves in known:
            yield seed, curves


def save(options: argparse.Namespace, curves: Curves, pairing: str, width: int, seed: int, play: Any) -> None:
    began = time.process_time()
    result = play()
    row = {
        "class": options.what,
        "problem": curves.name,
        "width": width,
        "seed": seed,
        "pairing": pairing,
        "loss": final_loss(curves, result),
        "seconds": time.process_time() - began,
        "trials": len(result[1]),
        "epochs": len(result[0]),
    }
    with open(options.save, "a") as file:
        file.write(json.dumps(row) + "\n")


def run(options: argparse.Namespace) -> None:
    """Runs pairings of this package."""
    for seed, curves in tasks(options):
        for width in options.widths:
            for scheduler in options.schedulers:
                for searcher in options.searchers:
                    pairing = f"{scheduler} + {searcher}"

                    def play(scheduler: str = scheduler, searcher: str = searcher, width: int = width) -> Played:
                        return played(curves, scheduler, searcher, width, seed)  # noqa: B023

                    save(options, curves, pairing, width, seed, play)


def peers(options: argparse.Namespace) -> None:
    """Runs schedulers of Syne Tune."""
    import syne_tune

    version = ".".join(syne_tune.__version__.split(".")[:2])
    logging.disable(logging.CRITICAL)
    for seed, curves in tasks(options):
        for width in options.widths:
            for kind in options.kinds:

                def play(kind: str = kind, width: int = width) -> Played:
                    np.random.seed(seed)  # noqa: B023
                    return played_by_syne(curves, kind, width, seed)  # noqa: B023

                save(options, curves, f"Syne Tune {version} {kind}", width, seed, play)


def report(options: argparse.Namespace) -> None:
    """Prints how each pairing compares with `asha` and random search."""
    losses: dict[tuple[int, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in options.files:
        for line in Path(path).read_text().splitlines():
            row = json.loads(line)
            losses[row["width"], row["class"], row["problem"]][row["pairing"]].append(row["loss"])
    for width in sorted({key[0] for key in losses}):
        for kinds in [*([kind] for kind in sorted({key[1] for key in losses})), sorted({key[1] for key in losses})]:
            chosen = [found for (at, kind, _), found in losses.items() if at == width and kind in kinds]
            _report_of(f"{width} workers, {' and '.join(kinds)}", [each for each in chosen if BASELINE in each])


def _report_of(title: str, chosen: list[dict[str, list[float]]]) -> None:
    if not chosen:
        return
    print(f"{title}: {len(chosen)} tasks")
    regrets: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for found in chosen:
        least = min(min(each) for each in found.values())
        base = float(np.median(found[BASELINE])) - least
        for name, each in found.items():
            own = float(np.median(each)) - least
            relative = own / base if base else 1.0 if own == 0 else np.inf
            regrets[name].append((relative, len(each)))
    for name, pairs in sorted(regrets.items(), key=lambda item: float(np.median([x for x, _ in item[1]]))):
        values = np.array([value for value, _ in pairs])
        seeds = min(count for _, count in pairs)
        better, worse = int((values < 1).sum()), int((values > 1).sum())
        print(
            f"  {name:24} regret {np.median(values):6.3f}, quartiles {np.quantile(values, 0.25):.2f} to "
            f"{np.quantile(values, 0.75):.2f}; better in {better} of {len(values)} ({better / len(values):.0%}), "
            f"p = {sign_test(better, worse):.1g}; {seeds:.0f} seeds"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, function in (("run", run), ("peers", peers)):
        one = verbs.add_parser(verb)
        one.add_argument("what", choices=[*CURVES])
        one.add_argument("--seeds", type=int, default=10, help="how many")
        one.add_argument("--first", type=int, default=0, help="the first of them")
        one.add_argument("--tasks", type=int, default=TASKS, help="the first of the class")
        one.add_argument("--widths", type=int, nargs="+", default=[8, 64], help="how many trials run at a time")
        one.add_argument("--development", action="store_true", help="the tasks on which options may be chosen")
        one.add_argument("--save", required=True, help="a file of JSON lines, to which results are appended")
        if verb == "run":
            one.add_argument("--schedulers", nargs="+", choices=[*SCHEDULERS], default=[*SCHEDULERS])
            one.add_argument("--searchers", nargs="+", choices=[*SEARCHERS], default=[*SEARCHERS])
        else:
            one.add_argument("--kinds", nargs="+", default=["ASHA", "BOHB"], help="ASHA, BOHB, MOBSTER, ...")
        one.set_defaults(function=function)
    one = verbs.add_parser("report")
    one.add_argument("files", nargs="+")
    one.set_defaults(function=report)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.function(options)


if __name__ == "__main__":
    main()

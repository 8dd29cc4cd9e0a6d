"""What `decisions report` prints: regrets, ranks and the significance of differences.

A regret is the distance to the best value known of the problem, as a share of the median distance of random search on
it after the same number of evaluations: random search has 1. Ranks are means over the runs that all searchers made, a
run being a task and a seed. Each searcher is compared with one of them by the two-sided signed-rank test of Wilcoxon
over the runs of both; the p values of a class are corrected by Holm's method.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

Runs = dict[tuple[str, int], dict[str, float]]
"""The regret of each searcher, by task and seed."""


def report(options: argparse.Namespace) -> None:
    """Prints a table of each class and number of evaluations, and the mean ranks over classes after the last number."""
    rows = [json.loads(line) for path in options.files for line in Path(path).read_text().splitlines()]
    by_class: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_class[row["class"]].append(row)
    everywhere: dict[str, list[float]] = defaultdict(list)
    for kind, some in by_class.items():
        tasks, seeds = (len({row[name] for row in some}) for name in ("problem", "seed"))
        print(f"{kind}: {tasks} tasks, {seeds} seeds")
        for after in [each for each in options.after if any(len(row["values"]) >= each for row in some)] or [1]:
            names = list(dict.fromkeys(row["searcher"] for row in some if len(row["values"]) >= after))
            runs = regrets(some, after)
            shared = {run: each for run, each in runs.items() if len(each) == len(names)}
            print(f"  after {after} evaluations; ranks over {len(shared)} runs that all searchers made")
            for name, p in significance(runs, names, options.against).items():
                found, rank = [each[name] for each in runs.values() if name in each], mean_rank(shared, name)
                text = f"    {name:10} {len(found):4} runs, median regret {np.median(found):6.3f}, mean rank {rank:.2f}"
                if name != options.against:
                    text += f"; {options.against} won {won(runs, options.against, name):.0%}, p = {p:.1g}"
                print(text, flush=True)
                if after == max(options.after):
                    everywhere[name].append(rank)
    for name, ranks in everywhere.items():
        if len(ranks) == len(by_class) > 1:
            print(f"{name:10} mean rank over {len(by_class)} classes {np.mean(ranks):.2f}")


def regrets(rows: list[Any], after: int) -> Runs:
    """The regrets after some evaluations of one class."""
    by_problem: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        if len(row["values"]) < after:
            continue
        # The functions of BBOB have another instance with each seed.
        by_problem[f"{row['problem']} {row['seed']}" if row["least"] is not None else row["problem"]].append(row)
    found: Runs = defaultdict(dict)
    for problem, some in by_problem.items():
        least = min(row["values"][-1] for row in some) if some[0]["least"] is None else some[0]["least"]
        lost = {(row["searcher"], row["seed"]): row["values"][after - 1] - least for row in some}
        unit = float(np.median([loss for (name, _), loss in lost.items() if name == "random"] or [1.0]))
        for (name, seed), loss in lost.items():
            found[problem, seed][name] = loss / max(unit, 1e-300)
    return found


def mean_rank(runs: Runs, name: str) -> float:
    """The mean place among all searchers, 1 for the best; those with equal regrets share their places."""
    places = [
        sum(other < each[name] for other in each.values())
        + (sum(other == each[name] for other in each.values()) + 1) / 2
        for each in runs.values()
    ]
    return float(np.mean(places or [np.nan]))


def pairs(runs: Runs, one: str, other: str) -> tuple[Any, Any]:
    both = [(each[one], each[other]) for each in runs.values() if one in each and other in each]
    left, right = np.array(both or np.empty((0, 2))).T
    return left, right


def won(runs: Runs, one: str, other: str) -> float:
    """The share of runs that one searcher wins against another, ties by half."""
    left, right = pairs(runs, one, other)
    return float((left < right).mean() + (left == right).mean() / 2) if len(left) else float("nan")


def significance(runs: Runs, names: list[str], against: str) -> dict[str, float]:
    """For each searcher the p value of its difference, corrected for the number of comparisons; 1 without runs."""
    from scipy.stats import wilcoxon

    plain = dict.fromkeys(names, 1.0)
    for name in names:
        left, right = pairs(runs, against, name)
        if name != against and (left != right).any():
            plain[name] = float(wilcoxon(left, right, zero_method="zsplit").pvalue)
    corrected, largest, compared = dict.fromkeys(names, 1.0), 0.0, len(names) - (against in names)
    for place, name in enumerate(sorted((name for name in names if name != against), key=plain.__getitem__)):
        largest = max(largest, min(1.0, (compared - place) * plain[name]))
        corrected[name] = largest
    return corrected

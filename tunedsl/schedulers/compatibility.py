"""The table of schedulers and what they require, for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tunedsl.schedulers.contract import At, DecisionPoints, Every, registered_schedulers

COLUMNS = ("scheduler", "searchers", "trainables", "objective", "trials", "pauses", "decides", "orders")


def rows() -> Iterator[tuple[str, ...]]:
    """One row per scheduler of this package, with its defaults, by `COLUMNS`."""
    own = (pair for pair in registered_schedulers().items() if pair[0].__module__.startswith("tunedsl.schedulers."))
    for spec_class, scheduler in sorted(own, key=lambda pair: pair[1].name):
        spec = spec_class()
        needs = scheduler.requirements(spec)
        timed = any(metric.endswith("_s") for metric in scheduler.metrics_used(spec))
        yield (
            scheduler.name,
            "as inside" if hasattr(spec, "base") else needs.searcher,
            "those that save" if needs.checkpoints else "any",
            "needed" if needs.objective else "",
            "any" if needs.trials is None else str(needs.trials),
            "yes" if needs.pause else "",
            _describe_points(scheduler.decision_points(spec)),
            "arrival" if timed else "any",
        )


def table() -> str:
    """The table in Markdown; specs have their defaults.

    >>> print(table())
    | scheduler | searchers | trainables | objective | trials | pauses | decides | orders |
    | --- | --- | --- | --- | --- | --- | --- | --- |
    | asha | any | any | needed | any | | at some iterations | any |
    ...
    """
    lines: list[Iterable[str]] = [COLUMNS, ["---"] * len(COLUMNS), *rows()]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def _describe_points(points: DecisionPoints) -> str:
    match points:
        case At():
            return "at some iterations"
        case Every(1):
            return "at every report"
        case Every(k):
            return f"every {k} iterations"
        case _:
            return "never"

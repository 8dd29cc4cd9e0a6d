"""Figures of a run as plotly's JSON, from the functions that the report uses, made again only when the run changed."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from plotly.io.json import to_json_plotly

from tunedsl.base.errors import TunedslError
from tunedsl.dashboard.watching import WatchedRun
from tunedsl.results.fidelity import offered
from tunedsl.results.plots import COMPARING, KINDS
from tunedsl.results.plots.style import untitled

FIGURES: Final = tuple(kind for kind in KINDS if kind != "forecast")
"""The figures of a run by itself."""
OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "best": ("metric", "mode", "over"),
    "curves": ("metric", "mode"),
    "parallel": ("metric", "mode", "fidelity"),
    "slices": ("metric", "mode", "fidelity"),
    "contour": ("metric", "mode", "x", "y", "fidelity"),
    "importance": ("metric", "mode", "fidelity"),
    "pareto": ("x", "y", "fidelity"),
    "lineage": ("metric", "mode"),
    "schedule": ("metric", "mode"),
}
"""The options that a reader can choose, by the kind of figure."""
MAX_KEPT: Final = 64
"""Figures that are kept."""
PATIENCE: Final = 10
"""A figure of a run in progress is made again after this many times the seconds that it took; of one that has ended or
was paused, at once: no later change would replace an old one."""


class Figures:
    """The figures of all runs, of which the last ones are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, tuple[int, float, str]] = OrderedDict()

    def draw(self, run: WatchedRun, kind: str, options: Mapping[str, str]) -> str:
        """A figure as JSON, with its title, its notes and the iterations at which trials can be compared.

        Args:
            kind: one of `FIGURES`.
            options: some of `OPTIONS`, as text.

        Raises:
            NoResult: when there is nothing to draw; the message says why.
        """
        chosen = {name: options[name] for name in OPTIONS.get(kind, ()) if options.get(name)}
        key = run.place, kind, tuple(sorted(chosen.items()))
        with run.reading():
            found = self._kept.get(key)
            if found is not None:
                recent = run.history.driven and time.monotonic() < found[1]
                if recent or found[0] == run.version:
                    return found[2]
            began = time.monotonic()
            text = _drawn(run, kind, chosen)
            until = time.monotonic() + PATIENCE * (time.monotonic() - began)
            self._kept[key] = run.version, until, text
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
            return text


def _drawn(run: WatchedRun, kind: str, chosen: Mapping[str, str]) -> str:
    given: dict[str, Any] = dict(chosen)
    if given.get("fidelity", "").isdecimal():
        given["fidelity"] = int(given["fidelity"])
    figure = getattr(run.results.plot, kind)(**given)
    title, notes = untitled(figure)
    made = figure.to_plotly_json()
    text: str = to_json_plotly({**made, "title": title, "notes": notes, "fidelities": _fidelities(run, kind, chosen)})
    return text


def _fidelities(run: WatchedRun, kind: str, chosen: Mapping[str, str]) -> list[int]:
    if kind not in COMPARING:
        return []
    try:
        return list(offered(run.results.fidelities(chosen.get("metric"), chosen.get("mode"))))  # type: ignore[arg-type]
    except TunedslError:
        return []

"""Figures of a run as plotly's JSON, from the functions of `results.plot`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plotly.io.json import to_json_plotly

from tunedsl.base.errors import TunedslError
from tunedsl.results.fidelity import offered
from tunedsl.results.plots import COMPARING, KINDS
from tunedsl.results.plots.style import untitled
from tunedsl.web.content import RunContent

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


def drawn(run: RunContent, kind: str, chosen: Mapping[str, str]) -> str:
    """A figure as JSON, with its title, its notes and the iterations at which trials can be compared.

    Args:
        kind: one of `FIGURES`.
        chosen: some of `OPTIONS`, as text.

    Raises:
        NoResult: when there is nothing to draw; the message says why.
    """
    given: dict[str, Any] = dict(chosen)
    if given.get("fidelity", "").isdecimal():
        given["fidelity"] = int(given["fidelity"])
    figure = getattr(run.results.plot, kind)(**given)
    return as_json(figure, fidelities=_fidelities(run, kind, chosen))


def as_json(figure: Any, **more: Any) -> str:
    """A figure as JSON, with its title and its notes by themselves, and more."""
    title, notes = untitled(figure)
    text: str = to_json_plotly({**figure.to_plotly_json(), "title": title, "notes": notes, **more})
    return text


def _fidelities(run: RunContent, kind: str, chosen: Mapping[str, str]) -> list[int]:
    if kind not in COMPARING:
        return []
    try:
        return list(offered(run.results.fidelities(chosen.get("metric"), chosen.get("mode"))))  # type: ignore[arg-type]
    except TunedslError:
        return []

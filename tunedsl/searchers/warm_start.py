"""`warm_start`: a searcher starts with the results of earlier runs.

The compiler reads the runs. For a searcher with `learn_run` it puts a `WarmStarted` in place of the spec, for any other
a `WithResults`, and around it a `TryFirst` with the best configuration of each run.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from tunedsl.base import codec
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import omit_default_field, value
from tunedsl.base.errors import SpaceError, wrong_value
from tunedsl.base.references import source_repr
from tunedsl.searchers.contract import Objectives, Searcher, SearcherState, register_combinator, searcher_of
from tunedsl.searchers.delegation import delegate, init_inner
from tunedsl.searchers.with_results import KnownResult
from tunedsl.spaces.encoding import to_cube
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.space import Space


@value(tag="Warm", repr=False)
class WarmStart:
    """The spec of `warm_start`; the compiler replaces it by the results of the runs."""

    searcher: Any
    path: str
    more_paths: tuple[str, ...] = omit_default_field(())

    @property
    def paths(self) -> tuple[str, ...]:
        """The folders of all runs."""
        return self.path, *self.more_paths

    def __repr__(self) -> str:
        return f"warm_start({', '.join(map(source_repr, (self.searcher, *self.paths)))})"


@value
class PriorRun:
    """The results of an earlier run; a configuration may lack parameters of the space."""

    path: str
    results: tuple[KnownResult, ...]


@value(repr=False)
class WarmStarted:
    """The spec of a searcher with the results of earlier runs."""

    searcher: Any
    runs: tuple[PriorRun, ...]

    def __repr__(self) -> str:
        return f"warm_start({', '.join(map(source_repr, (self.searcher, *(run.path for run in self.runs))))})"


@check_arguments
def warm_start(searcher: Any, *paths: str | os.PathLike[str]) -> WarmStart:
    """A searcher that starts with the results of earlier runs, which may be about other data or other spaces.

    Parameters are matched by name, and `check` reports what does not fit. The plan contains the results. The first
    trials run the best configuration of each run, of up to six. `tpe()` then prefers what was good in the runs that
    rank the new results alike, and forgets the others. Any other searcher is told the results as its own.

    Args:
        searcher: the spec of a searcher that learns.
        paths: the folders of one or more earlier runs.

    Raises:
        ArgumentError: for what is no searcher or no path.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> warm_start(tpe(), "results/digits-1", "results/letters-4")
        warm_start(tpe(), 'results/digits-1', 'results/letters-4')
    """
    searcher_of(searcher)
    if not paths:
        raise wrong_value("warm_start.paths", paths, "one or more paths", 'write warm_start(tpe(), "results/digits-1")')
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            raise wrong_value("warm_start.paths", path, "a path")
    first, *rest = dict.fromkeys(os.fspath(path) for path in paths)
    return WarmStart(searcher, first, tuple(rest))


def _init(spec: WarmStarted, space: Space, objectives: Objectives, key: int) -> SearcherState:
    learn_run = searcher_of(spec.searcher).learn_run
    state, layout = init_inner(spec, space, objectives, key), resolve_space(space)
    if learn_run is None:
        return state
    for run in spec.runs:
        fitting = [each for each in run.results if _fits(layout, each)]
        results = [(codec.encode(each.config.copy()), each.observation()) for each in fitting]
        state = learn_run(spec.searcher, state, results, key)
    return state


def _fits(layout: Layout, result: KnownResult) -> bool:
    """Whether the values of a result, as many as are known, are in the space."""
    try:
        return bool(np.isfinite(to_cube(layout, result.config.object)).any())
    except SpaceError:
        return False


def _make_warm_start(spec: WarmStart) -> Searcher:
    return delegate(spec, "warm_start")


def _make_warm_started(spec: WarmStarted) -> Searcher:
    return delegate(spec, "warm_start", init=_init)


register_combinator(WarmStart, "warm_start", _make_warm_start)
register_combinator(WarmStarted, "warm_start", _make_warm_started)

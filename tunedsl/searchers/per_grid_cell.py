"""`per_grid_cell`: a separate search for each cell of the grids, whose values are constants in the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import immutables
import numpy as np

from tunedsl.base import codec, keys
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.references import Literal, call_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Objectives,
    Observation,
    Searcher,
    SearcherState,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.delegation import ask_inner, delegate, force_inner, init_inner, tell_inner
from tunedsl.spaces.domains import Grid
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.sampling import cell_count
from tunedsl.spaces.space import Space

_MAX_CHECKED_CELLS: Final = 100
"""Limit of cells whose compatibility is checked."""


@value(tag="EachCell", repr=False)
class PerGridCell:
    """The spec of `per_grid_cell`."""

    searcher: Any

    def __repr__(self) -> str:
        return call_repr("per_grid_cell", self, 1)


@attrs.frozen(eq=False)
class _PerGridCellState:
    """The inner state of each cell that has been used."""

    layout: Layout
    objectives: Objectives
    key: int
    inner: immutables.Map[int, SearcherState] = attrs.field(factory=immutables.Map)


@check_arguments
def per_grid_cell(searcher: Any) -> PerGridCell:
    """Runs a separate search for each cell, which is one combination of the values of the space's grids.

    If the space has grids, the compiler wraps every searcher that learns in `per_grid_cell`. The cells take turns: with
    6 cells, trials 0, 6 and 12 are the first three trials of cell 0. When the search of one cell has no more proposals,
    the searches of all cells end.

    Args:
        searcher: the spec of any searcher.

    Raises:
        ArgumentError: if `searcher` is not a searcher.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> per_grid_cell(tpe())
        per_grid_cell(tpe())
    """
    searcher_of(searcher)
    return PerGridCell(searcher)


def cell_space(layout: Layout, cell: int) -> Space:
    """The space of one cell, with constants in place of the grids."""
    if not layout.grid_sizes:
        return layout.space
    index = cell if layout.grid_cells is None else int(layout.grid_cells[cell])
    grids = [leaf for leaf in layout.params if leaf.grid_axis is not None]
    indices = np.unravel_index(index, layout.grid_sizes)
    values = {leaf.path: leaf.node.values[int(indices[leaf.grid_axis or 0])] for leaf in grids}
    return _fix_grids(layout.space, values, ())


def _fix_grids(space: Space, values: Mapping[tuple[str, ...], Literal], path: tuple[str, ...]) -> Space:
    def fix(name: str, node: Any) -> Any:
        inner_path = (*path, name)
        if isinstance(node, Space):
            return _fix_grids(node, values, inner_path)
        return values[inner_path] if isinstance(node, Grid) else node

    return Space(tuple((name, fix(name, node)) for name, node in space.params), space.constraints)


def _init(spec: PerGridCell, space: Space, objectives: Objectives, key: int) -> _PerGridCellState:
    return _PerGridCellState(resolve_space(space), objectives, key)


def _cell_state(spec: PerGridCell, state: _PerGridCellState, cell: int) -> SearcherState:
    """The inner state of a cell."""
    if cell in state.inner:
        return state.inner[cell]
    space = cell_space(state.layout, cell)
    return init_inner(spec, space, state.objectives, _cell_key(state, cell, state.key))


def _cell_key(state: _PerGridCellState, cell: int, key: int) -> int:
    return keys.key(key, "cell", cell) if state.layout.grid_sizes else key


def _ask(spec: PerGridCell, state: _PerGridCellState, trial: int, key: int) -> tuple[_PerGridCellState, Answer]:
    number, cell = divmod(trial, cell_count(state.layout))
    inner = _cell_state(spec, state, cell)
    inner, answer = ask_inner(spec, inner, number, _cell_key(state, cell, key))
    return attrs.evolve(state, inner=state.inner.set(cell, inner)), answer


def _tell(spec: PerGridCell, state: _PerGridCellState, trial: int, observation: Observation) -> _PerGridCellState:
    if trial < 0:
        targets = [(cell, trial) for cell in state.inner]  # cells without this forced configuration ignore it
    else:
        number, cell = divmod(trial, cell_count(state.layout))
        targets = [(cell, number)] if cell in state.inner else []
    for cell, number in targets:
        inner = tell_inner(spec, state.inner[cell], number, observation)
        state = attrs.evolve(state, inner=state.inner.set(cell, inner))
    return state


def _force(spec: PerGridCell, state: _PerGridCellState, trial: int, config: Json, key: int) -> _PerGridCellState:
    number, cell = divmod(trial, cell_count(state.layout)) if trial >= 0 else (trial, cell_of(state.layout, config))
    if cell is None:
        return state
    inner = force_inner(spec, _cell_state(spec, state, cell), number, config, _cell_key(state, cell, key))
    return attrs.evolve(state, inner=state.inner.set(cell, inner))


def cell_of(layout: Layout, config: Json) -> int | None:
    """The grid cell of a configuration, as data; None if no cell has its values."""
    if not layout.grid_sizes:
        return 0
    indices = [0] * len(layout.grid_sizes)
    for leaf in layout.params:
        if leaf.grid_axis is not None:
            value_data: Any = config
            for name in leaf.path:
                if not isinstance(value_data, Mapping) or name not in value_data:
                    return None
                value_data = value_data[name]
            texts = [item.text for item in leaf.node.values]
            text = codec.to_json(codec.decode(value_data))
            if text not in texts:
                return None
            indices[leaf.grid_axis] = texts.index(text)
    index = int(np.ravel_multi_index(indices, layout.grid_sizes))
    if layout.grid_cells is None:
        return index
    cell = int(np.searchsorted(layout.grid_cells, index))
    return cell if cell < len(layout.grid_cells) and layout.grid_cells[cell] == index else None


def _check_compatibility(spec: PerGridCell, space: Space, objectives: Objectives) -> Sequence[Diagnostic]:
    """Diagnostics that all cells share."""
    layout, searcher = resolve_space(space), searcher_of(spec.searcher)
    shared: list[Diagnostic] | None = None
    for cell in range(min(cell_count(layout), _MAX_CHECKED_CELLS)):
        here = searcher.check_compatibility(spec.searcher, cell_space(layout, cell), objectives)
        here_keys = set(map(_key, here))
        shared = [each for each in (here if shared is None else shared) if _key(each) in here_keys]
        if not shared:
            break
    return shared or []


def _key(diagnostic: Diagnostic) -> tuple[str, str]:
    """Identifies a diagnostic in all cells: the code, and the message or, since that differs, a subject of its own."""
    return diagnostic.code, diagnostic.message if diagnostic.subject == "searcher" else diagnostic.subject


def _make_searcher(spec: PerGridCell) -> Searcher:
    return delegate(
        spec,
        "per_grid_cell",
        init=_init,
        ask=_ask,
        tell=_tell,
        force=_force,
        check_compatibility=_check_compatibility,
    )


register_combinator(PerGridCell, "per_grid_cell", _make_searcher)

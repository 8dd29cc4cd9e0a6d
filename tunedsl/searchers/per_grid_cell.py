"""`per_grid_cell`: beside grids, one search for each cell; to each of them the grid's values are constants."""

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
from tunedsl.base.objective import Objective
from tunedsl.base.references import Literal, call_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import Answer, Observation, Searcher, SearcherState, register_combinator, searcher_of
from tunedsl.searchers.delegation import validate_inner
from tunedsl.spaces.domains import Grid
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.sampling import cell_count
from tunedsl.spaces.space import Space

_MAX_CHECKED_CELLS: Final = 100
"""How many cells are looked at for what fits."""


@value(repr=False)
class EachCell:
    """The spec of `per_grid_cell`."""

    searcher: Any

    def __repr__(self) -> str:
        return call_repr("per_grid_cell", self, 1)


@attrs.frozen(eq=False)
class _PerGridCellState:
    """The inner state of each cell that was asked for."""

    layout: Layout
    objectives: tuple[Objective, ...]
    key: int
    inner: immutables.Map[int, SearcherState] = attrs.field(factory=immutables.Map)


@check_arguments
def per_grid_cell(searcher: Any) -> EachCell:
    """The outer product of a space's grids and a searcher: each of the grid's cells is searched by itself.

    The compiler puts it around searchers that learn, where there are grids: trial `t` is number `t // cells` in the
    search of cell `t % cells`. Where one cell has no more to propose, all of them are at their end.

    Args:
        searcher: the spec of any searcher.

    Raises:
        ArgumentError: for what is no searcher.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> per_grid_cell(tpe())
        per_grid_cell(tpe())
    """
    searcher_of(searcher)
    return EachCell(searcher)


def cell_space(layout: Layout, cell: int) -> Space:
    """The space of one cell of its grid, constants instead of the grids."""
    if not layout.grid_sizes:
        return layout.space
    place = cell if layout.grid_cells is None else int(layout.grid_cells[cell])
    grids = [leaf for leaf in layout.params if leaf.grid_axis is not None]
    indices = np.unravel_index(place, layout.grid_sizes)
    values = {leaf.path: leaf.node.values[int(indices[leaf.grid_axis or 0])] for leaf in grids}
    return _fix_grids(layout.space, values, ())


def _fix_grids(space: Space, values: Mapping[tuple[str, ...], Literal], path: tuple[str, ...]) -> Space:
    def one(name: str, node: Any) -> Any:
        here = (*path, name)
        if isinstance(node, Space):
            return _fix_grids(node, values, here)
        return values[here] if isinstance(node, Grid) else node

    return Space(tuple((name, one(name, node)) for name, node in space.params), space.constraints)


def _init(spec: EachCell, space: Space, objectives: tuple[Objective, ...], key: int) -> _PerGridCellState:
    return _PerGridCellState(resolve_space(space), objectives, key)


def _cell_state(spec: EachCell, state: _PerGridCellState, cell: int) -> SearcherState:
    """The inner state of a cell."""
    if cell in state.inner:
        return state.inner[cell]
    space = cell_space(state.layout, cell)
    return searcher_of(spec.searcher).init(spec.searcher, space, state.objectives, _cell_key(state, cell, state.key))


def _cell_key(state: _PerGridCellState, cell: int, key: int) -> int:
    return keys.key(key, "cell", cell) if state.layout.grid_sizes else key


def _ask(spec: EachCell, state: _PerGridCellState, trial: int, key: int) -> tuple[_PerGridCellState, Answer]:
    number, cell = divmod(trial, cell_count(state.layout))
    inner = _cell_state(spec, state, cell)
    inner, answer = searcher_of(spec.searcher).ask(spec.searcher, inner, number, _cell_key(state, cell, key))
    return attrs.evolve(state, inner=state.inner.set(cell, inner)), answer


def _tell(spec: EachCell, state: _PerGridCellState, trial: int, observation: Observation) -> _PerGridCellState:
    if trial < 0:
        where = [(cell, trial) for cell in state.inner]  # those that did not adopt it pass over it
    else:
        number, cell = divmod(trial, cell_count(state.layout))
        where = [(cell, number)] if cell in state.inner else []
    for cell, number in where:
        inner = searcher_of(spec.searcher).tell(spec.searcher, state.inner[cell], number, observation)
        state = attrs.evolve(state, inner=state.inner.set(cell, inner))
    return state


def _force(spec: EachCell, state: _PerGridCellState, trial: int, config: Json, key: int) -> _PerGridCellState:
    force = searcher_of(spec.searcher).force
    number, cell = divmod(trial, cell_count(state.layout)) if trial >= 0 else (trial, cell_of(state.layout, config))
    if force is None or cell is None:
        return state
    inner = force(spec.searcher, _cell_state(spec, state, cell), number, config, _cell_key(state, cell, key))
    return attrs.evolve(state, inner=state.inner.set(cell, inner))


def cell_of(layout: Layout, config: Json) -> int | None:
    """The cell of its grid that a configuration, as data, lies in; None where there is none with its values."""
    if not layout.grid_sizes:
        return 0
    indices = [0] * len(layout.grid_sizes)
    for leaf in layout.params:
        if leaf.grid_axis is not None:
            found: Any = config
            for name in leaf.path:
                if not isinstance(found, Mapping) or name not in found:
                    return None
                found = found[name]
            texts = [item.text for item in leaf.node.values]
            text = codec.to_json(codec.decode(found))
            if text not in texts:
                return None
            indices[leaf.grid_axis] = texts.index(text)
    place = int(np.ravel_multi_index(indices, layout.grid_sizes))
    if layout.grid_cells is None:
        return place
    cell = int(np.searchsorted(layout.grid_cells, place))
    return cell if cell < len(layout.grid_cells) and layout.grid_cells[cell] == place else None


def _check_compatibility(spec: EachCell, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    """What fits in none of the cells."""
    layout, searcher = resolve_space(space), searcher_of(spec.searcher)
    found: list[Diagnostic] | None = None
    for cell in range(min(cell_count(layout), _MAX_CHECKED_CELLS)):
        here = searcher.check_compatibility(spec.searcher, cell_space(layout, cell), objectives)
        there = {(each.code, each.found) for each in here}
        found = [each for each in (here if found is None else found) if (each.code, each.found) in there]
        if not found:
            break
    return found or []


def _make_searcher(spec: EachCell) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="per_grid_cell",
        supports=inner.supports,
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        force=None if inner.force is None else _force,
        validate=validate_inner,
        check_compatibility=_check_compatibility,
    )


register_combinator(EachCell, "per_grid_cell", _make_searcher)

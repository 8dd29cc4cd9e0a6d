"""`each_cell`: beside grids, one search for each cell; to each of them the grid's values are constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import immutables
import numpy as np

from tunedsl.base import codec, keys
from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.literals import Literal, spell
from tunedsl.base.objective import Objective
from tunedsl.base.vocabulary import Json
from tunedsl.search.contract import (
    Answer,
    Observation,
    Searcher,
    State,
    enrol_combinator,
    searcher_of,
)
from tunedsl.search.inside import validate
from tunedsl.space.domains import Grid
from tunedsl.space.layout import Layout, lower
from tunedsl.space.sampling import cells
from tunedsl.space.space import Space

_CHECKED: Final = 100
"""How many cells are looked at for what fits."""


@value(repr=False)
class EachCell:
    """The spec of `each_cell`."""

    searcher: Any

    def __repr__(self) -> str:
        return spell("each_cell", self, 1)


@attrs.frozen(eq=False)
class _State:
    """The inner state of each cell that was asked for."""

    layout: Layout
    objectives: tuple[Objective, ...]
    key: int
    inner: immutables.Map[int, State] = attrs.field(factory=immutables.Map)


@checked
def each_cell(searcher: Any) -> EachCell:
    """The outer product of a space's grids and a searcher: each of the grid's cells is searched by itself.

    The compiler puts it around searchers that learn, where there are grids: trial `t` is number `t // cells` in the
    search of cell `t % cells`. Where one cell has no more to propose, all of them are at their end.

    Args:
        searcher: the spec of any searcher.

    Raises:
        ArgumentError: for what is no searcher.

    Example:
        >>> from tunedsl.search import tpe
        >>> each_cell(tpe())
        each_cell(tpe())
    """
    searcher_of(searcher)
    return EachCell(searcher)


def cell_space(layout: Layout, cell: int) -> Space:
    """The space of one cell of its grid, constants instead of the grids."""
    if not layout.sizes:
        return layout.space
    place = cell if layout.kept is None else int(layout.kept[cell])
    grids = [leaf for leaf in layout.leaves if leaf.axis is not None]
    indices = np.unravel_index(place, layout.sizes)
    values = {leaf.path: leaf.node.values[int(indices[leaf.axis or 0])] for leaf in grids}
    return _fixed(layout.space, values, ())


def _fixed(space: Space, values: Mapping[tuple[str, ...], Literal], path: tuple[str, ...]) -> Space:
    def one(name: str, node: Any) -> Any:
        here = (*path, name)
        if isinstance(node, Space):
            return _fixed(node, values, here)
        return values[here] if isinstance(node, Grid) else node

    return Space(tuple((name, one(name, node)) for name, node in space.params), space.constraints)


def _init(spec: EachCell, space: Space, objectives: tuple[Objective, ...], key: int) -> _State:
    return _State(lower(space), objectives, key)


def _of(spec: EachCell, state: _State, cell: int) -> State:
    """The inner state of a cell."""
    if cell in state.inner:
        return state.inner[cell]
    space = cell_space(state.layout, cell)
    return searcher_of(spec.searcher).init(spec.searcher, space, state.objectives, _key(state, cell, state.key))


def _key(state: _State, cell: int, key: int) -> int:
    return keys.key(key, "cell", cell) if state.layout.sizes else key


def _ask(spec: EachCell, state: _State, trial: int, key: int) -> tuple[_State, Answer]:
    number, cell = divmod(trial, cells(state.layout))
    inner = _of(spec, state, cell)
    inner, answer = searcher_of(spec.searcher).ask(spec.searcher, inner, number, _key(state, cell, key))
    return attrs.evolve(state, inner=state.inner.set(cell, inner)), answer


def _tell(spec: EachCell, state: _State, trial: int, observation: Observation) -> _State:
    if trial < 0:
        where = [(cell, trial) for cell in state.inner]  # those that did not adopt it pass over it
    else:
        number, cell = divmod(trial, cells(state.layout))
        where = [(cell, number)] if cell in state.inner else []
    for cell, number in where:
        inner = searcher_of(spec.searcher).tell(spec.searcher, state.inner[cell], number, observation)
        state = attrs.evolve(state, inner=state.inner.set(cell, inner))
    return state


def _adopt(spec: EachCell, state: _State, trial: int, config: Json, key: int) -> _State:
    adopt = searcher_of(spec.searcher).adopt
    number, cell = divmod(trial, cells(state.layout)) if trial >= 0 else (trial, cell_of(state.layout, config))
    if adopt is None or cell is None:
        return state
    inner = adopt(spec.searcher, _of(spec, state, cell), number, config, _key(state, cell, key))
    return attrs.evolve(state, inner=state.inner.set(cell, inner))


def cell_of(layout: Layout, config: Json) -> int | None:
    """The cell of its grid that a configuration, as data, lies in; None where there is none with its values."""
    if not layout.sizes:
        return 0
    indices = [0] * len(layout.sizes)
    for leaf in layout.leaves:
        if leaf.axis is not None:
            found: Any = config
            for name in leaf.path:
                if not isinstance(found, Mapping) or name not in found:
                    return None
                found = found[name]
            texts = [item.text for item in leaf.node.values]
            text = codec.to_json(codec.decode(found))
            if text not in texts:
                return None
            indices[leaf.axis] = texts.index(text)
    place = int(np.ravel_multi_index(indices, layout.sizes))
    if layout.kept is None:
        return place
    cell = int(np.searchsorted(layout.kept, place))
    return cell if cell < len(layout.kept) and layout.kept[cell] == place else None


def _fits(spec: EachCell, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    """What fits in none of the cells."""
    layout, searcher = lower(space), searcher_of(spec.searcher)
    found: list[Diagnostic] | None = None
    for cell in range(min(cells(layout), _CHECKED)):
        here = searcher.fits(spec.searcher, cell_space(layout, cell), objectives)
        there = {(each.code, each.found) for each in here}
        found = [each for each in (here if found is None else found) if (each.code, each.found) in there]
        if not found:
            break
    return found or []


def _made(spec: EachCell) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="each_cell",
        takes=inner.takes,
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        adopt=None if inner.adopt is None else _adopt,
        validate=validate,
        fits=_fits,
    )


enrol_combinator(EachCell, "each_cell", _made)

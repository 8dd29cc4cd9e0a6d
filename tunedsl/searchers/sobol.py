"""Sobol search: points of a low-discrepancy sequence, which cover the space more evenly than random points.

With grids, all cells share one sequence: each cell gets its first point, then each its second.
Source: Sobol, USSR Comp. Math. 7, 1967; direction numbers of Joe and Kuo, SIAM J. Sci. Comput. 30, 2008;
scrambling of Matousek, J. Complexity 14, 1998; all as in `scipy.stats.qmc`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Final

import attrs
import immutables
import numpy as np
from numpy.typing import NDArray

from tunedsl.base import keys
from tunedsl.base.arguments import as_bool, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.objective import Objective
from tunedsl.searchers.contract import UNLIMITED, Answer, Proposal, Searcher, Supports, register_searcher
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.priors import blend, space_prior
from tunedsl.spaces.sampling import cell_count, rejection_sample
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import Floats

_MIN_BLOCK: Final = 64
_INSTALL: Final = "pip install 'tunedsl[sobol]'"


@value(repr=False)
class Sobol:
    """The spec of `sobol`."""

    scramble: bool = True

    def __repr__(self) -> str:
        return "sobol()" if self.scramble else "sobol(scramble=False)"


@attrs.frozen(eq=False)
class _SobolState:
    """The space and, by attempt, the points computed so far, always a power of two."""

    layout: Layout
    blocks: immutables.Map[int, Floats]


@check_arguments
def sobol(scramble: bool = True) -> Sobol:
    """Points of a Sobol sequence, which are most even if their number is a power of two.

    With priors in the space (`.prior(...)`), the first point is their centre, and half of the others are drawn from
    the priors.

    A point that breaks a constraint is replaced by the point of the same number in another scrambling.

    Args:
        scramble: whether the experiment's seed randomises the sequence.

    Raises:
        ArgumentError: when `scramble` is not a bool.

    Example:
        >>> sobol()
        sobol()
    """
    return Sobol(as_bool("sobol.scramble", scramble))


def _init(spec: Sobol, space: Space, objectives: tuple[Objective, ...], key: int) -> _SobolState:
    return _SobolState(resolve_space(space), immutables.Map())


def _ask(spec: Sobol, state: _SobolState, trial: int, key: int) -> tuple[_SobolState, Answer]:
    state, (proposal,) = _batch(spec, state, [trial], key)
    return state, proposal


def _batch(spec: Sobol, state: _SobolState, trials: Sequence[int], key: int) -> tuple[_SobolState, list[Proposal]]:
    layout, blocks = state.layout, state.blocks
    width = layout.dims + (space_prior(layout) is not None)  # one more column chooses between uniform and prior

    def cube_at(attempt: int, pending: NDArray[np.int64]) -> Floats:
        nonlocal blocks
        numbers = pending // max(1, cell_count(layout))
        known = blocks.get(attempt)
        if known is None or len(known) <= numbers.max():
            known = _points(spec, width, int(numbers.max()) + 1, key, attempt)
            blocks = blocks.set(attempt, known)
        cube = known[numbers]
        return blend(layout, cube[:, : layout.dims], pending, cube[:, -1], attempt) if width > layout.dims else cube

    proposals = [Proposal.of(config, rejected) for config, rejected in rejection_sample(layout, cube_at, trials, key)]
    return _SobolState(layout, blocks), proposals


def _points(spec: Sobol, dims: int, count: int, key: int, attempt: int) -> Floats:
    """The first points of the sequence, at least `count` and a power of two."""
    power = max(_MIN_BLOCK, count - 1).bit_length()
    if not dims:
        return np.empty((2**power, 0))
    from scipy.stats import qmc  # an extra, and slow to import

    scramble = spec.scramble or attempt > 0
    engine = qmc.Sobol(dims, scramble=scramble, seed=keys.generator(keys.key(key, "sobol", attempt)))
    points: Floats = engine.random_base2(power)
    return points


def _validate(spec: Sobol) -> list[Diagnostic]:
    if importlib.util.find_spec("scipy") is not None:
        return []
    return [Diagnostic("E049", "searcher", "sobol() needs SciPy, which is not installed.", _INSTALL)]


register_searcher(
    Sobol,
    Searcher(
        name="sobol",
        supports=Supports.whole_space(UNLIMITED, priors=True),
        init=_init,
        ask=_ask,
        batch=_batch,
        learns=False,
        validate=_validate,
        install=_INSTALL,
    ),
)

"""`with_results` and `warm_start`: results from elsewhere, of which the searcher is told before its first trial."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from tunedsl.base import codec
from tunedsl.base.arguments import as_choice, as_int, as_number, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError, SpaceError
from tunedsl.base.objective import Objective
from tunedsl.base.references import Literal, call_repr, source_repr
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Observation,
    ObservationStatus,
    Searcher,
    SearcherState,
    nested_specs,
    register_combinator,
    searcher_of,
)
from tunedsl.searchers.dedupe import Dedupe
from tunedsl.searchers.delegation import check_inner_compatibility, validate_inner
from tunedsl.searchers.user_configs import as_config_literal, fill_config
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space


@value(repr=False)
class KnownResult:
    """What is known of one configuration: the objectives' values, how far it came and how it ended."""

    config: Literal
    values: tuple[float, ...]
    iteration: int = 1
    status: ObservationStatus = "done"

    def __repr__(self) -> str:
        values = source_repr(self.values[0] if len(self.values) == 1 else self.values)
        plain = self.iteration == 1 and self.status == "done"
        rest = "" if plain else f", {self.iteration}, {self.status!r}"
        return f"({self.config!r}, {values}{rest})"


@value(repr=False)
class Known:
    """The spec of `with_results`."""

    searcher: Any
    results: tuple[KnownResult, ...]

    def __repr__(self) -> str:
        return f"with_results({source_repr(self.searcher)}, [{', '.join(map(repr, self.results))}])"


@value(repr=False)
class Warm:
    """The spec of `warm_start`, of which the compiler makes a `Known`."""

    searcher: Any
    path: str

    def __repr__(self) -> str:
        return call_repr("warm_start", self, 2)


@check_arguments
def with_results(searcher: Any, results: Sequence[Any]) -> Known:
    """A searcher that knows some results before its first trial.

    Args:
        searcher: the spec of a searcher that learns.
        results: pairs of a whole configuration and the objective's value, or the values of all objectives; after them
            may stand the iteration that was reached and how the trial ended (`done`, `stopped` or `failed`).

    Raises:
        ArgumentError: for what is no searcher or no result. Whether they are of the space is said by `check`.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> with_results(tpe(), [({"lr": 0.1}, 0.5), ({"lr": 0.2}, 0.7, 3, "stopped")])
        with_results(tpe(), [({'lr': 0.1}, 0.5), ({'lr': 0.2}, 0.7, 3, 'stopped')])
    """
    searcher_of(searcher)
    if isinstance(results, (str, Mapping)) or not isinstance(results, Sequence):
        raise ArgumentError("E003", "with_results.results", repr(results), "a list of results")
    return Known(searcher, tuple(map(_as_known_result, results)))


def _as_known_result(item: Any) -> KnownResult:
    if isinstance(item, KnownResult):
        return item
    if not isinstance(item, (tuple, list)) or not 2 <= len(item) <= 4:
        raise ArgumentError("E003", "with_results.results", repr(item), 'a pair such as ({"lr": 0.1}, 0.5)')
    config, told, *rest = item
    values = told if isinstance(told, (tuple, list)) else (told,)
    iteration = as_int("with_results.results", rest[0], minimum=0) if rest else 1
    status: Any = rest[1] if len(rest) > 1 else "done"
    status = as_choice(
        "with_results.results", status, [word for word in get_args(ObservationStatus) if word != "reported"]
    )
    numbers = tuple(float(as_number("with_results.results", each)) for each in values)
    return KnownResult(as_config_literal("with_results.results", config), numbers, iteration, status)


@check_arguments
def warm_start(searcher: Any, path: str | os.PathLike[str]) -> Warm:
    """A searcher that begins with what an earlier experiment found.

    Parameters are matched by name; what does not fit is reported by `check`. The plan holds the results themselves.

    Args:
        searcher: the spec of a searcher that learns.
        path: the earlier experiment's folder.

    Raises:
        ArgumentError: for what is no searcher or no path.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> warm_start(tpe(), "results/digits-1")
        warm_start(tpe(), 'results/digits-1')
    """
    searcher_of(searcher)
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError("E003", "warm_start.path", repr(path), "a path")
    return Warm(searcher, os.fspath(path))


def _init(spec: Known | Warm, space: Space, objectives: tuple[Objective, ...], key: int) -> SearcherState:
    searcher = searcher_of(spec.searcher)
    inner = searcher.init(spec.searcher, space, objectives, key)
    layout = resolve_space(space)
    for place, result in enumerate(_results(spec)):
        try:
            config = codec.encode(fill_config(layout, result.config.copy(), 0, key, require_all=True))
        except SpaceError:
            continue  # of another cell of the grid: the compiler has found a place for each
        assert searcher.force is not None  # `fits` has seen to it
        inner = searcher.force(spec.searcher, inner, -1 - place, config, key)
        observation = Observation(result.status, result.iteration, result.values)
        inner = searcher.tell(spec.searcher, inner, -1 - place, observation)
    return inner


def _ask(spec: Known | Warm, state: SearcherState, trial: int, key: int) -> tuple[SearcherState, Answer]:
    return searcher_of(spec.searcher).ask(spec.searcher, state, trial, key)


def _results(spec: Known | Warm) -> tuple[KnownResult, ...]:
    return spec.results if isinstance(spec, Known) else ()


def _shift_number(spec: Known | Warm, trial: int) -> int:
    """Numbers below 0 are those of results known further outside."""
    return trial if trial >= 0 else trial - len(_results(spec))


def _tell(spec: Known | Warm, state: SearcherState, trial: int, observation: Observation) -> SearcherState:
    return searcher_of(spec.searcher).tell(spec.searcher, state, _shift_number(spec, trial), observation)


def _force(spec: Known | Warm, state: SearcherState, trial: int, config: Json, key: int) -> SearcherState:
    force = searcher_of(spec.searcher).force
    return state if force is None else force(spec.searcher, state, _shift_number(spec, trial), config, key)


def _check_compatibility(spec: Known, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    found = [*check_inner_compatibility(spec, space, objectives)]
    inside = searcher_of(spec.searcher)
    # `dedupe` passes over what is known, whatever it is around.
    of_use = inside.learns or any(isinstance(part, Dedupe) for part in nested_specs(spec.searcher))
    if inside.force is None or not of_use:
        expected = "a searcher that learns from what it did not propose"
        found.append(
            Diagnostic("E081", "searcher", f"with_results(...) with {spec.searcher!r}", expected, "such as tpe()")
        )
    layout = resolve_space(space)
    for result in spec.results:
        if len(result.values) != len(objectives):
            expected = f"{len(objectives)} of them, one for each objective"
            found.append(Diagnostic("E081", "searcher", f"values {result.values} of {result.config!r}", expected))
            continue
        try:
            codec.encode(fill_config(layout, result.config.copy(), 0, 0, require_all=True))
        except SpaceError as error:
            text, expected = f"known result of {result.config!r}", "a whole configuration of the space"
            found.append(Diagnostic("E081", "searcher", text, expected, str(error)))
    return found


def _make_searcher(spec: Known | Warm) -> Searcher:
    inner = searcher_of(spec.searcher)
    return Searcher(
        name="with_results" if isinstance(spec, Known) else "warm_start",
        supports=inner.supports,
        init=_init,
        ask=_ask,
        tell=_tell,
        learns=inner.learns,
        force=None if inner.force is None else _force,
        validate=validate_inner,
        check_compatibility=_check_compatibility if isinstance(spec, Known) else check_inner_compatibility,
    )


register_combinator(Known, "with_results", _make_searcher)
register_combinator(Warm, "warm_start", _make_searcher)

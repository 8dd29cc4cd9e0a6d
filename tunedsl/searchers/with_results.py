"""`with_results`: a searcher learns earlier results, as if they were its own, before its first trial.

Results of earlier runs, which may be about other data, are in `warm_start`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args
from typing import Literal as OneOf

from tunedsl.base import codec
from tunedsl.base.arguments import as_choice, as_int, as_number, check_arguments
from tunedsl.base.codec import omit_default_field, value
from tunedsl.base.diagnostics import Diagnostic, reason, shorten
from tunedsl.base.errors import SpaceError, wrong_value
from tunedsl.base.references import Literal, source_repr
from tunedsl.base.types import FailureKind, Json
from tunedsl.searchers.contract import (
    Objectives,
    Observation,
    ObservationStatus,
    Searcher,
    SearcherState,
    nested_specs,
    register_combinator,
    searcher_of,
    visible,
)
from tunedsl.searchers.dedupe import Dedupe
from tunedsl.searchers.delegation import check_inner_compatibility, delegate, force_inner, init_inner, tell_inner
from tunedsl.searchers.user_configs import as_config_literal, fill_config
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.space import Space


@value(repr=False)
class KnownResult:
    """The result of one configuration: the objectives' values, the last iteration, and how the trial ended.

    `constraints` and `failure` are as in an `Observation`.
    """

    config: Literal
    values: tuple[float, ...]
    iteration: int = 1
    status: ObservationStatus = "done"
    constraints: tuple[float, ...] = omit_default_field(())
    failure: FailureKind | OneOf[""] = omit_default_field("")

    def observation(self) -> Observation:
        """The result as a searcher is told it."""
        return Observation(self.status, self.iteration, self.values, self.constraints, self.failure)

    def __repr__(self) -> str:
        values = source_repr(self.values[0] if len(self.values) == 1 else self.values)
        plain = self.iteration == 1 and self.status == "done"
        rest = "" if plain else f", {self.iteration}, {self.status!r}"
        return f"({self.config!r}, {values}{rest})"


@value(tag="Known", repr=False)
class WithResults:
    """The spec of `with_results`."""

    searcher: Any
    results: tuple[KnownResult, ...]

    def __repr__(self) -> str:
        return f"with_results({source_repr(self.searcher)}, [{', '.join(map(repr, self.results))}])"


@check_arguments
def with_results(searcher: Any, results: Sequence[Any]) -> WithResults:
    """A searcher that learns earlier results before its first trial.

    Args:
        searcher: the spec of a searcher that learns.
        results: pairs of a complete configuration and the objective's value, or the values of all objectives. Two
            more items are optional: the last iteration, and how the trial ended (`done`, `stopped` or `failed`).

    Raises:
        ArgumentError: for what is no searcher or no result. `check` reports results outside the space.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> with_results(tpe(), [({"lr": 0.1}, 0.5), ({"lr": 0.2}, 0.7, 3, "stopped")])
        with_results(tpe(), [({'lr': 0.1}, 0.5), ({'lr': 0.2}, 0.7, 3, 'stopped')])
    """
    searcher_of(searcher)
    if isinstance(results, (str, Mapping)) or not isinstance(results, Sequence):
        raise wrong_value("with_results.results", results, "a list of results")
    return WithResults(searcher, tuple(map(_as_known_result, results)))


def _as_known_result(item: Any) -> KnownResult:
    if isinstance(item, KnownResult):
        return item
    if not isinstance(item, (tuple, list)) or not 2 <= len(item) <= 4:
        raise wrong_value("with_results.results", item, 'a pair such as ({"lr": 0.1}, 0.5)')
    config, value_or_values, *rest = item
    values = value_or_values if isinstance(value_or_values, (tuple, list)) else (value_or_values,)
    iteration = as_int("with_results.results", rest[0], minimum=0) if rest else 1
    status: Any = rest[1] if len(rest) > 1 else "done"
    status = as_choice(
        "with_results.results", status, [word for word in get_args(ObservationStatus) if word != "reported"]
    )
    numbers = tuple(float(as_number("with_results.results", each)) for each in values)
    return KnownResult(as_config_literal("with_results.results", config), numbers, iteration, status)


def _init(spec: WithResults, space: Space, objectives: Objectives, key: int) -> SearcherState:
    inner = init_inner(spec, space, objectives, key)
    layout = resolve_space(space)
    for index, result in enumerate(spec.results):
        try:
            config = codec.encode(fill_config(layout, result.config.copy(), 0, key, require_all=True))
        except SpaceError:
            continue  # it belongs to another cell; the compiler checked that each has one
        inner = force_inner(spec, inner, -1 - index, config, key)
        inner = tell_inner(spec, inner, -1 - index, visible(searcher_of(spec.searcher), result.observation()))
    return inner


def _shift_number(spec: WithResults, trial: int) -> int:
    """The trial's inner number; numbers below 0 of outer combinators follow the own results."""
    return trial if trial >= 0 else trial - len(spec.results)


def _tell(spec: WithResults, state: SearcherState, trial: int, observation: Observation) -> SearcherState:
    return tell_inner(spec, state, _shift_number(spec, trial), observation)


def _force(spec: WithResults, state: SearcherState, trial: int, config: Json, key: int) -> SearcherState:
    return force_inner(spec, state, _shift_number(spec, trial), config, key)


def _check_compatibility(spec: WithResults, space: Space, objectives: Objectives) -> Sequence[Diagnostic]:
    diagnostics = [*check_inner_compatibility(spec, space, objectives)]
    inner = searcher_of(spec.searcher)
    # `dedupe` skips known configurations, whatever its inner searcher.
    is_useful = inner.learns or any(isinstance(part, Dedupe) for part in nested_specs(spec.searcher))
    if inner.force is None or not is_useful:
        message = f"{spec.searcher!r} cannot learn from results of configurations that it did not propose."
        diagnostics.append(Diagnostic("E081", "searcher", message, "use a searcher that can, such as tpe()"))
    layout = resolve_space(space)
    for index, result in enumerate(spec.results):
        if len(result.values) != len(objectives):
            needed = f"{len(objectives)} value{'s' if len(objectives) != 1 else ''}"
            known = shorten(repr(result.config))
            message = f"A result in with_results(...) needs {needed}, but that of {known} has {len(result.values)}."
            diagnostics.append(Diagnostic("E081", "searcher", message, "give one value for each objective"))
            continue
        try:
            codec.encode(fill_config(layout, result.config.copy(), 0, 0, require_all=True))
        except SpaceError as error:
            known = shorten(repr(result.config))
            message = f"with_results(...) has a result of {known}, which is outside the space: {reason(error)}."
            hint = error.hint or "write complete configurations of this space"
            diagnostics.append(Diagnostic("E081", f"searcher.with_results[{index}]", message, hint))
    return diagnostics


def _make_with_results(spec: WithResults) -> Searcher:
    return delegate(
        spec, "with_results", init=_init, tell=_tell, force=_force, check_compatibility=_check_compatibility
    )


register_combinator(WithResults, "with_results", _make_with_results)

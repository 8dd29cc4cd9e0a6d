"""The base of combinators: by default each function of a combinator is that of its inner searcher.

The inner searcher's spec is the field `searcher` of the combinator's spec.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.types import Json
from tunedsl.searchers.contract import (
    Answer,
    Ask,
    CheckCompatibility,
    Force,
    Init,
    Objectives,
    Observation,
    Searcher,
    SearcherState,
    Supports,
    Tell,
    Validate,
    nested_specs,
    searcher_of,
)
from tunedsl.searchers.description import SearchSetting
from tunedsl.spaces.space import Space


def init_inner(spec: Any, space: Space, objectives: Objectives, key: int) -> SearcherState:
    """The first state of the inner searcher."""
    return searcher_of(spec.searcher).init(spec.searcher, space, objectives, key)


def ask_inner(spec: Any, state: SearcherState, trial: int, key: int) -> tuple[SearcherState, Answer]:
    """The answer of the inner searcher, and its next state."""
    return searcher_of(spec.searcher).ask(spec.searcher, state, trial, key)


def tell_inner(spec: Any, state: SearcherState, trial: int, observation: Observation) -> SearcherState:
    """The state of the inner searcher after an observation."""
    return searcher_of(spec.searcher).tell(spec.searcher, state, trial, observation)


def force_inner(spec: Any, state: SearcherState, trial: int, config: Json, key: int) -> SearcherState:
    """The state of the inner searcher with a forced configuration; unchanged if it has no `force`."""
    force = searcher_of(spec.searcher).force
    return state if force is None else force(spec.searcher, state, trial, config, key)


def validate_inner(spec: Any) -> Sequence[Diagnostic]:
    """The diagnostics of the inner searcher's spec."""
    return searcher_of(spec.searcher).validate(spec.searcher)


def check_inner_compatibility(spec: Any, space: Space, objectives: Objectives) -> Sequence[Diagnostic]:
    """What of the space and the objectives the inner searcher cannot handle."""
    return searcher_of(spec.searcher).check_compatibility(spec.searcher, space, objectives)


def delegate(
    spec: Any,
    name: str,
    *,
    init: Init = init_inner,
    ask: Ask = ask_inner,
    tell: Tell = tell_inner,
    force: Force = force_inner,
    keeps_forced: bool = False,
    supports: Supports | None = None,
    validate: Validate = validate_inner,
    check_compatibility: CheckCompatibility = check_inner_compatibility,
    scope: Literal["", "last", "best"] = "",
) -> Searcher:
    """The searcher of a combinator, with its own functions or those of the inner searcher.

    Args:
        spec: the combinator's spec.
        name: the function with which users write it.
        keeps_forced: whether the combinator records forced configurations itself, so that `force` works around a
            searcher that does not learn and has no `force`.
        supports: what it can handle; by default what the inner searcher can handle.
    """
    inner = searcher_of(spec.searcher)
    can_force = inner.force is not None or (keeps_forced and not inner.learns)
    return Searcher(
        name,
        inner.supports if supports is None else supports,
        init,
        ask,
        tell,
        learns=inner.learns,
        force=force if can_force else None,
        validate=validate,
        check_compatibility=check_compatibility,
        scope=scope or inner.scope,
    )


def describe_search(spec: Any, setting: SearchSetting) -> str:
    """How the searchers inside a spec that choose between others propose; empty without such a searcher."""
    parts = ((part, searcher_of(part).describe) for part in nested_specs(spec))
    return "; ".join(describe(part, setting) for part, describe in parts if describe is not None)

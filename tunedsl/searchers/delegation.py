"""What all combinators share: their faults are those of the searcher inside, which stands in the field `searcher`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.objective import Objective
from tunedsl.searchers.contract import searcher_of
from tunedsl.spaces.space import Space


def validate_inner(spec: Any) -> Sequence[Diagnostic]:
    """The faults of the searcher inside."""
    return searcher_of(spec.searcher).validate(spec.searcher)


def check_inner_compatibility(spec: Any, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    """What the searcher inside cannot take of the space."""
    return searcher_of(spec.searcher).check_compatibility(spec.searcher, space, objectives)

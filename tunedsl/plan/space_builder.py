"""The clauses of the search space as methods. The other clauses are in `plan.builder`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import attrs

from tunedsl.base.arguments import check_arguments
from tunedsl.plan import arguments, params
from tunedsl.plan.definition import Definition
from tunedsl.spaces.expressions import Expr


@attrs.frozen(repr=False)
class SpaceBuilder(Definition):
    """A definition with a method for each clause of the space."""

    def _with(self, *subjects: str, **changes: Any) -> Self:
        return self.with_clauses(**changes).written_here(*subjects)

    @check_arguments
    def space(self, mapping: Mapping[str, Any] | None = None, /, **params_by_name: Any) -> Self:
        """Adds parameters.

        Args:
            mapping: name to domain, expression, constant, nested dict or `space(...)`.
            params_by_name: the same, as keywords.

        Raises:
            ArgumentError: for a name that is already set, or a value that is neither data nor importable.
        """
        added = arguments.named_params("space", mapping, params_by_name)
        places = (f"space.{name}" for name in added)
        return self._with("space", *places, space=params.add_params(self, added))

    @check_arguments
    def replace(self, **params_by_name: Any) -> Self:
        """Replaces existing parameters by other domains, expressions or constants.

        Raises:
            ArgumentError: for an unknown name.
        """
        places = (f"space.{name}" for name in params_by_name)
        return self._with(*places, space=params.replace_params("replace", self, params_by_name))

    @check_arguments
    def fix(self, **params_by_name: Any) -> Self:
        """Replaces existing parameters by constants.

        Raises:
            ArgumentError: for an unknown name, or a value that is not a constant.
        """
        places = (f"space.{name}" for name in params_by_name)
        return self._with(*places, space=params.fix_params(self, params_by_name))

    @check_arguments
    def where(self, condition: Expr) -> Self:
        """Adds a constraint between parameters, such as `ref("low") < ref("high")`.

        Raises:
            ArgumentError: for an argument that is not a condition.
        """
        if condition in self.clauses.space.constraints:
            return self
        return self._with("space.where", space=self.clauses.space.where(condition))

"""The space: named parameters and the constraints between them, as one frozen value.

Domains are in `domains`, resolution of references is in `layout`, and errors of a space are in `check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunedsl.base.arguments import as_text
from tunedsl.base.codec import value
from tunedsl.base.names import is_keyword_argument, is_portable
from tunedsl.base.references import Literal
from tunedsl.spaces.expressions import Expr, Node, as_condition, as_literal, find_nodes


@value(repr=False)
class Space:
    """Named parameters, in the order written, and constraints between them.

    Attributes:
        params: name and node: a `Node` (domain, expression, or `When` around one), a `Literal` (constant) or a nested
            `Space`.
        constraints: conditions that every configuration must meet, unless they depend on a parameter that it does
            not have.
    """

    params: tuple[tuple[str, Node | Literal | Space], ...] = ()
    constraints: tuple[Expr, ...] = ()

    @staticmethod
    def of(params: Mapping[str, Any]) -> Space:
        """The space from a mapping of parameters.

        A dict is a nested space if its keys are valid parameter names, else a constant.

        Args:
            params: name to domain, expression, constant, nested dict, or anything with `__space__()`.

        Raises:
            ArgumentError: for an object that is neither data nor importable.

        Example:
            >>> from tunedsl.spaces import Space, uniform
            >>> Space.of({"lr": uniform(0, 1), "model": {"depth": 3}})
            space(lr=uniform(0.0, 1.0), model=space(depth=3))
        """
        return _build_space("space", params)

    def where(self, condition: Expr) -> Space:
        """This space with one more constraint."""
        return Space(self.params, (*self.constraints, as_condition("where", condition)))

    def __space__(self) -> Space:
        return self

    def __repr__(self) -> str:
        plain = ", ".join(f"{name}={item!r}" for name, item in self.params if is_keyword_argument(name))
        other = ", ".join(f"{name!r}: {item!r}" for name, item in self.params if not is_keyword_argument(name))
        inside = ", ".join(part for part in (plain, other and f"**{{{other}}}") if part)
        return f"space({inside})" + "".join(f".where({condition!r})" for condition in self.constraints)


def is_param_name(name: Any) -> bool:
    """Whether `name` is a valid parameter name: an identifier that all file systems accept."""
    return isinstance(name, str) and name.isidentifier() and is_portable(name)


def _build_space(subject: str, params: Mapping[str, Any]) -> Space:
    named = {as_text(f"a name in {subject}", name): item for name, item in params.items()}
    return Space(tuple((name, _as_param(f"{subject}.{name}", item)) for name, item in named.items()))


def _as_param(subject: str, item: Any) -> Node | Literal | Space:
    if isinstance(item, (Node, Literal)):
        return item
    if hasattr(type(item), "__space__"):
        return item.__space__()  # type: ignore[no-any-return]
    if type(item) is dict and (all(map(is_param_name, item)) or next(find_nodes(item), None) is not None):
        return _build_space(subject, item)
    return as_literal(subject, item)

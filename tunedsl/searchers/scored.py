"""`scored`: chooses which of a trial's reports the searcher learns from."""

from __future__ import annotations

from typing import Any, Literal, get_args

from tunedsl.base.arguments import as_choice, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.references import call_repr
from tunedsl.searchers.contract import Searcher, register_combinator, searcher_of
from tunedsl.searchers.delegation import delegate

Scope = Literal["last", "best"]


@value(repr=False)
class Scored:
    """The spec of `scored`."""

    searcher: Any
    scope: Scope = "best"

    def __repr__(self) -> str:
        return call_repr("scored", self, 1)


@check_arguments
def scored(searcher: Any, scope: Scope = "best") -> Scored:
    """A searcher that learns from the best of a trial's reports, or from the last one.

    Args:
        searcher: the spec of any searcher.
        scope: `best` value of each objective so far, ignoring NaN; or `last`.

    Raises:
        ArgumentError: for what is no searcher, or another word.

    Example:
        >>> from tunedsl.searchers import tpe
        >>> scored(tpe(), "last")
        scored(tpe(), scope='last')
    """
    searcher_of(searcher)
    scope = as_choice("scored.scope", scope, get_args(Scope))
    return Scored(searcher, scope)


def _make_searcher(spec: Scored) -> Searcher:
    return delegate(spec, "scored", scope=spec.scope)


register_combinator(Scored, "scored", _make_searcher)

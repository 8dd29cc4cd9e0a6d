"""Configurations as they will run, before anything does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunedsl.base import codec
from tunedsl.base.arguments import whole
from tunedsl.base.errors import ArgumentError
from tunedsl.base.keys import key
from tunedsl.base.literals import import_reference
from tunedsl.search.contract import searcher_of

if TYPE_CHECKING:
    from tunedsl.plan.plan import Plan


def preview(plan: Plan, n: int | None = None) -> list[dict[str, Any]]:
    """The first `n` configurations of a plan; see `Plan.preview`."""
    searcher = searcher_of(plan.searcher)
    if searcher.batch is None:
        raise ArgumentError(
            "E003", "preview", f"{plan.searcher!r}, which learns from results", "a searcher that does not learn"
        )
    count = plan.trials if n is None else min(whole("preview.n", n, least=0), plan.trials)
    root = key(plan.seed, "search")
    state = searcher.init(plan.searcher, plan.space, plan.objectives, root)
    _, proposals = searcher.batch(plan.searcher, state, tuple(range(count)), root)
    return [codec.decode(proposal.config, import_reference) for proposal in proposals]

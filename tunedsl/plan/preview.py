"""Configurations as they will run, before anything does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tunedsl.base import codec
from tunedsl.base.arguments import whole
from tunedsl.base.errors import ArgumentError
from tunedsl.base.keys import key
from tunedsl.base.literals import import_reference
from tunedsl.search.contract import Observation, Proposal, searcher_of

if TYPE_CHECKING:
    from tunedsl.plan.plan import Plan


def preview(plan: Plan, n: int | None = None) -> list[dict[str, Any]]:
    """The first `n` configurations of a plan; see `Plan.preview`."""
    searcher = searcher_of(plan.searcher)
    if searcher.learns:
        raise ArgumentError(
            "E003", "preview", f"{plan.searcher!r}, which learns from results", "a searcher that does not learn"
        )
    count = plan.trials if n is None else min(whole("preview.n", n, least=0), plan.trials)
    root = key(plan.seed, "search")
    state = searcher.init(plan.searcher, plan.space, plan.objectives, root)
    if searcher.batch is not None:
        _, proposals = searcher.batch(plan.searcher, state, tuple(range(count)), root)
        return [codec.decode(proposal.config, import_reference) for proposal in proposals]
    configs = []
    for trial in range(count):
        state, answer = searcher.ask(plan.searcher, state, trial, root)
        if not isinstance(answer, Proposal):
            break
        configs.append(codec.decode(answer.config, import_reference))
        # Nothing is learnt, but some wait for an end.
        ended = Observation("done", 1, (math.nan,) * len(plan.objectives))
        state = searcher.tell(plan.searcher, state, trial, ended)
    return configs

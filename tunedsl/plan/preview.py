"""The configurations of a plan before it runs."""

from __future__ import annotations

import math
from typing import Any

from tunedsl.base import codec
from tunedsl.base.arguments import as_int
from tunedsl.base.errors import ArgumentError
from tunedsl.base.keys import key
from tunedsl.base.objective import Objective
from tunedsl.base.references import import_reference
from tunedsl.plan.plan import Plan
from tunedsl.searchers.contract import Observation, Proposal, searcher_of
from tunedsl.spaces.space import Space


def preview(plan: Plan, n: int | None = None) -> list[dict[str, Any]]:
    """The first `n` configurations of a plan; see `Plan.preview`."""
    searcher = searcher_of(plan.searcher)
    if searcher.learns:
        message = f"preview() cannot know the configurations of {plan.searcher!r}, which learns from results."
        raise ArgumentError("E003", "preview", message, "preview with .searcher(random_search())")
    count = plan.trials if n is None else min(as_int("preview.n", n, minimum=0), plan.trials)
    return proposed_configs(plan.searcher, plan.space, plan.objectives, plan.seed, count)


def proposed_configs(
    spec: Any, space: Space, objectives: tuple[Objective, ...], seed: int, count: int
) -> list[dict[str, Any]]:
    """The first `count` configurations of a searcher that does not learn.

    Args:
        spec: the spec of the searcher.
        space: the space.
        objectives: the objectives.
        seed: the seed of the plan.
        count: how many configurations.
    """
    searcher, root = searcher_of(spec), key(seed, "search")
    state = searcher.init(spec, space, objectives, root)
    if searcher.batch is not None:
        _, proposals = searcher.batch(spec, state, tuple(range(count)), root)
        return [codec.decode(proposal.config, import_reference) for proposal in proposals]
    configs = []
    for trial in range(count):
        state, answer = searcher.ask(spec, state, trial, root)
        if not isinstance(answer, Proposal):
            break
        configs.append(codec.decode(answer.config, import_reference))
        # The searcher does not learn, but it may wait for a trial to end.
        ended = Observation("done", 1, (math.nan,) * len(objectives))
        state = searcher.tell(spec, state, trial, ended)
    return configs

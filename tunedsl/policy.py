"""What authors of searchers and schedulers import: specs, random keys, the contracts and their registration.

The names are implemented in `tunedsl.base`, `tunedsl.searchers.contract` and `tunedsl.schedulers.contract`.

Example:
    >>> from tunedsl import policy
    >>> @policy.value
    ... class Halfway:
    ...     iteration: int = 5
    >>> policy.register_scheduler(
    ...     Halfway,
    ...     policy.Scheduler(
    ...         name="halfway",
    ...         init=lambda spec, context: (),
    ...         on_report=lambda spec, state, report: (state, "stop", policy.reason("halfway")),
    ...         decision_points=lambda spec: policy.At((spec.iteration,)),
    ...         describe=lambda spec: f"every trial ends at iteration {spec.iteration}",
    ...     ),
    ... )
"""

from __future__ import annotations

from tunedsl.base.codec import value
from tunedsl.base.keys import key, uniform
from tunedsl.base.objective import Objective
from tunedsl.schedulers.contract import (
    At,
    Decision,
    Every,
    Exploit,
    Never,
    Reason,
    Report,
    Requirements,
    Resize,
    Scheduler,
    SchedulerContext,
    reason,
    register_scheduler,
)
from tunedsl.searchers.contract import (
    Exhausted,
    Observation,
    Proposal,
    Searcher,
    Supports,
    Wait,
    register_searcher,
)
from tunedsl.spaces.space import Space

__all__ = [
    "At",
    "Decision",
    "Every",
    "Exhausted",
    "Exploit",
    "Never",
    "Objective",
    "Observation",
    "Proposal",
    "Reason",
    "Report",
    "Requirements",
    "Resize",
    "Scheduler",
    "SchedulerContext",
    "Searcher",
    "Space",
    "Supports",
    "Wait",
    "key",
    "reason",
    "register_scheduler",
    "register_searcher",
    "uniform",
    "value",
]

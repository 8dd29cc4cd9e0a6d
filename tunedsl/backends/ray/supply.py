"""The supply of a cluster: how many trials it can run at a time, what it lacks, what an autoscaler should add."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tunedsl.backends.pool import resources_of
from tunedsl.backends.protocol import Capacity, ahead_of
from tunedsl.backends.ray import autoscaler
from tunedsl.backends.ray.nodes import Amounts, ClusterNodes, NodeWatch
from tunedsl.backends.ray.shortage import Shortage
from tunedsl.backends.ray.waiting import shown
from tunedsl.base.codec import to_json
from tunedsl.base.diagnostics import with_help
from tunedsl.base.errors import ResourceError
from tunedsl.plan import Plan, Resources
from tunedsl.plan.packing import faults, fit_together, places, ray_amounts
from tunedsl.worker import Message

AUTOSCALER_SECONDS: Final = 10.0
"""Time between two checks for an autoscaler."""
MAX_SPARES: Final = 256
"""Maximum number of trials beyond the running ones for which nodes are requested at a time."""
_WAIT: Final = "run(wait_for_nodes=600) waits up to 600 seconds for such a node"


class Supply:
    """Follows how many trials of a run fit on the nodes of a cluster.

    Args:
        plan: the plan of the run.
        limit: how many seconds it waits for nodes. None to wait only for an autoscaler, and for nodes that the cluster
            had before.

    Attributes:
        shape: the shape of the workers that start before the first trial.
        lack: why no trial can run now; empty if one can.

    Raises:
        ResourceError: when a trial does not fit on the cluster, and the run does not wait for nodes.
    """

    def __init__(self, plan: Plan, limit: float | None) -> None:
        self._plan = plan
        self._limit = limit
        self._is_logical = plan.order == "logical"
        self._watch = NodeWatch()
        self._seen: dict[str, Amounts] = {}
        self._fitted: set[str] = set()
        self._unfit: set[str] = set()
        self._shortage = Shortage(limit)
        self._wanted = self._asked = 0
        self._scales = False
        self._looks_for_autoscaler = 0.0
        self.shape = to_json(plan.resources if isinstance(plan.resources, Resources) else Resources())
        self._look_for_autoscaler()
        self._count()
        self.width = (plan.parallel or self._slots) if self._is_logical else self.capacity.width
        self.lack = self._lacking()
        if self.lack and not self._may_wait(resources_of(self.shape)):
            raise ResourceError(f"{self.lack}, or {_WAIT}")

    @property
    def nodes(self) -> ClusterNodes:
        """The nodes at the last query."""
        return self._watch.nodes

    @property
    def capacity(self) -> Capacity:
        """The capacity that the kernel receives; in logical order its width is the plan's."""
        plan = self._plan
        width = plan.parallel if self._is_logical else min(plan.parallel or self._slots, self._slots)
        return Capacity(self._slots if width is None else width, ahead_of(plan), _max_resources(plan, self._amounts))

    @property
    def spares(self) -> int:
        """The number of trials, beyond those that fit now, for which nodes are requested."""
        if self._is_logical or not self._scales:
            return 0
        most = min(self._wanted, self._plan.parallel or self._wanted, self._slots + MAX_SPARES)
        return max(0, most - self._slots)

    def is_due(self) -> bool:
        """Whether the next `look` queries the cluster."""
        return self._watch.is_due() or (not self._scales and time.monotonic() >= self._looks_for_autoscaler)

    def look(self) -> bool:
        """Query the nodes at intervals; return whether they have changed."""
        if self._look_for_autoscaler():
            return True
        if not self._watch.look():
            return False
        self._count()
        if not self._is_logical:
            self.width = self.capacity.width
        self.lack = self._lacking()
        return True

    def want(self, trials: int) -> bool:
        """Record how many trials could run now; return whether this changes the number of requested nodes."""
        self._wanted = trials
        before, self._asked = self._asked, self.spares
        return before != self._asked

    def check(self, shape: str) -> None:
        """Check that a trial of this shape can run now or later.

        Raises:
            ResourceError: when it fits on no node, and the run does not wait for nodes.
        """
        if shape in self._fitted:
            return
        resources = resources_of(shape)
        _check_request(resources)
        if places(list(self._seen.values()), resources, 1):
            self._fitted.add(shape)
        elif not self._may_wait(resources):
            raise ResourceError(f"{_lacking(resources, self._amounts)}, or {_WAIT}")
        if not places(self._amounts, resources, 1):
            self._unfit.add(shape)

    def check_together(self, trials: Sequence[Resources]) -> None:
        """Check that trials fit together on the nodes that the cluster has or had; raise `ResourceError` if not."""
        if fit_together(list(self._seen.values()), trials) or any(map(self._may_wait, trials)):
            return
        asked = "; ".join(dict.fromkeys(f"{trials.count(one)} x {shown(_need(one))}" for one in trials))
        raise ResourceError(
            f"In logical order all trials in progress run at a time, but the cluster has no room for {asked}.\n"
            f"  help: lower parallel(...), or ask for fewer resources for each trial"
        )

    def shortage(
        self, in_progress: Callable[[], Mapping[str, int]], started: bool, tell: Callable[[str], None]
    ) -> list[Message]:
        """Report what the run waits for; raise if it has waited for too long.

        Args:
            in_progress: returns the number of trials by shape.
            started: whether a trial has run.
            tell: receives the messages before that.
        """
        lack = self.lack
        if not lack and self._unfit:
            waiting = in_progress()
            unfit = next((shape for shape in sorted(self._unfit) if waiting.get(shape)), None)
            lack = "" if unfit is None else _lacking(resources_of(unfit), self._amounts)
        return self._shortage.look(lack, started, tell)

    @property
    def _amounts(self) -> list[Amounts]:
        return self.nodes.amounts

    def _count(self) -> None:
        """Count the slots of the current nodes."""
        self._seen.update(self.nodes.usable)
        self._slots = _slots(self._plan, self._amounts)
        known = self._fitted | self._unfit
        self._unfit = {shape for shape in known if not places(self._amounts, resources_of(shape), 1)}

    def _lacking(self) -> str:
        """Why no trial can run now."""
        slots = self._slots
        if not slots:
            return _lacking(resources_of(self.shape), self._amounts)
        if not self._is_logical or self.width <= slots:
            return ""
        return (
            f"parallel({self.width}) exceeds the {slots} trials for which this cluster has room.\n"
            f"  help: ask for fewer resources for each trial, or write parallel({slots})"
        )

    def _may_wait(self, resources: Resources) -> bool:
        """Whether a trial that fits on no node waits for one."""
        if self._limit is not None:
            return self._limit > 0
        return self._scales and autoscaler.fits_a_node_type(resources)

    def _look_for_autoscaler(self) -> bool:
        """Check for an autoscaler until there is one; return whether this check found it."""
        now = time.monotonic()
        if self._scales or now < self._looks_for_autoscaler:
            return False
        self._looks_for_autoscaler = now + AUTOSCALER_SECONDS
        self._scales = autoscaler.is_running()
        return self._scales


def _slots(plan: Plan, nodes: Sequence[Amounts]) -> int:
    """The number of trials that fit at a time on otherwise free nodes."""
    if not isinstance(plan.resources, Resources):
        return max(1, int(sum(node.get("CPU", 0) for node in nodes))) if nodes else 0
    _check_request(plan.resources)
    return places(nodes, plan.resources, max(plan.trials, plan.parallel or 1))


def _check_request(resources: Resources) -> None:
    """Raise `ResourceError` for a request that no Ray cluster can fulfil."""
    wrong = next(faults(resources), None)
    if wrong is not None:
        raise ResourceError(with_help(wrong.message, wrong.hint))


def _lacking(resources: Resources, nodes: Sequence[Amounts]) -> str:
    """A message: the resources that a trial needs, and the maximum that a node has."""
    need = _need(resources)
    best = {name: max((node.get(name, 0) for node in nodes), default=0) for name in need}
    whose = "which no node of the cluster has"
    if resources.bundles:
        whose = f"in bundles placed by {resources.strategy}, which the cluster has no room for"
    return f"A trial needs {shown(need)}, {whose}.\n  help: ask for at most {shown(best)}"


def _need(resources: Resources) -> dict[str, float]:
    return ray_amounts(resources.amounts())


def _max_resources(plan: Plan, nodes: Sequence[Amounts]) -> dict[str, float]:
    """The maximum memory of a trial whose retries may request more.

    If a function gives the resources, it is the memory of the smallest node, because the other amounts are unknown.
    """
    if plan.retry.grow <= 1:
        return {}
    if not isinstance(plan.resources, Resources):
        return {"memory": min((float(node["memory"]) for node in nodes if node.get("memory")), default=0.0)}
    fitting = (node for node in nodes if places([node], plan.resources, 1))
    return {"memory": max((float(node["memory"]) for node in fitting), default=0.0)}

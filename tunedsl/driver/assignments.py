"""Makes a worker's assignment from the state of a trial."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tunedsl.base.codec import decode, to_json
from tunedsl.base.keys import trial_seed
from tunedsl.driver.error_attribution import attribute_to_user_function
from tunedsl.kernel import TrialState
from tunedsl.plan import Plan, Resources
from tunedsl.plan.command import Command
from tunedsl.worker import Assignment


class Assignments:
    """Makes the assignments of a plan's trials.

    Args:
        plan: the plan.
        resolve: returns the live object for a reference in a configuration.
    """

    def __init__(self, plan: Plan, resolve: Callable[[str], Any]) -> None:
        self._plan, self._resolve = plan, resolve
        self._resources = plan.resources.resolve() if not isinstance(plan.resources, Resources) else None
        self._counter = plan.trainable.iteration if isinstance(plan.trainable, Command) else None

    def assign(self, trial: TrialState, begun: bool) -> Assignment:
        """The current attempt at a trial.

        Args:
            begun: whether the journal has its start already.
        """
        resources = self._resources_of(trial)
        return Assignment(
            trial=trial.number,
            name=trial.name,
            attempt=trial.attempt,
            config=trial.config,
            seed=trial_seed(self._plan.seed, trial.number),
            resources=resources.amounts(),
            shape=_shape(resources),
            known=trial.iteration,
            begun=begun,
            iteration=trial.checkpoint,
            checkpoint=trial.folder,
            elapsed=trial.time,
            unreported=trial.unreported,
            last_step=self._last_step(trial),
        )

    def _last_step(self, trial: TrialState) -> int | None:
        """The last value of the metric that counts a command's iterations; None after a copied checkpoint."""
        if self._counter is None or trial.copied_at == trial.iteration:
            return None
        value = trial.metrics().get(self._counter)
        return int(value) if isinstance(value, int | float) and math.isfinite(value) else None

    def _resources_of(self, trial: TrialState) -> Resources:
        if trial.resources is not None:
            return allotted(tuple(sorted(trial.resources.items())))
        if isinstance(self._plan.resources, Resources):
            return self._plan.resources
        assert self._resources is not None  # otherwise the resources are a function
        with attribute_to_user_function("resources", trial.number):
            resources = self._resources(decode(trial.config, self._resolve))
            return resources if isinstance(resources, Resources) else Resources.of(**resources)


@lru_cache(maxsize=256)
def allotted(amounts: tuple[tuple[str, float], ...]) -> Resources:
    """Resources from pairs of name and amount, with names as in `.resources(...)`."""
    custom = dict(amounts)
    memory = custom.pop("memory", None)
    cpu, gpu = custom.pop("cpu", 0.0), custom.pop("gpu", 0.0)
    return Resources.of(cpu=cpu, gpu=gpu, memory=None if memory is None else int(memory), custom=custom)


@lru_cache(maxsize=256)
def _shape(resources: Resources) -> str:
    return to_json(resources)

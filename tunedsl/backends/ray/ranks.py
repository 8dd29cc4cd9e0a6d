"""The ranks of a distributed trial on Ray: actors in the bundles of the trial's placement group."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cloudpickle
import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

from tunedsl.backends.ray.pooled_actor import bundle_options
from tunedsl.base.errors import ReportError
from tunedsl.base.import_path import extend_import_path, import_path
from tunedsl.worker import tracing
from tunedsl.worker.ranks import RankFailure, RankTask

_remote: Any = ray.remote


class _RankActor:
    """Runs one rank in its own process."""

    def __init__(self, path: Sequence[str], environment: dict[str, str]) -> None:
        extend_import_path(path)
        os.environ.update(environment)

    def run(self, task: bytes) -> RankFailure | None:
        """Run the rank; return why it failed, or None."""
        found: RankTask = cloudpickle.loads(task)
        try:
            found.run()
        except Exception as error:
            return RankFailure("crash", tracing.message_of(error), tracing.format_error(error))
        return None


_ACTOR: Any = _remote(max_restarts=0)(_RankActor)


class RayRank:
    """A rank in a bundle of the placement group that this trial runs in.

    Args:
        task: the task of the rank.
        environment: the variables of its process.
        bundle: the number of its bundle.
    """

    def __init__(self, task: RankTask, environment: dict[str, str], bundle: int) -> None:
        group: Any = ray.util.get_current_placement_group()
        options = bundle_options(group, bundle, dict(group.bundle_specs[bundle]))
        self._actor = _ACTOR.options(**options).remote(import_path(), environment)
        self._end = self._actor.run.remote(cloudpickle.dumps(task))

    def is_over(self) -> bool:
        return bool(ray.wait([self._end], timeout=0)[0])

    def failure(self) -> RankFailure | None:
        if not self.is_over():
            return None
        try:
            found: RankFailure | None = ray.get(self._end)
        except OutOfMemoryError as error:
            return RankFailure("oom", tracing.message_of(error))
        except RayActorError as error:
            return RankFailure("lost", f"the actor of a rank died: {tracing.message_of(error)}")
        except RayTaskError as error:
            return RankFailure("crash", tracing.message_of(error))
        return found

    def kill(self) -> None:
        ray.kill(self._actor)


def bundles_of_trial() -> int:
    """The number of bundles in the placement group of this trial; 0 outside of one."""
    group = ray.util.get_current_placement_group() if ray.is_initialized() else None
    return 0 if group is None else len(group.bundle_specs)


def check_bundles(workers: int) -> None:
    """Check that the trial has a bundle for each rank.

    Raises:
        ReportError: when it has fewer.
    """
    found = bundles_of_trial()
    if found < workers:
        raise ReportError(
            f'A trial of {workers} workers has {found} bundles.\n  help: .resources(bundles=[{{"cpu": 1}}] * {workers})'
        )


def node_address() -> str:
    """The address of this node, which the nodes of the other ranks can reach."""
    return str(ray.util.get_node_ip_address())

"""Runs a trainer of Ray Train as a trial: relays its reports and checkpoints, and ends its workers with the trial."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import attrs
import cloudpickle
import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, OutOfMemoryError, RayActorError, RayError
from ray.train import Checkpoint, CheckpointConfig, RunConfig, UserCallback, WorkerGroupError
from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerCallback
from ray.train.v2._internal.execution.context import get_train_context
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tunedsl.backends.ray.worker_failures import cause_of
from tunedsl.base.import_path import extend_import_path, import_path
from tunedsl.worker import Session, tracing
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.ranks import RankFailure

Receive = Callable[[Mapping[str, Any], Callable[[Path], object] | None], None]
"""Reports metrics, and a checkpoint that it writes into a folder, as the trial's."""
POLL_SECONDS: Final = 0.2
"""Interval at which the trial notices that it was halted."""
WATCH_SECONDS: Final = 1.0
"""Interval at which the fitter looks whether the trial's worker lives."""
ABORT_SECONDS: Final = 30.0
"""How long the trainer may take to end its workers before it is killed."""
_remote: Any = ray.remote


class _Fitter:
    """Fits a trainer, and passes its reports to the trial, one at a time; the trainer waits until each is received.

    It outlives the trial's worker, so that it can end the trainer's workers and free their resources.
    """

    def __init__(self, path: Sequence[str], environment: Mapping[str, str]) -> None:
        extend_import_path(path)
        os.environ.update(environment)
        self._reports: asyncio.Queue[tuple[dict[str, Any], Checkpoint | None]] = asyncio.Queue()
        self._received = asyncio.Event()
        self._controller: Any = None

    async def fit(self, task: bytes) -> tuple[Any, BaseException | None]:
        """Return the trainer's result, or its error."""
        found: _Task = cloudpickle.loads(task)
        trainer = found.connected(ray.get_runtime_context().current_actor)
        try:
            return await asyncio.to_thread(trainer.fit), None
        except Exception as error:
            return None, error

    async def take(self) -> tuple[dict[str, Any], Checkpoint | None]:
        """Wait for a report."""
        return await self._reports.get()

    async def confirm(self) -> None:
        """Let the trainer continue after a report."""
        self._received.set()

    async def offer(self, metrics: dict[str, Any], checkpoint: Checkpoint | None) -> None:
        """Pass on a report of the trainer."""
        self._received.clear()
        await self._reports.put((metrics, checkpoint))
        await self._received.wait()

    async def connect(self, controller: Any) -> None:
        """Remember the actor that controls the trainer's workers."""
        self._controller = controller

    async def watch(self, trial: Any) -> None:
        """Close when the trial's worker has died."""
        with contextlib.suppress(ActorDiedError):
            while True:
                with contextlib.suppress(ActorUnavailableError):
                    await trial.__ray_ready__.remote()
                await asyncio.sleep(WATCH_SECONDS)
        await self.close()

    async def close(self) -> None:
        """End the trainer's workers, free their resources, and end this process."""
        self._received.set()  # the trainer may wait in a report
        if self._controller is not None:
            with contextlib.suppress(RayError, asyncio.TimeoutError):  # it has ended
                await asyncio.wait_for(self._controller.abort.remote(), ABORT_SECONDS)
        ray.actor.exit_actor()


_ACTOR: Any = _remote(num_cpus=0, max_concurrency=100)(_Fitter)


class _Reports(UserCallback):
    """Sends the reports of rank 0 from the trainer's controller."""

    def __init__(self, fitter: Any) -> None:
        self._fitter = fitter

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None) -> None:
        ray.get(self._fitter.offer.remote(metrics[0], checkpoint))


class _Start(ControllerCallback, WorkerCallback):
    """Connects the trainer's controller, and gives its workers the checkpoint that the trial starts from."""

    def __init__(self, fitter: Any, storage: str, checkpoint: str) -> None:
        self._fitter, self._storage, self._checkpoint = fitter, storage, checkpoint
        self._folder: Path | None = None

    def after_controller_start(self, train_run_context: Any) -> None:
        ray.get(self._fitter.connect.remote(ray.get_runtime_context().current_actor))

    def after_init_train_context(self) -> None:
        context = get_train_context()
        if self._checkpoint and context.checkpoint is None:  # else the trainer has restarted its workers
            self._folder = CheckpointStorage(self._storage).fetch(self._checkpoint)
            context.checkpoint = Checkpoint(str(self._folder))

    def before_worker_shutdown(self) -> None:
        if self._folder is not None:
            CheckpointStorage(self._storage).release(self._folder)


@attrs.frozen
class _Task:
    """A trainer, and its trial.

    Attributes:
        name, folder: where the trainer stores what its workers report, without earlier checkpoints.
        storage, checkpoint: the location of the trial's checkpoint; the checkpoint is empty for a new trial.
    """

    trainer: Any
    name: str
    folder: str
    storage: str
    checkpoint: str

    @classmethod
    def of(cls, trainer: Any, session: Session) -> _Task:
        """The task of a session; a storage path that the user has set is kept."""
        config, info = trainer.run_config, session.info
        is_default = config.storage_path == RunConfig().storage_path and config.storage_filesystem is None
        name = "ray_train" if is_default else f"{config.name}-{info.id}"
        folder = str(info.path) if is_default else config.storage_path
        assignment = session.assignment
        return cls(trainer, f"{name}-{info.attempt}", folder, session.shipment.storage, assignment.checkpoint)

    def connected(self, fitter: Any) -> Any:
        """The trainer, which reports to a fitter."""
        trainer, config = self.trainer, self.trainer.run_config
        keep = config.checkpoint_config
        trainer.run_config = replace(
            config,
            name=self.name,
            storage_path=self.folder,
            checkpoint_config=CheckpointConfig(num_to_keep=1) if keep == CheckpointConfig() else keep,
            callbacks=[*config.callbacks, _Reports(fitter), _Start(fitter, self.storage, self.checkpoint)],
        )
        trainer.train_run_context = replace(trainer.train_run_context, run_config=trainer.run_config)
        return trainer


def run_trainer(trainer: Any, session: Session, receive: Receive) -> Any:
    """Fit a trainer; return its result.

    Args:
        trainer: of Ray Train.
        session: the trial.
        receive: takes its reports.

    Raises:
        TrialStopped: when the trial ends before the trainer does.
        Exception: that of `trainer.fit()`.
    """
    fitter = _start_fitter()
    try:
        fitted = fitter.fit.remote(cloudpickle.dumps(_Task.of(trainer, session)))
        taken = fitter.take.remote()
        while True:
            session.check_running()
            with session.released():
                ready, _ = ray.wait([taken, fitted], timeout=POLL_SECONDS)
            if taken in ready:
                metrics, checkpoint = ray.get(taken)
                receive(metrics, None if checkpoint is None else _writer(checkpoint))
                fitter.confirm.remote()
                taken = fitter.take.remote()
            elif ready:
                result, error = ray.get(fitted)
                if error is not None:
                    raise error
                return result
    finally:
        fitter.close.remote()


def _start_fitter() -> Any:
    """Start a fitter on this node. A worker's fitter outlives it; a driver's ends with it."""
    context = ray.get_runtime_context()
    outlives = context.get_actor_id() is not None
    named = {"lifetime": "detached", "name": f"fitter-{uuid.uuid4().hex}", "namespace": "tunedsl"} if outlives else {}
    here = NodeAffinitySchedulingStrategy(context.get_node_id(), soft=False)
    settings = {name: value for name, value in os.environ.items() if name.startswith("RAY_TRAIN_")}
    fitter = _ACTOR.options(scheduling_strategy=here, **named).remote(import_path(), settings)
    if outlives:
        fitter.watch.remote(context.current_actor)
    return fitter


def _writer(checkpoint: Checkpoint) -> Callable[[Path], object]:
    return lambda folder: checkpoint.to_directory(str(folder))


def failure_of_trainer(error: BaseException) -> RankFailure | None:
    """The failure of the rank that ended a trainer; None if the error is no failure of a rank."""
    if isinstance(error, RayActorError):
        return RankFailure("lost", f"the trainer died: {cause_of(error)}")
    if not isinstance(error, WorkerGroupError):
        return None
    failures = (error.worker_failures[rank] for rank in sorted(error.worker_failures))
    causes = [getattr(failure, "health_check_failure", failure) for failure in failures]
    cause = next((each for each in causes if isinstance(each, RayError)), causes[0])
    if isinstance(cause, OutOfMemoryError):
        return RankFailure("oom", tracing.message_of(cause))
    if isinstance(cause, RayActorError):
        return RankFailure("lost", f"a worker of the trainer died: {cause_of(cause)}")
    return RankFailure("crash", tracing.message_of(cause), tracing.format_error(cause))
